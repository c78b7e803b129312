"""Pieces: several hundred thousand words of texts in one file, as indices of its own until there is a vocabulary."""

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import numpy as np

from pipelines.corpora.preparation.corpus_records import Lot, Piece
from transforms.write_whole import write_whole

PIECE = 1 << 18  # minimum words of a piece, apart from the last one

Text = tuple[int, Sequence[str]]
"""The number of a text's group (paragraph or photo), and the text's words; the texts of a group are consecutive."""


def text_hash(text: str) -> int:
    """Returns a 64-bit hash of a text; of 15,000 corpora with 50 million texts, one has a collision."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True, eq=False)
class PieceTexts:
    """The texts of a piece.

    Attributes:
        ids: words of all texts as places in `words` `[R]`.
        starts: text i is `ids[starts[i]:starts[i + 1]]` `[n + 1]`.
        groups: number of each text's group `[n]`.
        hashes: hash of each text `[n]`.
        words: different words of the piece.
    """

    ids: np.ndarray
    starts: np.ndarray
    groups: np.ndarray
    hashes: np.ndarray
    words: list[str]

    def save(self, uri: str) -> None:
        """Writes the piece to one file."""
        buffer = io.BytesIO()
        words = np.frombuffer("\n".join(self.words).encode(), np.uint8)
        np.savez(buffer, ids=self.ids, starts=self.starts, groups=self.groups, hashes=self.hashes, words=words)
        write_whole(uri, buffer.getvalue())

    @classmethod
    def load(cls, uri: str) -> "PieceTexts":
        """Returns the piece that `save` wrote."""
        filesystem, path = fsspec.core.url_to_fs(uri)
        with np.load(io.BytesIO(filesystem.cat_file(path)), allow_pickle=False) as arrays:
            words = arrays["words"].tobytes().decode().split("\n")
            return cls(arrays["ids"], arrays["starts"], arrays["groups"], arrays["hashes"], words)


class _Builder:
    """Collects texts until there are enough for a piece."""

    def __init__(self) -> None:
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__
        self.ids: list[int] = []
        self._starts, self.groups, self._hashes = [0], list[int](), list[int]()

    def add(self, group: int, words: Sequence[str]) -> None:
        numbers = self._numbers
        self.ids += [numbers[word] for word in words]
        self._starts.append(len(self.ids))
        self.groups.append(group)
        self._hashes.append(text_hash(" ".join(words)))

    def piece(self) -> PieceTexts:
        return PieceTexts(
            np.asarray(self.ids, np.int32),
            np.asarray(self._starts, np.int64),
            np.asarray(self.groups, np.int64),
            np.asarray(self._hashes, np.uint64),
            list(self._numbers),
        )


def cut_into_pieces(texts: Iterable[Text]) -> Iterator[PieceTexts]:
    """Yields pieces of at least PIECE words, cut only between groups; the last may be smaller or empty."""
    builder = _Builder()
    for group, words in texts:
        if len(builder.ids) >= PIECE and group != builder.groups[-1]:
            yield builder.piece()
            builder = _Builder()
        builder.add(group, words)
    yield builder.piece()


def write_pieces(
    texts: Iterable[Text], left_out: Counter[str], name: str, kind: str, scratch: str
) -> Iterator[tuple[Piece, np.ndarray]]:
    """Yields written pieces and the hashes of their texts.

    Args:
        texts: texts of one kind.
        left_out: counter of what is left out while the texts are read.
        name: prefix of the pieces' names.
        kind: kind of the texts.
        scratch: folder for the files.
    """
    for number, piece in enumerate(cut_into_pieces(texts)):
        uri = f"{scratch}/{name}-{number:05d}.npz"
        piece.save(uri)
        scraps = sum(left_out.values())
        left_out.clear()
        counts = (len(piece.hashes), len(piece.ids), scraps)
        yield Piece(f"{name}-{number:05d}", kind, uri, *counts), piece.hashes


def lots_of(name: str, hashes: np.ndarray, shards: int) -> Iterator[tuple[int, Lot]]:
    """Yields the hashes of a piece with their shards as keys."""
    owners = (hashes % np.uint64(shards)).astype(np.int64)  # [n]
    order = np.argsort(owners, kind="stable")  # [n]
    for places in np.split(order, np.flatnonzero(np.diff(owners[order])) + 1):
        if len(places):
            yield int(owners[places[0]]), Lot(name, places.astype(np.int32), hashes[places])


def find_repeated(element: tuple[int, Iterable[Lot]]) -> Iterator[tuple[str, Any]]:
    """Yields the names of pieces and the places of texts that are already in an earlier piece or place.

    Args:
        element: number of a shard and all of its lots, in any order.
    """
    lots = sorted(element[1], key=_lot_name)
    hashes = np.concatenate([lot.hashes for lot in lots])  # [n]
    again = np.ones(len(hashes), bool)  # [n]
    again[np.unique(hashes, return_index=True)[1]] = False
    ends = np.cumsum([len(lot.hashes) for lot in lots])  # [L]
    for lot, repeated in zip(lots, np.split(again, ends[:-1]), strict=True):
        if repeated.any():
            yield lot.name, lot.places[repeated]


def _lot_name(lot: Lot) -> str:
    return lot.name
