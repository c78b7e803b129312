"""The steps of a repeated story: each figure is what the step used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_handlers.captions import caption_texts
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines.explanation import retelling
from pipelines.explanation.retelling import compared_sentences, nearest_sentences, tell_again
from pipelines.telling.chain import SentenceVectors
from pipelines.telling.one_photo import Models, load_all, tell_batch
from transforms.records import Photo

FEATURE = np.random.RandomState(3).rand(4096).astype("f4")


@pytest.fixture
def models(story_pack: Pack, tmp_path: Path) -> Any:
    """Returns a function that makes models of the golden pack, whose romance also has seven passages."""
    writer = PackWriter(str(tmp_path / "passages"), story_pack)
    width = story_pack.array(story_pack.components["source_style"]).reshape(-1).shape[0]
    passages = np.random.RandomState(4).normal(size=(7, width)).astype("f4")
    writer.components["passages"] = {"romance": writer.add_array("passages.npy", passages)}
    location = writer.finish().location
    choices = {"features": "vectors.parquet", "captions_per_photo": 4, "beam_width": 3, "max_words": 9, "device": "cpu"}
    return lambda **more: load_all(location, **choices, **more)


def photo(name: str = "cat") -> Photo:
    return Photo(f"{name}.jpg", "1", f"id of {name}", None, None, ("romance",))


@pytest.mark.parametrize("more", [{"shift": "mean"}, {"shift": "nearest"}, {"shift": "nearest", "contrast": 0.5}])
def test_the_parts_of_the_shift_add_up(models: Any, monkeypatch: Any, more: dict[str, Any]) -> None:
    monkeypatch.setattr(retelling, "ENCODED", 5)
    for name in ("cat", "dog", "boat"):  # each goes on with a passage of its own
        shift = tell_again(models(**more), photo(name), FEATURE).shift
        np.testing.assert_allclose(shift.vector - shift.source + shift.target, shift.shifted, rtol=1e-5, atol=1e-6)


def test_the_story_is_the_one_of_the_early_search(models: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(retelling, "ENCODED", 5)
    for more in ({}, {"contrast": 0.5, "no_repeat": 2}):
        found = models(**more)
        (row,) = tell_batch(found, [(photo(), FEATURE)])
        retold = tell_again(found, photo(), FEATURE)
        assert isinstance(row, dict) and retold.row["passage"] == row["passage"]
        assert retold.row["cost"] == pytest.approx(row["cost"], rel=1e-5)


def test_nearest_sentences_by_hand(models: Any) -> None:
    found: Models = models()
    texts = list(dict.fromkeys(caption_texts(found.settings.pack)))[:6]
    table = SentenceVectors(found.steps)
    vectors = table.of(texts)
    first, second = nearest_sentences(table, texts, np.stack([3 * vectors[4], -vectors[2]]))
    assert first[0] == (texts[4], pytest.approx(1.0, abs=1e-5)) and len(first) == 3
    assert texts[2] not in [text for text, _ in second]
    cosines = vectors @ vectors[4] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[4])
    assert [text for text, _ in first] == [texts[place] for place in np.argsort(-cosines)[:3]]


def test_a_large_bank_is_sampled_and_the_photos_captions_are_kept(models: Any, monkeypatch: Any) -> None:
    found = models()
    bank = list(dict.fromkeys(caption_texts(found.settings.pack)))
    assert compared_sentences(found, []) == bank
    monkeypatch.setattr(retelling, "ENCODED", 10)
    some = compared_sentences(found, ["a caption of its own", bank[1]])
    assert some[:2] == ["a caption of its own", bank[1]] and len(some) <= 12 and set(some[2:]) <= set(bank)
    assert len(set(some)) == len(some)
