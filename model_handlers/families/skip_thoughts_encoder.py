"""Sentence encoders `skip_thoughts`: word tables and recurrent networks over a text's word vectors."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from model_handlers.families.entry import File, OptionalFile, PackFiles, load_network
from model_handlers.families.protocols import SentenceEncoderEntry
from model_handlers.memory import Limit
from model_handlers.nets.skip_thoughts import SkipThoughts, sentence_width
from model_handlers.nets.tokeniser import tokenise
from model_handlers.pack_card import CARD, PackError
from model_handlers.tensors import on_device

UNKNOWN_WORD, END_WORD = "UNK", "<eos>"


class SkipThoughtsEntry(SentenceEncoderEntry):
    """Card entry for a skip-thought encoder.

    Attributes:
        dim_word: W, width of a word vector.
        uni: state width of the uni part, 0 if there is none.
        bi: state width of each half of the bi part, 0 if there is none.
        weights: file of the network's state.
        words: file of the words that the tables' rows stand for.
        uni_table: file of word vectors `[V, W]` of the uni part.
        bi_table: file of word vectors `[V, W]` of the bi part.
        texts: `bytes` as in Python 2 (no word beyond ASCII is known), or `unicode`.
        lower: look words up in lower case.
        learned_words: number of rows of the tables that the network learned; None if it learned all.
    """

    dim_word: int
    uni: int
    bi: int
    weights: File
    words: File
    uni_table: OptionalFile = None
    bi_table: OptionalFile = None
    texts: str = "unicode"
    lower: bool = False
    learned_words: int | None = None

    @property
    def width(self) -> int:
        """S, the width of a sentence vector."""
        return sentence_width(self.uni, self.bi)

    def tables(self) -> list[str]:
        """Returns the files of the word tables in use, without duplicates."""
        used = [(self.uni, self.uni_table), (self.bi, self.bi_table)]
        return list(dict.fromkeys(file for size, file in used if size and file is not None))

    def build(self) -> SkipThoughts:
        """Returns the module without its weights."""
        return SkipThoughts(self.dim_word, self.uni, self.bi)

    def load(self, files: PackFiles, device: torch.device) -> SkipThoughts:
        """Returns the module with the pack's weights."""
        return load_network(self.build, files, self.weights, device)

    def open(self, files: PackFiles, device: torch.device) -> "SkipThoughtsEncoder":
        """Returns the encoder, ready on the device."""
        return SkipThoughtsEncoder(self, files, device)


class SkipThoughtsEncoder:
    """Skip-thought encoder with its memory-mapped word tables.

    Args:
        entry: entry of the pack's card.
        files: files of the pack.
        device: device on which the network runs; the tables stay in the host's memory.

    Raises:
        PackError: the tables and the words do not fit each other.
    """

    def __init__(self, entry: SkipThoughtsEntry, files: PackFiles, device: torch.device) -> None:
        self.net = entry.load(files, device)
        self.width = entry.width
        self.device = device
        self._limit = Limit("sentence vectors")
        self._as_bytes = entry.texts == "bytes"
        self._lower = entry.lower
        words = files.json(entry.words)
        self._rows = {word: row for row, word in enumerate(words)}
        self._uni = _table(entry, "uni_table", files, len(words)) if entry.uni else None
        self._bi = _table(entry, "bi_table", files, len(words)) if entry.bi else None
        if UNKNOWN_WORD not in self._rows:
            raise PackError([f"{files.location}: the word list has no {UNKNOWN_WORD!r}; it may be truncated"])

    def words(self, text: str | bytes) -> list[str]:
        """Returns a text's tokens in the form that is looked up in the word tables.

        A byte string's tokens that are not ASCII are unknown, as in the original (SPEC section 7).
        """
        if self._as_bytes and isinstance(text, str):
            text = text.encode("utf-8", "surrogateescape")
        words = [token.lower() if self._lower else token for token in tokenise(text)]
        return words if isinstance(text, str) else [word if word.isascii() else UNKNOWN_WORD for word in words]

    def knows(self, word: str) -> bool:
        """Returns whether the word tables have a row for a word of `words`."""
        return word in self._rows

    def rows(self, text: str | bytes, use_eos: bool = False) -> list[int]:
        """Returns the table rows of a text's tokens."""
        unknown = self._rows[UNKNOWN_WORD]
        rows = [self._rows.get(word, unknown) for word in self.words(text)]
        return rows + [self._rows.get(END_WORD, unknown)] * use_eos

    @torch.inference_mode()
    def encode(
        self, texts: Sequence[str | bytes], normalise: bool = True, use_eos: bool = False, batch_size: int = 512
    ) -> np.ndarray:
        """Returns sentence vectors `[N, S]` float32; each text, of one or more sentences, is one sequence.

        Args:
            texts: texts with at least one token each; any texts with `use_eos`.
            normalise: scale the uni part and the bi part each to unit length.
            use_eos: end each text with the `<eos>` vector.
            batch_size: number of texts in a batch; texts are sorted by length first.

        Raises:
            ValueError: a text has no token.
        """
        rows = [self.rows(text, use_eos) for text in texts]
        for text, text_rows in zip(texts, rows, strict=True):
            if not text_rows:
                raise ValueError(f"the text {text!r} has no word to encode")
        encode = partial(self._encode_batch, normalise=normalise)
        vectors = np.empty((len(texts), self.width), np.float32)  # [N, S]
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            vectors[places] = self._limit.run(encode, [rows[place] for place in places])  # [n, S]
        return vectors

    def _encode_batch(self, rows: Sequence[list[int]], normalise: bool) -> np.ndarray:
        lengths = on_device(torch.tensor([len(row) for row in rows]), self.device)  # [n]
        padded = np.zeros((len(rows), max(map(len, rows))), np.int64)  # [n, T]
        for place, row in enumerate(rows):
            padded[place, : len(row)] = row
        uni, bi = self._look_up(self._uni, padded), self._look_up(self._bi, padded)  # [n, T, W], [n, T, W]
        vectors: np.ndarray = self.net(uni, bi, lengths, normalise).cpu().numpy()  # [n, S]
        return vectors

    def _look_up(self, table: np.ndarray | None, rows: np.ndarray) -> torch.Tensor | None:
        if table is None:
            return None
        return on_device(table[rows].astype(np.float32, copy=False), self.device)  # [n, T, W]


def _table(entry: SkipThoughtsEntry, name: str, files: PackFiles, words: int) -> np.ndarray:
    """Returns a word table `[V, W]`."""
    file = getattr(entry, name)
    if file is None:
        raise PackError([f"{files.location}/{CARD}: sentence_encoder: {name} is missing"])
    table, shape = files.array(file), (words, entry.dim_word)
    if table.shape != shape:
        raise PackError([f"{files.location}: a word table has shape {table.shape}, but its words need {shape}"])
    return table
