"""The handler that turns captions and passages into skip-thought vectors."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from model_handlers.components import build_sentence_encoder
from model_handlers.handler import PackHandler, Placement, on_device
from model_handlers.memory import Limit
from model_handlers.nets.skip_thoughts import SkipThoughts
from model_handlers.nets.tokeniser import tokenise
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError

UNKNOWN_WORD, END_WORD = "UNK", "<eos>"


class SentenceEncoder:
    """A pack's skip-thought encoder with its memory-mapped word tables.

    Args:
        pack: holds the sentence encoder.
        device: where the network runs; the tables stay in the host's memory.

    Raises:
        PackError: tables and words do not fit each other.
    """

    def __init__(self, pack: Pack, device: torch.device) -> None:
        entry = pack.component("sentence_encoder")
        self.net: SkipThoughts = build_sentence_encoder(pack, device)
        self.device = device
        self._limit = Limit("sentence vectors")
        self._as_bytes = entry.get("texts", "unicode") == "bytes"
        self._lower = entry.get("lower", False)
        words = pack.json(entry["words"])
        self._rows = {word: row for row, word in enumerate(words)}
        self._uni = pack.array(entry["uni_table"]) if entry["uni"] else None
        self._bi = pack.array(entry["bi_table"]) if entry["bi"] else None
        for table in (self._uni, self._bi):
            if table is not None and table.shape != (len(words), entry["dim_word"]):
                shape = (len(words), entry["dim_word"])
                raise PackError([f"{pack.location}: a word table has shape {table.shape}, its words want {shape}"])
        if UNKNOWN_WORD not in self._rows:
            raise PackError([f"{pack.location}: the word list has no {UNKNOWN_WORD!r}; it may be cut short"])

    @property
    def width(self) -> int:
        """S, the width of a sentence vector."""
        return self.net.dim

    def words(self, text: str | bytes) -> list[str]:
        """Returns a text's tokens as they are looked up in the word tables.

        A byte string's tokens that are not ASCII are unknown, as they were to the original (SPEC section 7).
        """
        if self._as_bytes and isinstance(text, str):
            text = text.encode("utf-8", "surrogateescape")
        words = [token.lower() if self._lower else token for token in tokenise(text)]
        return words if isinstance(text, str) else [word if word.isascii() else UNKNOWN_WORD for word in words]

    def knows(self, word: str) -> bool:
        """Tells whether the word tables have a row for a word of `words`."""
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
            texts: each with at least one token, or any with `use_eos`.
            normalise: scale the uni part and the bi part each to unit length.
            use_eos: close each text by the `<eos>` vector.
            batch_size: texts of a batch; they are sorted by length first.

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
        return self.net(uni, bi, lengths, normalise).cpu().numpy()

    def _look_up(self, table: np.ndarray | None, rows: np.ndarray) -> torch.Tensor | None:
        if table is None:
            return None
        return on_device(table[rows].astype(np.float32, copy=False), self.device)  # [n, T, W]


class SentenceHandler(PackHandler[list[str], np.ndarray, SentenceEncoder]):
    """Sentence vectors `[n, S]` float32 from lists of n texts; each list is one element, batched inside by length."""

    def __init__(self, placement: Placement, batch_size: int = 1) -> None:
        super().__init__(placement, batch_size)

    def build(self, pack: Pack, device: torch.device) -> SentenceEncoder:
        return SentenceEncoder(pack, device)

    def infer(self, batch: Sequence[list[str]], model: SentenceEncoder) -> list[np.ndarray]:
        return [model.encode(texts) for texts in batch]
