"""Writes shards: the texts of each kind, in files that can be memory-mapped."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.corpora.preparation.corpus_records import ARRAYS, Kept, Piece, Rules, Shard, Written
from pipelines.corpora.preparation.pieces import PieceTexts
from pipelines.corpora.preparation.word_counts import kept_texts
from pipelines.corpora.texts import UNKNOWN, Vocabulary
from transforms.write_whole import write_whole


def plan_shards(pieces: Iterable[Piece], words: int) -> dict[str, int]:
    """Returns the shard of each piece by name; shards take pieces of one kind by name, up to about `words`."""
    shards: dict[str, int] = {}
    kind, number, filled = "", 0, 0
    for piece in sorted(pieces, key=_name):
        if piece.kind != kind:
            kind, number, filled = piece.kind, 0, 0
        elif filled and filled + piece.words > words:
            number, filled = number + 1, 0
        shards[piece.name] = number
        filled += piece.words
    return shards


def _name(piece: Piece) -> str:
    return piece.name


def key_by_shard(kept: Kept, shards: dict[str, int]) -> tuple[str, Kept]:
    """Returns a piece with the name of its shard as key."""
    return f"{kept.piece.kind}/{shards[kept.piece.name]:05d}", kept


@dataclass(frozen=True, eq=False)
class Encoded:
    """Texts as ids of the vocabulary: ids `[R]`, lengths `[n]`, neighbours `[n]` as places or -1."""

    ids: np.ndarray
    lengths: np.ndarray
    neighbours: np.ndarray
    unknown: int  # number of texts left out for unknown words


def encode(texts: PieceTexts, repeated: np.ndarray, ids: dict[str, int], share: float, is_book: bool) -> Encoded:
    """Returns the texts that are not repeated and have at most a `share` of unknown words."""
    table = np.asarray([ids.get(word, UNKNOWN) for word in texts.words], np.int32)
    encoded = table[texts.ids]  # [R]
    lengths = np.diff(texts.starts)  # [n]
    owners = np.repeat(np.arange(len(lengths)), lengths)  # [R]
    strange = np.bincount(owners[encoded == UNKNOWN], minlength=len(lengths)) > share * lengths  # [n]
    single = kept_texts(texts, repeated)  # [n]
    kept = single & ~strange  # [n]
    places, groups = np.flatnonzero(kept), texts.groups[kept]  # [m], [m]
    neighbours = next_ones(groups, places) if is_book else other_ones(groups)  # [m]
    return Encoded(encoded[kept[owners]], lengths[kept], neighbours, int((single & strange).sum()))


def next_ones(groups: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns the place of the text right after each one in its group, or -1 `[n]`."""
    following = np.full(len(groups), -1, np.int64)  # [n]
    near = np.flatnonzero((np.diff(groups) == 0) & (np.diff(places) == 1))
    following[near] = near + 1
    return following


def other_ones(groups: np.ndarray) -> np.ndarray:
    """Returns the place of the next text in the group, after the last the first; -1 for a single text `[n]`."""
    if not len(groups):
        return np.zeros(0, np.int64)
    following = np.arange(1, len(groups) + 1, dtype=np.int64)  # [n]
    firsts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))  # [g]
    lasts = np.append(firsts[1:], len(groups)) - 1  # [g]
    following[lasts] = np.where(firsts == lasts, -1, firsts)
    return following


def write_shard(element: tuple[str, Iterable[Kept]], words: Sequence[str], rules: Rules, output: str) -> Shard:
    """Writes and returns a shard; the same pieces give the same bytes.

    Its arrays are the ids of the texts (int32) `[R]`, their starts (int64) `[n + 1]`, and the places of their
    neighbours within the shard (int64) `[n]`.
    """
    name, pieces = element
    ids = Vocabulary(words).ids
    parts: list[Encoded] = []
    for kept in sorted(pieces, key=_piece_name):
        is_book = rules.is_book(kept.piece.kind)
        parts.append(encode(PieceTexts.load(kept.piece.uri), kept.repeated, ids, rules.unknown, is_book))
    offsets = np.cumsum([0, *(len(part.lengths) for part in parts)])
    arrays = (
        np.concatenate([part.ids for part in parts]),
        np.cumsum(np.concatenate([[0], *(part.lengths for part in parts)]), dtype=np.int64),
        np.concatenate(
            [
                np.where(part.neighbours < 0, -1, part.neighbours + offset)
                for part, offset in zip(parts, offsets[:-1], strict=True)
            ]
        ),
    )
    files = [_write(f"{name}.{kind}.npy", array, output) for kind, array in zip(ARRAYS, arrays, strict=True)]
    kind, _, number = name.partition("/")
    unknown = sum(part.unknown for part in parts)
    return Shard(kind, int(number), len(arrays[2]), len(arrays[0]), unknown, tuple(files))


def _piece_name(kept: Kept) -> str:
    return kept.piece.name


def _write(path: str, array: np.ndarray, output: str) -> Written:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return write_bytes(path, buffer.getvalue(), output)


def write_bytes(path: str, data: bytes, output: str) -> Written:
    """Writes a file in OUTPUT and returns its record."""
    write_whole(f"{output}/{path}", data)
    return Written(path, hashlib.sha256(data).hexdigest(), len(data))
