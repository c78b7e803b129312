"""Vocabulary expansion: an exact map is found, few words still give one, wordllama's vectors are read and cut down."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from pipelines.pack_tools.expansion import cut_down, expand, outside_vectors


def test_finds_a_linear_map_with_an_offset() -> None:
    draw = np.random.default_rng(1)
    linear, offset = draw.standard_normal((5, 3)), draw.standard_normal(3)  # [D, W], [W]
    known, new = draw.standard_normal((400, 5)), draw.standard_normal((7, 5))  # [K, D], [M, D]
    made = expand(known.astype(np.float32), known @ linear + offset, new, ridge=1e-9)
    np.testing.assert_allclose(made, new @ linear + offset, atol=1e-5)
    assert made.dtype == np.float32


def test_fewer_words_than_dimensions_still_give_finite_vectors() -> None:
    draw = np.random.default_rng(1)
    table = draw.standard_normal((3, 2))  # [K, W]
    known = draw.standard_normal((3, 9))  # [K, D]
    np.testing.assert_allclose(expand(known, table, known, ridge=1e-6), table, atol=1e-3)
    assert np.isfinite(expand(known[:1], table[:1], known)).all()


def test_wordllamas_vectors_as_the_package_gives_them() -> None:
    words = ["cat", "brontosaurus", "n't", "``", "é", ""]
    inference = pytest.importorskip("wordllama.inference")
    folder = Path(inference.__file__).parent
    (table,) = load_file(folder / "weights" / "l2_supercat_256.safetensors").values()  # [T, D]
    tokeniser = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    theirs = inference.WordLlamaInference(table, tokeniser).embed(words)  # [N, D]
    np.testing.assert_allclose(outside_vectors(words), theirs, atol=1e-6)


def test_cut_down_keeps_the_axis_along_which_words_differ_most() -> None:
    vectors = np.asarray([[5, 1], [5, 2], [5, 9]], np.float32)  # [N, D]; less their mean: -3, -2 and 5 along one axis
    cut = cut_down(vectors, 1)
    assert cut.shape == (3, 1) and cut.dtype == np.float32
    np.testing.assert_allclose(np.abs(cut[:, 0]), 0.06 * np.asarray([3, 2, 5]) / np.sqrt(38 / 3), rtol=1e-4)
    assert np.sign(cut[0, 0]) == np.sign(cut[1, 0]) == -np.sign(cut[2, 0])


def test_cut_down_to_all_axes_keeps_distances() -> None:
    vectors = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)  # [N, D]
    cut = cut_down(vectors, 4, deviation=1.0)
    assert cut.std() == pytest.approx(1, abs=1e-5)
    ratios = np.linalg.norm(cut[:-1] - cut[1:], axis=1) / np.linalg.norm(vectors[:-1] - vectors[1:], axis=1)  # [N - 1]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)
    assert (np.diff(cut.var(axis=0)) <= 0).all()
