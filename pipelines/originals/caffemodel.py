"""A reader of Caffe's weight files without Caffe: the few fields of its protobuf messages that hold layers and blobs.

Field numbers are facts of Caffe's public schema (SPEC section 3); unknown fields are skipped.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.originals.damage import AGAIN, Damage
from pipelines.originals.dictionaries import mapped

_OLD_LAYERS, _LAYERS = 2, 100
_OLD_NAME, _NAME = 4, 1
_OLD_BLOBS, _BLOBS = 6, 7
_SIDES = (1, 2, 3, 4)  # num, channels, height, width
_DATA, _SHAPE, _DIM = 5, 7, 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_UNPACKED = np.dtype([("tag", "u1"), ("number", "<f4")])

Span = tuple[int, int]


class _Cut(Exception):
    """The message ends in the middle of a field, or is not a message."""


@dataclass
class _Blob:
    """A blob being read: its sides in the old form or its shape in the new one, and the pieces of its numbers."""

    sides: dict[int, int] = field(default_factory=dict)
    shape: list[int] = field(default_factory=list)
    pieces: list[np.ndarray] = field(default_factory=list)


def read_caffemodel(path: Path) -> dict[str, list[np.ndarray]]:
    """Returns the float32 blobs of every layer that has any, by the layer's name; weights come before biases.

    Raises:
        Damage: the file is cut short, or is not a weight file of Caffe.
    """
    with mapped(path) as buffer:
        assert isinstance(buffer, mmap.mmap)
        try:
            layers = dict(_layers(buffer))
        except (_Cut, UnicodeDecodeError) as error:
            raise Damage(f"{path.name}: cut short or not a caffemodel ({error}); {AGAIN}") from error
    found = {name: blobs for name, blobs in layers.items() if blobs}
    if not found:
        raise Damage(f"{path.name}: holds no layers with weights, so is not a caffemodel; {AGAIN}")
    return found


def _layers(buffer: mmap.mmap) -> Iterator[tuple[str, list[np.ndarray]]]:
    for number, kind, value in _fields(buffer, (0, len(buffer))):
        if kind == _BYTES and number in (_OLD_LAYERS, _LAYERS):
            assert isinstance(value, tuple)
            names = (_OLD_NAME, _OLD_BLOBS) if number == _OLD_LAYERS else (_NAME, _BLOBS)
            yield _layer(buffer, value, *names)


def _layer(buffer: mmap.mmap, span: Span, name_field: int, blobs_field: int) -> tuple[str, list[np.ndarray]]:
    name, blobs = "", []
    for number, kind, value in _fields(buffer, span):
        if kind != _BYTES or not isinstance(value, tuple):
            continue
        if number == name_field:
            name = buffer[value[0] : value[1]].decode("utf-8")
        elif number == blobs_field:
            blobs.append(_blob(buffer, value))
    return name, blobs


def _blob(buffer: mmap.mmap, span: Span) -> np.ndarray:
    """Returns a blob's numbers in its shape."""
    blob = _Blob()
    for number, kind, value in _fields(buffer, span):
        if number in _SIDES and kind == _VARINT and isinstance(value, int):
            blob.sides[number] = value
        elif number == _SHAPE and kind == _BYTES and isinstance(value, tuple):
            blob.shape += _dimensions(buffer, value)
        elif number == _DATA and isinstance(value, tuple):
            blob.pieces.append(_numbers(buffer, value, kind))
    shape = blob.shape or [blob.sides[side] for side in _SIDES if side in blob.sides]
    numbers = np.concatenate(blob.pieces) if blob.pieces else np.zeros(0, "<f4")
    expected = 1
    for side in shape:
        expected *= side
    if expected != numbers.size:
        raise _Cut(f"a blob of shape {tuple(shape)[:8]} holds {numbers.size} numbers")
    return numbers.reshape(shape)


def _dimensions(buffer: mmap.mmap, span: Span) -> list[int]:
    """Returns the sides of a BlobShape, packed or not."""
    sides = []
    for number, kind, value in _fields(buffer, span):
        if number == _DIM and isinstance(value, int):
            sides.append(value)
        elif number == _DIM and kind == _BYTES and isinstance(value, tuple):
            place = value[0]
            while place < value[1]:
                side, place = _varint(buffer, place, value[1])
                sides.append(side)
    return sides


def _numbers(buffer: mmap.mmap, span: Span, kind: int) -> np.ndarray:
    """Returns a copy of packed numbers, or of a run of unpacked ones, which each follow their own tag."""
    content = buffer[span[0] : span[1]]
    if kind == _FIXED32:
        return np.frombuffer(content, _UNPACKED)["number"].copy()
    if len(content) % 4:
        raise _Cut("numbers of an odd length")
    return np.frombuffer(content, "<f4")


def _fields(buffer: mmap.mmap, span: Span) -> Iterator[tuple[int, int, int | Span]]:
    """Yields field number, wire type, and value or place of each field of a message.

    A run of unpacked floats of one field is one place that spans all of them, tags included.
    """
    place, stop = span
    while place < stop:
        start = place
        tag, place = _varint(buffer, place, stop)
        number, kind = tag >> 3, tag & 7
        value: int | Span
        if kind == _VARINT:
            value, place = _varint(buffer, place, stop)
        elif kind == _BYTES:
            length, place = _varint(buffer, place, stop)
            value, place = (place, place + length), place + length
        elif kind == _FIXED32 and number == _DATA:
            place = _run_end(buffer, start, stop, tag)
            value = (start, place)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
            value, place = (place, place + size), place + size
        else:
            raise _Cut(f"wire type {kind} at byte {start}")
        if place > stop:
            raise _Cut(f"a field of {place - start} bytes at byte {start} where {stop - start} are left")
        yield number, kind, value


def _run_end(buffer: mmap.mmap, start: int, stop: int, tag: int) -> int:
    """Returns the end of a run of unpacked floats, given its first tag."""
    whole = (stop - start) // _UNPACKED.itemsize
    if not whole:
        raise _Cut(f"a number at byte {start}")
    content = buffer[start : start + whole * _UNPACKED.itemsize]
    others = np.flatnonzero(np.frombuffer(content, _UNPACKED)["tag"] != tag)
    return start + (int(others[0]) if others.size else whole) * _UNPACKED.itemsize


def _varint(buffer: mmap.mmap, place: int, stop: int) -> tuple[int, int]:
    """Returns a variable-length number and the place after it."""
    value = shift = 0
    while place < stop and shift < 70:
        byte = buffer[place]
        value |= (byte & 0x7F) << shift
        place += 1
        shift += 7
        if byte < 0x80:
            return value, place
    raise _Cut(f"a number without an end at byte {place}")
