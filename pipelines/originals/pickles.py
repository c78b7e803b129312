"""A reader of the pickles that SPEC names, and no others: it makes plain values and calls nothing.

Python's own unpickler runs what a pickle asks for; even with a list of allowed names it can be made to call them with
arguments of the attacker's choice, or to change them. This one interprets the opcodes itself. A global is a mark on the
stack, a REDUCE of a mark is one of four constructions with checked arguments, and everything else is refused. The size
of an array is compared with its data before anything is made, so no pickle needs more than a few times its own size.

Long strings are kept as places in the file: 2.3 GB of word vectors are never in memory at once.
"""

import codecs
import pickletools
import struct
from collections.abc import Callable
from typing import Any

from pipelines.originals.damage import AGAIN, Damage
from pipelines.originals.pickle_machine import PickleMachine
from pipelines.originals.pickle_values import ADMITTED, MARK, Global, Mark

_LONGEST_NUMBER = 40


class PickleReader(PickleMachine):
    """Reads the pickles in a buffer."""

    def read(self) -> object:
        """Returns the value of the next pickle: None, numbers, `str`, `bytes`, `Blob`, lists, tuples, dicts, `Array`.

        Raises:
            Damage: the pickle is cut short, or asks for more than SPEC's files do.
        """
        self.stack, self.memo, self.far_memo = [], [], {}
        try:
            while True:
                code = self.buffer[self.place]
                self.place += 1
                if code == 0x2E:  # STOP
                    break
                action = _ACTIONS.get(code)
                if action is None:
                    raise self.refusal(f"the opcode {_opcode_name(code)}")
                action(self)
            value = self.pop()
        except (IndexError, struct.error) as error:
            raise Damage(f"{self.name}: cut short or not a pickle (byte {self.place}); {AGAIN}") from error
        except (ValueError, OverflowError) as error:
            raise Damage(f"{self.name}: not a pickle of the originals (byte {self.place}: {error}); {AGAIN}") from error
        if isinstance(value, Mark | Global):
            raise self.refusal("a bare global")
        return value


# One function an opcode


def _global(machine: PickleMachine) -> None:
    _push_global(machine, machine.line().decode("utf-8"), machine.line().decode("utf-8"))


def _stack_global(machine: PickleMachine) -> None:
    name, module = machine.pop(), machine.pop()
    _push_global(machine, module, name)


def _push_global(machine: PickleMachine, module: object, name: object) -> None:
    mark = ADMITTED.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
    if mark is None:
        raise machine.refusal(f"{module}.{name}"[:80] if isinstance(module, str) else "a global without a name")
    machine.stack.append(Global(mark))


def _tuple(count: int) -> Callable[[PickleMachine], None]:
    def push(machine: PickleMachine) -> None:
        values = tuple(machine.stack[-count:])
        if len(values) < count or MARK in values:
            raise ValueError("a tuple of nothing")
        machine.stack[-count:] = [values]

    return push


def _append(machine: PickleMachine) -> None:
    _extend(machine, [machine.pop()])


def _extend(machine: PickleMachine, values: list[Any]) -> None:
    target = machine.stack[-1]
    if type(target) is not list:
        raise machine.refusal("items of something that is no list")
    target.extend(values)


def _set_item(machine: PickleMachine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items(machine.stack[-1], [key, value])


def _set_items(machine: PickleMachine) -> None:
    values = machine.pop_mark()
    machine.set_items(machine.stack[-1], values)


def _dict(machine: PickleMachine) -> None:
    found: dict[Any, Any] = {}
    machine.set_items(found, machine.pop_mark())
    machine.stack.append(found)


def _int_line(machine: PickleMachine) -> None:
    line = machine.line(_LONGEST_NUMBER)
    machine.stack.append(line == b"01" if line in (b"00", b"01") else int(line))


def _quoted(machine: PickleMachine) -> None:
    line = machine.line()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
        raise ValueError("a string without quotes")
    machine.stack.append(codecs.escape_decode(line[1:-1])[0])


def _push(value: Callable[[PickleMachine], object]) -> Callable[[PickleMachine], None]:
    def push(machine: PickleMachine) -> None:
        machine.stack.append(value(machine))

    return push


def _whole_number(form: str) -> Callable[[PickleMachine], int]:
    packed = struct.Struct(form)

    def read(machine: PickleMachine) -> int:
        number: int = packed.unpack(machine.take(packed.size))[0]
        return number

    return read


_BYTE, _SHORT, _INT, _UNSIGNED, _FRAME = (_whole_number(form) for form in ("<B", "<H", "<i", "<I", "<Q"))

_ACTIONS: dict[int, Callable[[PickleMachine], object]] = {
    0x80: lambda machine: _check_protocol(machine, _BYTE(machine)),
    0x95: _FRAME,
    ord("("): _push(lambda machine: MARK),
    ord("N"): _push(lambda machine: None),
    0x88: _push(lambda machine: True),
    0x89: _push(lambda machine: False),
    ord(")"): _push(lambda machine: ()),
    ord("]"): _push(lambda machine: []),
    ord("}"): _push(lambda machine: {}),
    ord("t"): _push(lambda machine: tuple(machine.pop_mark())),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("l"): _push(lambda machine: machine.pop_mark()),
    ord("d"): _dict,
    ord("a"): _append,
    ord("e"): lambda machine: _extend(machine, machine.pop_mark()),
    ord("s"): _set_item,
    ord("u"): _set_items,
    ord("I"): _int_line,
    ord("L"): _push(lambda machine: int(machine.line(_LONGEST_NUMBER).rstrip(b"L"))),
    ord("F"): _push(lambda machine: float(machine.line(_LONGEST_NUMBER))),
    ord("K"): _push(_BYTE),
    ord("M"): _push(_SHORT),
    ord("J"): _push(_INT),
    ord("G"): _push(lambda machine: struct.unpack(">d", machine.take(8))[0]),
    0x8A: _push(lambda machine: int.from_bytes(machine.take(_BYTE(machine)), "little", signed=True)),
    ord("S"): _quoted,
    ord("V"): _push(lambda machine: machine.line().decode("raw-unicode-escape")),
    ord("U"): lambda machine: machine.string(_BYTE(machine)),
    ord("T"): lambda machine: machine.string(_INT(machine)),
    ord("C"): lambda machine: machine.string(_BYTE(machine)),
    ord("B"): lambda machine: machine.string(_UNSIGNED(machine)),
    0x8C: _push(lambda machine: machine.take(_BYTE(machine)).decode("utf-8", "surrogatepass")),
    ord("X"): _push(lambda machine: machine.take(_UNSIGNED(machine)).decode("utf-8", "surrogatepass")),
    ord("p"): lambda machine: machine.put(int(machine.line(_LONGEST_NUMBER))),
    ord("q"): lambda machine: machine.put(_BYTE(machine)),
    ord("r"): lambda machine: machine.put(_UNSIGNED(machine)),
    0x94: lambda machine: machine.put(len(machine.memo)),
    ord("g"): lambda machine: machine.get(int(machine.line(_LONGEST_NUMBER))),
    ord("h"): lambda machine: machine.get(_BYTE(machine)),
    ord("j"): lambda machine: machine.get(_UNSIGNED(machine)),
    ord("c"): _global,
    0x93: _stack_global,
    ord("R"): PickleMachine.reduce,
    ord("b"): PickleMachine.build,
}


def _check_protocol(machine: PickleMachine, protocol: int) -> None:
    if protocol > 4:
        raise machine.refusal(f"protocol {protocol}")


def _opcode_name(code: int) -> str:
    for opcode in pickletools.opcodes:
        if ord(opcode.code) == code:
            return opcode.name
    raise ValueError(f"0x{code:02x} is no opcode")
