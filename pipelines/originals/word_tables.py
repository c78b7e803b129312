"""The word tables of skip-thoughts: 2.3 GB of pickled vectors become a plain array that can be memory-mapped.

A published table is an array of objects, some of shape (1, W) and some of shape (W,) (SPEC section 7). Its pickle is
read once for the places of the vectors, which are then copied row by row; neither file is ever in memory as a whole.
"""

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipelines.originals.arrays import Header, Note, check_size, read_header
from pipelines.originals.damage import AGAIN, Damage
from pipelines.originals.dictionaries import mapped
from pipelines.originals.pickle_values import Array
from pipelines.originals.pickles import PickleReader

ROWS = 16384

Reserve = Callable[[tuple[int, int]], np.memmap]
"""Returns an array `[words, W]` to be filled."""


def convert_table(path: Path, words: int | None, width: int | None, reserve: Reserve, note: Note) -> int:
    """Writes the word table at `path` into a new float32 array `[words, W]` and returns how many rows it has.

    Args:
        path: a `.npy` file, of objects or plain.
        words: rows that the dictionary needs; None if the dictionary could not be read.
        width: width W that the encoder reads; None if the encoder could not be read.
        reserve: function that makes the array.
        note: receives a remark on a conversion.

    Raises:
        Damage: the table is cut short, does not fit dictionary or encoder, or holds numbers that are not finite.
    """
    with open(path, "rb") as file:
        header = read_header(file, path.name)
    convert = _convert_objects if header.objects else _convert_plain
    return convert(path, header, words, width, reserve, note)


def _check_fit(name: str, rows: int, columns: int, words: int | None, width: int | None) -> None:
    problems = []
    if words is not None and rows != words:
        problems.append(f"{name}: {rows} rows for the {words} words of dictionary.txt; {AGAIN}, both files")
    if width is not None and columns != width:
        problems.append(f"{name}: vectors of {columns} numbers where the encoder reads {width}; {AGAIN}")
    if problems:
        raise Damage(*problems)


def _convert_plain(
    path: Path, header: Header, words: int | None, width: int | None, reserve: Reserve, note: Note
) -> int:
    check_size(header, path.stat().st_size - header.start, path.name)
    if len(header.shape) != 2:
        raise Damage(f"{path.name}: has shape {header.shape}, not one row a word; {AGAIN}")
    rows, columns = header.shape
    _check_fit(path.name, rows, columns, words, width)
    if header.dtype != np.dtype("<f4"):
        note(f"{path.name}: converted from {header.dtype.name} to float32")
    source = np.load(path, mmap_mode="r", allow_pickle=False)
    table = reserve((rows, columns))
    for first, last in _pieces(path.name, rows):
        table[first:last] = source[first:last]
        _finish_piece(path.name, table, first, last)
    return rows


def _convert_objects(
    path: Path, header: Header, words: int | None, width: int | None, reserve: Reserve, note: Note
) -> int:
    with mapped(path) as buffer:
        reader = PickleReader(buffer, path.name, header.start)
        vectors = _vectors(reader, header)
        columns = _length(vectors[0])
        odd = [row for row, vector in enumerate(vectors) if _length(vector) != columns]
        if odd:
            raise Damage(
                f"{path.name}: row {odd[0]} has {_length(vectors[odd[0]])} numbers, row 0 has {columns}; {AGAIN}"
            )
        _check_fit(path.name, len(vectors), columns, words, width)
        if any(vector.kind is not None and vector.kind.code != "f4" for vector in vectors):
            note(f"{path.name}: converted to float32")
        table = reserve((len(vectors), columns))
        for first, last in _pieces(path.name, len(vectors)):
            for row in range(first, last):
                table[row] = reader.flat(vectors[row])
            _finish_piece(path.name, table, first, last)
            if isinstance(buffer, mmap.mmap):
                buffer.madvise(mmap.MADV_DONTNEED)
    return len(vectors)


def _vectors(reader: PickleReader, header: Header) -> list[Array]:
    """Returns the table's vectors as places in the file."""
    with tqdm(
        total=reader.size, unit="B", unit_scale=True, desc=f"{reader.name}: finding rows", leave=False, delay=1
    ) as bar:

        def show(place: int) -> None:
            bar.update(place - bar.n)

        reader.progress = show
        table = reader.read()
        reader.progress = None
    reader.memo = []
    vectors = table.data if isinstance(table, Array) and table.shape == header.shape else None
    if not isinstance(vectors, list) or not vectors or not all(map(_is_plain, vectors)):
        raise Damage(f"{reader.name}: not an array of word vectors; {AGAIN}")
    return vectors


def _is_plain(vector: object) -> bool:
    return isinstance(vector, Array) and vector.kind is not None and vector.kind.code in ("f2", "f4", "f8")


def _length(vector: Array) -> int:
    return int(np.prod(vector.shape, dtype=np.int64))


def _pieces(name: str, rows: int) -> Iterator[tuple[int, int]]:
    """Yields the first and last row of each piece, showing progress."""
    with tqdm(total=rows, unit=" rows", unit_scale=True, desc=f"{name}: copying", leave=False, delay=1) as bar:
        for first in range(0, rows, ROWS):
            last = min(first + ROWS, rows)
            yield first, last
            bar.update(last - first)


def _finish_piece(name: str, table: np.memmap, first: int, last: int) -> None:
    """Checks the rows just written and flushes them to disk."""
    finite = np.isfinite(table[first:last]).all(axis=1)
    if not finite.all():
        raise Damage(f"{name}: row {first + int(np.argmin(finite))} holds numbers that are not finite; {AGAIN}")
    mapping = getattr(table, "_mmap", None)
    if isinstance(mapping, mmap.mmap):
        mapping.madvise(mmap.MADV_DONTNEED)
