"""The state of a pickle being read, and the few operations that its opcodes may perform."""

import mmap
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from pipelines.originals.damage import AGAIN, Damage
from pipelines.originals.pickle_values import (
    DTYPE,
    ENCODE,
    KINDS,
    MARK,
    NDARRAY,
    OBJECTS,
    ORDERED_DICT,
    RECONSTRUCT,
    Array,
    Blob,
    Global,
    Kind,
)

Buffer = bytes | mmap.mmap
Value = TypeVar("Value")

_LONG = 256
_RELEASE = 1 << 26


class PickleMachine:
    """Buffer, stack and memo that the opcodes of a pickle work on, and the values that they may make.

    Args:
        buffer: bytes, or a memory map of a file.
        name: the file's name in messages.
        start: where the first pickle starts.
    """

    def __init__(self, buffer: Buffer, name: str, start: int = 0) -> None:
        self.buffer = buffer
        self.name = name
        self.place = start
        self.size = len(buffer)
        self.stack: list[Any] = []
        self.memo: list[Any] = []
        self.far_memo: dict[int, Any] = {}
        self.progress: Callable[[int], None] | None = None
        self._shapes: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._released = start

    def array(self, array: Array) -> np.ndarray:
        """Returns the numbers of an `Array`, copied out of the file.

        Raises:
            Damage: the array is unfinished or holds objects.
        """
        if array.kind is None or array.kind.code == "O":
            raise Damage(f"{self.name}: holds an array without numbers; {AGAIN}")
        flat = self.flat(array)
        return flat.reshape(array.shape, order="F" if array.fortran else "C").copy()

    def flat(self, array: Array) -> np.ndarray:
        """Returns a view of an `Array`'s numbers in the order of the file; `read` has checked their count."""
        assert array.kind is not None
        if isinstance(array.data, Blob):
            kind = array.kind.numpy
            count = (array.data.stop - array.data.start) // kind.itemsize
            return np.frombuffer(self.buffer, kind, count, array.data.start)
        return np.frombuffer(array.data, array.kind.numpy)

    def raw(self, value: Value | Blob) -> Value | bytes:
        """Returns a `Blob` as bytes, anything else as it is."""
        return self.buffer[value.start : value.stop] if isinstance(value, Blob) else value

    def release(self, stop: int) -> None:
        """Releases the memory of a mapped file up to `stop`, from time to time; it can be read again at any time."""
        if stop - self._released > _RELEASE:
            self._released = stop
            if isinstance(self.buffer, mmap.mmap):
                self.buffer.madvise(mmap.MADV_DONTNEED)
            if self.progress is not None:
                self.progress(stop)

    # The stack

    def refusal(self, what: str) -> Damage:
        """Returns the error that refuses what the pickle asks for."""
        return Damage(
            f"{self.name}: refused, the pickle asks for {what} (byte {self.place}), which no original file does. "
            "Do not trust this file; get it from where the originals were published"
        )

    def pop(self) -> object:
        """Removes the top of the stack and returns it."""
        value = self.stack.pop()
        if value is MARK:
            raise ValueError("a mark where a value belongs")
        return value

    def pop_mark(self) -> list[Any]:
        """Removes the newest mark and all above it, and returns the values above it."""
        stack = self.stack
        place = len(stack) - 1
        while stack[place] is not MARK:
            place -= 1
            if place < 0:
                raise ValueError("no mark")
        values = stack[place + 1 :]
        del stack[place:]
        return values

    def take(self, count: int) -> bytes:
        """Returns the next bytes of the buffer and moves behind them."""
        start = self.place
        if count < 0 or start + count > self.size:
            raise IndexError(count)
        self.place = start + count
        return self.buffer[start : self.place]

    def line(self, longest: int = 1 << 31) -> bytes:
        """Returns the next line of the buffer without its line feed, and moves behind it."""
        stop = self.buffer.find(b"\n", self.place)
        if stop < 0:
            raise IndexError("no line end")
        if stop - self.place > longest:
            raise ValueError("a number of too many digits")
        return self.take(stop + 1 - self.place)[:-1]

    def string(self, count: int) -> None:
        """Pushes a byte string of the buffer; a long one as its place in the file."""
        start = self.place
        if count < 0 or start + count > self.size:
            raise IndexError(count)
        self.place = start + count
        if count < _LONG:
            self.stack.append(self.buffer[start : self.place])
        else:
            self.stack.append(Blob(start, self.place))
            self.release(self.place)

    def put(self, key: int) -> None:
        """Remembers the top of the stack in the memo."""
        value = self.stack[-1]
        if key == len(self.memo):
            self.memo.append(value)
        elif 0 <= key < len(self.memo):
            self.memo[key] = value
        else:
            self.far_memo[key] = value

    def get(self, key: int) -> None:
        """Pushes a remembered value."""
        near = 0 <= key < len(self.memo)
        if not near and key not in self.far_memo:
            raise ValueError("an unknown memo")
        self.stack.append(self.memo[key] if near else self.far_memo[key])

    def set_items(self, target: object, values: list[Any]) -> None:
        """Adds alternating keys and values of a list to a dictionary."""
        if type(target) is not dict or len(values) % 2:
            raise self.refusal("items of something that is no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            key = self.raw(key)
            if not isinstance(key, str | bytes | int):
                raise self.refusal("a dictionary key that is neither a string nor a number")
            target[key] = value

    # What a REDUCE and a BUILD may do

    def reduce(self) -> None:
        """Replaces a global and its arguments by the result of the call, if it is one of the four admitted ones."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise self.refusal("a call")
        maker = _MAKERS.get(function.name)
        value = None if maker is None else maker(self, arguments)
        if value is None:
            raise self.refusal(f"{function.name} with unusual arguments")
        self.stack.append(value)

    def build(self) -> None:
        """Gives the state on the stack to the array or dtype below it."""
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, Array) and target.kind is None and isinstance(state, tuple) and len(state) == 5:
            self._fill(target, state)
        elif isinstance(target, Kind) and target.order == "=" and isinstance(state, tuple) and _plain_state(state):
            target.order = _text(state[1])
        else:
            raise self.refusal("a change of an object")

    def _fill(self, target: Array, state: tuple[Any, ...]) -> None:
        """Gives an empty `Array` its content, after comparing the shape with the data."""
        version, shape, kind, fortran, data = state
        counts = type(shape) is tuple and all(type(count) is int and count >= 0 for count in shape)
        if version != 1 or not counts or len(shape) > 8 or not isinstance(kind, Kind):
            raise self.refusal("an array of unusual state")
        expected = 1
        for count in shape:
            expected *= count
        if kind.code == "O":
            fits = type(data) is list and len(data) == expected
        else:
            held = data.stop - data.start if isinstance(data, Blob) else len(data) if isinstance(data, bytes) else -1
            fits = held == expected * kind.numpy.itemsize
        if not fits:
            raise Damage(f"{self.name}: an array whose shape and data differ in size (byte {self.place}); {AGAIN}")
        target.kind, target.fortran, target.data = kind, bool(fortran), data
        target.shape = self._shapes.setdefault(shape, shape)


def _text(value: Value | bytes) -> Value | str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _ordered_dict(machine: PickleMachine, arguments: tuple[Any, ...]) -> dict[Any, Any] | None:
    if arguments == ():
        return {}
    if len(arguments) != 1 or type(arguments[0]) is not list:
        return None
    items: list[Any] = []
    for pair in arguments[0]:
        if type(pair) not in (list, tuple) or len(pair) != 2:
            return None
        items += pair
    found: dict[Any, Any] = {}
    machine.set_items(found, items)
    return found


def _reconstruct(machine: PickleMachine, arguments: tuple[Any, ...]) -> Array | None:
    if len(arguments) != 3 or not isinstance(arguments[0], Global) or arguments[0].name != NDARRAY:
        return None
    shape, code = arguments[1], _text(arguments[2])
    return Array() if type(shape) is tuple and len(shape) == 1 and shape[0] == 0 and code == "b" else None


def _kind(machine: PickleMachine, arguments: tuple[Any, ...]) -> Kind | None:
    if len(arguments) != 3 or any(type(flag) not in (int, bool) for flag in arguments[1:]):
        return None
    code = _text(arguments[0])
    if not isinstance(code, str):
        return None
    return Kind("O") if code in OBJECTS else Kind(code) if code in KINDS else None


def _encode(machine: PickleMachine, arguments: tuple[Any, ...]) -> bytes | None:
    """Returns the bytes that a later Python wrote as latin-1 text; nothing else is encoded."""
    if len(arguments) != 2 or not isinstance(arguments[0], str) or _text(arguments[1]) not in ("latin1", "latin-1"):
        return None
    return arguments[0].encode("latin-1")


def _plain_state(state: tuple[Any, ...]) -> bool:
    """Returns whether a dtype's state says no more than its byte order."""
    plain = len(state) >= 5 and state[0] in (3, 4)
    return plain and _text(state[1]) in ("<", ">", "|") and all(part is None for part in state[2:5])


_MAKERS: dict[str, Callable[[PickleMachine, tuple[Any, ...]], object]] = {
    ORDERED_DICT: _ordered_dict,
    RECONSTRUCT: _reconstruct,
    DTYPE: _kind,
    ENCODE: _encode,
}
