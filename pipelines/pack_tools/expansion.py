"""Vocabulary expansion: word vectors for words that an encoder never learned, by a linear map from outside vectors.

Skip-thoughts (Kiros et al. 2015, section 2.2) was trained on 20,000 words and read 930,000: a regression from word2vec
to its own word space, fitted on the words that both know, placed the others (SPEC section 13). Here wordllama's
vectors, or any others, replace word2vec's.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

_WEIGHTS, _TOKENISER = "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"
_BATCH = 4096  # words cut into tokens at once


def expand(known: np.ndarray, table: np.ndarray, new: np.ndarray, ridge: float = 1e-3) -> np.ndarray:
    """Returns word vectors `[M, W]` of new words, by the linear map that fits the words that both spaces know.

    Args:
        known: outside vectors of the words that both know `[K, D]`.
        table: the encoder's own vectors of them `[K, W]`.
        new: outside vectors of the new words `[M, D]`.
        ridge: weight of the map's squared size against the squared error, in units of the outside vectors' mean
            variance over the K words; it keeps the map finite when K is small.
    """
    centre, goal = known.mean(axis=0, dtype=np.float64), table.mean(axis=0, dtype=np.float64)  # [D], [W]
    rows, wanted = known - centre, table - goal  # [K, D], [K, W]
    square = rows.T @ rows  # [D, D]
    square[np.diag_indices_from(square)] += ridge * (np.trace(square) / len(square) or 1.0)
    linear = np.linalg.solve(square, rows.T @ wanted)  # [D, W]
    mapped: np.ndarray = ((new - centre) @ linear + goal).astype(np.float32)
    return mapped


def outside_vectors(words: Sequence[str]) -> np.ndarray:
    """Returns wordllama's vectors of words `[N, D]`: means over each word's tokens, or zeros for words without tokens.

    The package's files are read directly; the package is not imported, and nothing is downloaded.

    Raises:
        ModuleNotFoundError: wordllama or tokenizers is not installed.
    """
    from tokenizers import Tokenizer  # installed with wordllama, which only training needs

    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("wordllama is not installed; pip install 'beam-storyteller[train]'", name="wordllama")
    folder = Path(spec.submodule_search_locations[0])
    (table,) = load_file(folder / _WEIGHTS).values()  # [T, D]
    tokeniser = Tokenizer.from_file(str(folder / _TOKENISER))
    tokeniser.no_padding()
    vectors = np.zeros((len(words), table.shape[1]), np.float32)  # [N, D]
    for first in range(0, len(words), _BATCH):
        cut = tokeniser.encode_batch(list(words[first : first + _BATCH]), add_special_tokens=False)
        for row, tokens in enumerate(cut, start=first):
            if tokens.ids:
                vectors[row] = table[tokens.ids].mean(axis=0, dtype=np.float32)
    return vectors


def cut_down(vectors: np.ndarray, width: int, deviation: float = 0.06) -> np.ndarray:
    """Returns outside vectors `[N, D]` on their first principal axes `[N, W]`, scaled to a standard `deviation`."""
    rows = vectors - vectors.mean(axis=0)  # [N, D]
    axes = np.linalg.eigh(rows.T @ rows)[1][:, ::-1][:, :width]  # [D, W]
    cut = rows @ axes  # [N, W]
    scaled: np.ndarray = (cut * (deviation / cut.std())).astype(np.float32)
    return scaled
