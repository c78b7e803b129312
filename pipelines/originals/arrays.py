"""Checked readers of `.npy` and `.npz` files: damage is found in their structure before a number is used."""

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from pipelines.originals.damage import AGAIN, Damage

_MAGIC = b"\x93NUMPY"
_PIECE = 1 << 24
_LARGEST = 1 << 34

_UNREADABLE = (
    ValueError, TypeError, SyntaxError, tokenize.TokenError, RecursionError, OSError, EOFError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip

Note = Callable[[str], None]


@dataclass(frozen=True)
class Header:
    """Header of a `.npy` file; `start` is the offset of its content."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    start: int

    @property
    def objects(self) -> bool:
        """Returns whether the elements are Python objects."""
        return bool(self.dtype.hasobject)

    @property
    def bytes(self) -> int:
        """Returns how many bytes the content has."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: BinaryIO, name: str) -> Header:
    """Returns the header of a `.npy` file or member, leaving `file` at its content.

    Raises:
        Damage: this is no `.npy` file.
    """
    try:
        version = np.lib.format.read_magic(file)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            raise ValueError(f"format version {version}")
        shape, fortran, dtype = readers[version](file)
    except _UNREADABLE as error:
        raise Damage(f"{name}: not a .npy array ({_first_line(error)}); {AGAIN}") from error
    if any(count < 0 for count in shape):
        raise Damage(f"{name}: its header says the shape is {shape}; {AGAIN}")
    return Header(shape, dtype, fortran, file.tell())


def read_npy(path: Path, note: Note) -> np.ndarray:
    """Returns a `.npy` file's numbers as float32.

    Raises:
        Damage: the file is no array, is cut short, holds Python objects or numbers that are not finite.
    """
    with open(path, "rb") as file:
        header = read_header(file, path.name)
        check_size(header, path.stat().st_size - header.start, path.name)
        return _content(header, file.read(), path.name, note)


def check_size(header: Header, held: int, name: str) -> None:
    """Raises `Damage` unless a plain array holds as many bytes as its header says."""
    if header.objects:
        raise Damage(f"{name}: holds Python objects where plain numbers belong; {AGAIN}")
    if header.dtype.kind not in "fiu":
        raise Damage(f"{name}: holds {header.dtype}, not numbers; {AGAIN}")
    if held != header.bytes:
        fault = "cut short" if held < header.bytes else "too long"
        raise Damage(f"{name}: {fault}, {held} bytes of numbers where its header says {header.bytes}; {AGAIN}")


def as_float32(array: np.ndarray, name: str, note: Note) -> np.ndarray:
    """Returns `array` as float32, with a note if it had another precision.

    Raises:
        Damage: a number is not finite.
    """
    if array.dtype != np.dtype("<f4"):
        note(f"{name}: converted from {array.dtype.name} to float32")
    with np.errstate(over="ignore"):
        array = np.asarray(array, dtype="<f4")
    if not np.isfinite(array).all():
        raise Damage(f"{name}: holds numbers that are not finite; {AGAIN}")
    return array


class Npz:
    """An opened `.npz` file whose arrays are read one by one, by name.

    Raises:
        Damage: the file is no zip file, or its directory is cut off.
    """

    def __init__(self, path: Path, note: Note) -> None:
        self.name = path.name
        self.note = note
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise Damage(f"{path.name}: cut short or not an .npz file ({_first_line(error)}); {AGAIN}") from error
        self.members = {member.filename.removesuffix(".npy"): member for member in self._zip.infolist()}

    def __contains__(self, array: str) -> bool:
        """Returns whether there is an array of this name."""
        return array in self.members

    def array(self, array: str) -> np.ndarray:
        """Returns one array as float32.

        Raises:
            Damage: it is missing, corrupt or not finite.
        """
        name = f"{self.name}: {array}"
        if array not in self.members:
            raise Damage(f"{name} is missing; {AGAIN}")
        member = self.members[array]
        try:
            with self._zip.open(member) as file:
                header = read_header(file, name)  # type: ignore[arg-type]
                check_size(header, member.file_size - header.start, name)
                if header.bytes > _LARGEST:
                    raise Damage(f"{name}: {header.bytes} bytes, more than any original array; {AGAIN}")
                content = _read(file, header.bytes)  # type: ignore[arg-type]
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise Damage(f"{name} is corrupt ({_first_line(error)}); {AGAIN}") from error
        return _content(header, content, name, self.note)

    def tensors(self, arrays: Iterable[str]) -> dict[str, Tensor]:
        """Returns arrays by name as float32 tensors.

        Raises:
            Damage: lists every one of them that is missing or damaged.
        """
        found, problems = {}, []
        for array in arrays:
            try:
                found[array] = torch.from_numpy(self.array(array))  # [its shape]
            except Damage as damage:
                problems += damage.problems
        if problems:
            raise Damage(*problems)
        return found


def require_shapes(name: str, tensors: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> None:
    """Raises `Damage` that lists every tensor whose shape does not fit the others."""
    problems = [
        f"{name}: {array} has shape {tuple(tensors[array].shape)} where the other sizes want {shape}; {AGAIN}"
        for array, shape in shapes.items()
        if tuple(tensors[array].shape) != shape
    ]
    if problems:
        raise Damage(*problems)


def _read(file: BinaryIO, count: int) -> bytes:
    """Returns `count` bytes after reading to the end, so that zip compares the checksum."""
    content = io.BytesIO()
    while piece := file.read(_PIECE):
        content.write(piece)
        if content.tell() > count:
            break
    return content.getvalue()


def _content(header: Header, content: bytes, name: str, note: Note) -> np.ndarray:
    flat = np.frombuffer(content, header.dtype)
    array = flat.reshape(header.shape, order="F" if header.fortran else "C")
    return np.array(as_float32(array, name, note), dtype="<f4", order="C")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
