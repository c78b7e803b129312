"""The values that a pickle of the originals may hold, and the globals that it may name."""

from typing import Any

import numpy as np

ORDERED_DICT, RECONSTRUCT, NDARRAY, DTYPE, ENCODE = "OrderedDict", "_reconstruct", "ndarray", "dtype", "encode"
ADMITTED = {
    ("collections", "OrderedDict"): ORDERED_DICT,
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy", "ndarray"): NDARRAY,
    ("numpy", "dtype"): DTYPE,
    ("_codecs", "encode"): ENCODE,
}
KINDS = frozenset(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"])
OBJECTS = frozenset(["O", "O4", "O8"])


class Global:
    """The mark of an admitted global."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Blob:
    """A long string, as its place in the file."""

    __slots__ = ("start", "stop")

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop


class Kind:
    """The type of an array's elements: a numpy code such as `f4`, or `O`."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "="

    @property
    def numpy(self) -> np.dtype:
        """Returns numpy's type."""
        return np.dtype(self.order + self.code)


class Array:
    """An array in the pickle; `data` is a list for objects, a string otherwise, None while it is empty."""

    __slots__ = ("data", "fortran", "kind", "shape")

    def __init__(self) -> None:
        self.kind: Kind | None = None
        self.shape: tuple[int, ...] = ()
        self.fortran = False
        self.data: Any = None


class Mark:
    """The mark on the stack below the items of a list, tuple or dictionary."""

    __slots__ = ()


MARK = Mark()
