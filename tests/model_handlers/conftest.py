"""A tiny pack with every component, its weights drawn from a seed, and a process that has loaded nothing yet."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from model_handlers.handler import Placement
from model_handlers.nets.joint_embedding import JointEmbedding
from model_handlers.nets.skip_thoughts import SkipThoughts
from model_handlers.nets.story_decoder import StoryDecoder
from model_handlers.nets.vgg import VGG19
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from model_handlers.process_cache import PROCESS_CACHE

CAPTIONS = ["a dog .", "", "two cats", "a dog .", "  ", "A dog .", "caf\u00e9"]
JOINT_WORDS = [["a", 2], ["dog", 3], [".", 4], ["two", 5], ["cats", 6], ["ritz", 7]]
WORDS = ["a", "dog", ".", "two", "cats", "caf\u00e9", "UNK", "<eos>", "Dog"]
STORY_WORDS = [["the", 2], ["sea", 3], [",", 4], [".", 5], ["dropped", 9]]
FEATURE, JOINT, WORD, UNI, BI, STATE = 5, 4, 3, 3, 2, 6
SENTENCE = UNI + 2 * BI


class TinyPack:
    """Writes tiny packs below a folder.

    Attributes:
        folder: where they are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.draw = np.random.default_rng(5)

    def __call__(self, name: str = "tiny", edit: Callable[[PackWriter], None] | None = None) -> Pack:
        """Returns a new pack; `edit` may change it before it is finished."""
        writer = PackWriter(str(self.folder / name))
        writer.card["licence"] = "CC0"
        writer.components.update(
            {
                "features": self._net(writer, "features", VGG19([1] * 16, 4, FEATURE))
                | {"family": "vgg19", "widths": [1] * 16, "hidden": 4, "width": FEATURE},
                "captions": {"texts": writer.add_lines("captions.txt", CAPTIONS)},
                "sentence_encoder": self._sentence_encoder(writer),
                "decoders": {"sea": self._decoder(writer)},
                "styles": {"sea": writer.add_array("sea.npy", self.numbers(SENTENCE))},
                "source_style": writer.add_array("source.npy", self.numbers(SENTENCE)),
            }
        )
        self.add_joint_embedding(writer)
        if edit is not None:
            edit(writer)
        return writer.finish()

    def numbers(self, *shape: int) -> np.ndarray:
        return self.draw.normal(size=shape).astype(np.float32)

    def add_joint_embedding(self, writer: PackWriter, encoder: str = "gru", **more: Any) -> None:
        """Puts a joint embedding into the pack, with `more` in the card."""
        words, dim_word = len(JOINT_WORDS) + 1, JOINT if encoder == "bow" else WORD
        writer.components["joint_embedding"] = (
            self._net(writer, "joint", JointEmbedding(FEATURE, dim_word, JOINT, words, encoder))
            | {"encoder": encoder, "dim_image": FEATURE, "dim_word": dim_word, "dim": JOINT, "n_words": words}
            | {"vocabulary": writer.add_json("joint.json", JOINT_WORDS)}
            | more
        )

    def _sentence_encoder(self, writer: PackWriter) -> dict[str, Any]:
        tables = {
            f"{part}_table": writer.add_array(f"{part}.npy", self.numbers(len(WORDS), WORD)) for part in ("uni", "bi")
        }
        return (
            self._net(writer, "skip", SkipThoughts(WORD, UNI, BI))
            | {"family": "skip_thoughts", "dim_word": WORD, "uni": UNI, "bi": BI, "texts": "bytes"}
            | {"words": writer.add_json("words.json", WORDS)}
            | tables
        )

    def _decoder(self, writer: PackWriter) -> dict[str, Any]:
        net = StoryDecoder(SENTENCE, WORD, STATE, 6, True)
        return (
            self._net(writer, "sea", net)
            | {"family": "gru", "dim_context": SENTENCE, "dim_word": WORD, "dim": STATE, "n_words": 6}
            | {"deep_output": True, "vocabulary": writer.add_json("sea.json", STORY_WORDS)}
        )

    def _net(self, writer: PackWriter, name: str, net: nn.Module) -> dict[str, Any]:
        """Draws a network's weights and writes them; returns the card's entry for them."""
        state = {key: torch.from_numpy(self.numbers(*value.shape)) for key, value in net.state_dict().items()}
        return {"weights": writer.add_tensors(f"{name}.safetensors", state)}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Gives each test an empty cache, and a process without packs and models."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    PROCESS_CACHE.clear()


@pytest.fixture
def tiny_pack(tmp_path: Path) -> TinyPack:
    return TinyPack(tmp_path / "packs")


@pytest.fixture
def place() -> Callable[..., Placement]:
    """Returns the placement of a pack on the CPU."""

    def placed(pack: Pack, **choices: Any) -> Placement:
        return Placement(pack.location, pack.digest, **{"device": "cpu", **choices})

    return placed
