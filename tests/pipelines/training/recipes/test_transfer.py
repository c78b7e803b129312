"""Weights for more words: rows that are known stay, and new ones come from a linear map."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from configs.schema import ConfigError
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines.corpora.texts import Vocabulary
from pipelines.training.packing.assembly import _add_sentence_encoder, add_decoder
from pipelines.training.recipes import transfer as growing
from pipelines.training.recipes.thoughts import Autoencoder, ThoughtsConfig
from pipelines.training.recipes.transfer import decoder_of, grow, read_start, without_start

OUTSIDE = {"ant": 0.0, "bee": 1.0, "cat": 2.0, "dog": 3.0, "eel": 4.0}
OLD, NEW = Vocabulary(["ant", "bee", "cat"]), Vocabulary(["dog", "cat", "ant"])


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives each word an outside vector of one number."""
    monkeypatch.setattr(growing, "outside_vectors", lambda words: np.asarray([[OUTSIDE[word]] for word in words]))


@pytest.fixture
def weights() -> dict[str, Tensor]:
    """Returns tables `[5, 2]` whose rows are linear in the outside vectors, and a bias for each word."""
    rows = torch.tensor([[-1.0, -1], [-2, -2], [10, 0], [11, -2], [12, -4]])  # [5, 2]
    tables = {name: rows * scale for scale, name in enumerate(growing.WORD_TABLES, start=1)}
    return tables | {growing.WORD_BIAS: torch.tensor([9.0, 8, 1, 2, 3]), "encoder.other": torch.ones(2)}


def test_known_words_keep_their_rows_and_new_ones_follow_the_map(weights: dict[str, Tensor]) -> None:
    grown = grow(weights, OLD, NEW)
    wanted = torch.tensor([[-1.0, -1], [-2, -2], [13, -6], [12, -4], [10, 0]])  # [5, 2]: end, unknown, dog, cat, ant
    for scale, name in enumerate(growing.WORD_TABLES, start=1):
        torch.testing.assert_close(grown[name], wanted * scale, atol=0.02, rtol=0)
        assert torch.equal(grown[name][[0, 1, 3, 4]], wanted[[0, 1, 3, 4]] * scale)
    assert grown[growing.WORD_BIAS].tolist() == pytest.approx([9, 8, 1.2, 3, 1])  # dog's: the 5% quantile
    assert torch.equal(grown["encoder.other"], weights["encoder.other"])


def test_fewer_words_ask_for_no_map_and_the_same_words_for_nothing(weights: dict[str, Tensor]) -> None:
    fewer = grow(weights, OLD, Vocabulary(["cat"]))
    assert fewer["table.weight"].tolist() == [[-1, -1], [-2, -2], [12, -4]]
    same = grow(weights, OLD, Vocabulary(OLD.words))
    assert all(torch.equal(same[name], weight) for name, weight in weights.items()) and same is not weights


def _trained(folder: Path, words: Vocabulary, seed: int = 0) -> dict[str, Tensor]:
    """Returns the weights of a tiny autoencoder that are left in a training's folder."""
    torch.manual_seed(seed)
    state = Autoencoder(ThoughtsConfig(dim_word=3, bi=2, dim=5), words.size).state_dict()
    folder.mkdir(parents=True)
    save_file(state, folder / "best.safetensors")
    (folder / "words.json").write_text(json.dumps(words.words))
    return state


def test_a_folders_weights_make_a_decoder(tmp_path: Path) -> None:
    state = _trained(tmp_path / "thoughts", OLD)
    weights, words = read_start(str(tmp_path / "thoughts"))
    assert words.words == OLD.words and weights.keys() == state.keys()
    decoder = decoder_of(grow(weights, words, NEW))
    assert decoder.logits.weight.shape == (5, 3) and decoder.state.weight.shape == (5, 4)
    assert torch.equal(decoder.cell.weight_hh, state["decoder.cell.weight_hh"])
    started = without_start(weights)
    assert {f"decoder.{name}" for name in started} == {
        name for name in state if name.startswith("decoder.") and not name.startswith("decoder.state.")
    }


@pytest.fixture
def make_pack(tmp_path: Path) -> Callable[[Vocabulary], Pack]:
    """Returns a function that makes a pack of a sentence encoder with the words OLD, and a decoder with some words."""

    def make(words: Vocabulary) -> Pack:
        _trained(tmp_path / "thoughts", OLD)
        state = _trained(tmp_path / "decoder", words, seed=1)
        weights = {name.removeprefix("decoder."): value for name, value in state.items() if name.startswith("decoder.")}
        save_file(weights, tmp_path / "decoder" / "best.safetensors")
        writer = PackWriter(str(tmp_path / "encoder"))
        _add_sentence_encoder(writer, tmp_path / "thoughts")
        old = writer.finish()
        return add_decoder(old.location, tmp_path / "decoder", tmp_path / "pack", "tales", {})

    return make


def test_a_packs_weights_are_those_of_an_autoencoder(make_pack: Callable[[Vocabulary], Pack], tmp_path: Path) -> None:
    weights, words = read_start(make_pack(OLD).location)
    assert words.words == OLD.words
    state, _ = read_start(str(tmp_path / "thoughts"))
    assert weights.keys() == {name for name in state if name.startswith(("table", "encoder", "decoder"))}
    for name in ("table.weight", "encoder.bi_forward.weight_hh_l0"):
        torch.testing.assert_close(weights[name], state[name], atol=1e-3, rtol=1e-3)  # half precision
    model = Autoencoder(ThoughtsConfig(dim_word=3, bi=2, dim=5), words.size)
    left = model.load_state_dict(weights, strict=False)
    assert not left.unexpected_keys and {name.split(".")[0] for name in left.missing_keys} == {
        "own_bag",
        "next_bag",
        "follower",
    }


def test_a_pack_whose_decoder_has_other_words_is_refused(make_pack: Callable[[Vocabulary], Pack]) -> None:
    pack = make_pack(Vocabulary(["bee", "ant", "cat"]))
    with pytest.raises(ConfigError, match="its decoder has other words than its sentence encoder"):
        read_start(pack.location)
