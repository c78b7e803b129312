"""How captions of photos differ: near captions, and their means' covariance, from either source of sentence vectors."""

from pathlib import Path

import numpy as np
import pytest

from model_handlers.captions import caption_texts
from model_handlers.handler import Placement, resolve_device
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.pack_writer import PackWriter
from pipelines.cli.options import beam_options
from pipelines.pack_tools import photo_means as spreads
from pipelines.pack_tools.indexing import index_captions
from pipelines.pack_tools.photo_means import nearest_captions, photo_means

CPU = resolve_device("cpu")


def choosing(pack: Pack, folder: Path, count: int) -> Pack:
    """Returns the pack with another choice of captions for a photo."""
    writer = PackWriter(str(folder), pack)
    writer.card["defaults"]["captions_per_photo"] = count
    return writer.finish()


def means_of(pack: Pack) -> np.ndarray:
    return photo_means(pack, Placement(pack.location, pack.digest, "cpu"), beam_options([]), "--spread")


def test_nearest_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    angles = np.array([0, 10, 100, 105, 20, 115]) * np.pi / 180
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("f4")  # [6, 2]
    wanted = [{0, 1}, {0, 1}, {2, 3}, {2, 3}, {1, 4}, {3, 5}]
    assert [set(row) for row in nearest_captions(embeddings, 2).tolist()] == wanted
    monkeypatch.setattr(spreads, "BLOCK", 2)
    assert [set(row) for row in nearest_captions(embeddings, 2).tolist()] == wanted
    monkeypatch.setattr(spreads, "PHOTOS", 4)
    assert [set(row) for row in nearest_captions(embeddings, 2).tolist()] == wanted[::2]


def test_the_caption_means_by_hand(story_pack: Pack, tmp_path: Path) -> None:
    pack = choosing(story_pack, tmp_path / "three", 3)
    captions = caption_texts(pack)
    embeddings = pack.joint_embedding.open(pack, CPU).embed(captions)  # [K, J]
    vectors = pack.sentence_encoder.open(pack, CPU).encode(captions)  # [K, S]
    nearest = np.argsort(-embeddings @ embeddings.T, axis=1)[:, :3]  # [K, 3]
    found = means_of(pack)
    assert len(found) == len(captions) > 3
    np.testing.assert_allclose(found, vectors[nearest].mean(axis=1), atol=1e-6)
    index_captions(pack.location, str(tmp_path / "ready"), sentence_vectors=True)
    np.testing.assert_allclose(means_of(Pack.open(str(tmp_path / "ready"))), found, atol=1e-6)


def test_a_bank_that_is_too_small(story_pack: Pack, tmp_path: Path) -> None:
    pack = choosing(story_pack, tmp_path / "all", len(caption_texts(story_pack)))
    with pytest.raises(PackError, match="--spread .*, and a photo gets .*; nothing differs"):
        means_of(pack)
