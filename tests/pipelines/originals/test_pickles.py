"""The pickle reader: what the originals hold is read, and everything else is refused before it can do anything."""

import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipelines.originals.damage import Damage
from pipelines.originals.pickle_values import Array, Blob
from pipelines.originals.pickles import PickleReader


def read(content: bytes) -> Any:
    return PickleReader(content, "file.pkl").read()


def array_of(content: bytes) -> np.ndarray:
    reader = PickleReader(content, "file.pkl")
    return reader.array(reader.read())


@pytest.mark.parametrize("protocol", range(5))
def test_plain_values_of_every_protocol(protocol: int) -> None:
    value = {"text": "caf\u00e9\n'", "number": [0, 1, 255, 256, -1, 2**31, -(2**40), 1.5], "flag": (True, False, None)}
    value |= {"nested": {"a": [[], (), {}]}, "pair": (1, 2), "bytes": b"\xff\x00", "same": None}
    value["same"] = value["nested"]
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<i8", "|u1"])
def test_arrays_of_every_protocol(protocol: int, kind: str) -> None:
    array = np.arange(6, dtype=kind).reshape(2, 3)
    for given in (array, np.asfortranarray(array), np.array(7, dtype=kind)):
        found = array_of(pickle.dumps(given, protocol))
        np.testing.assert_array_equal(found, given)
        assert found.shape == given.shape and found.dtype == given.dtype


@pytest.mark.parametrize("protocol", range(5))
def test_ordered_dictionaries_of_every_protocol(protocol: int) -> None:
    value = OrderedDict([("b", 3), ("a", 2)])
    assert list(read(pickle.dumps(value, protocol)).items()) == [("b", 3), ("a", 2)]


def test_python_2_strings_stay_bytes(pickled: dict[str, Callable[..., bytes]]) -> None:
    assert read(pickled["text"](OrderedDict([("caf\u00e9 '\"", 2)]))) == {"caf\u00e9 '\"".encode(): 2}
    assert read(b"U\x03a\xffb.") == b"a\xffb"
    assert read(b"S'a\\xffb'\n.") == b"a\xffb"


def test_only_the_first_pickle_is_read() -> None:
    assert read(pickle.dumps(1, 2) + b"cos\nsystem\n.") == 1


def test_a_long_string_is_a_place_in_the_file() -> None:
    reader = PickleReader(b"T" + struct.pack("<i", 1000) + b"x" * 1000 + b".", "file.pkl")
    found = reader.read()
    assert isinstance(found, Blob) and reader.raw(found) == b"x" * 1000


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
EMPTY = RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
F4 = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
O8 = b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R"
CALL = b"(S'echo pwned'\ntR."


class Reducing:
    """Pickles as a call of whatever it is given."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], tuple(self.call[1:])


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


HOSTILE = {
    "os.system": b"cos\nsystem\n" + CALL,
    "posix.system": b"cposix\nsystem\n" + CALL,
    "builtins.eval": b"c__builtin__\neval\n" + CALL,
    "builtins.getattr": pickle.dumps(Reducing(getattr, "", "join"), 2),
    "builtins.open": pickle.dumps(Reducing(open, "/tmp/pwned", "w"), 4),
    "subprocess.Popen": b"csubprocess\nPopen\n" + CALL,
    "numpy.load": b"cnumpy\nload\n" + CALL,
    "numpy.fromfile": b"cnumpy\nfromfile\n" + CALL,
    "numpy.core.multiarray.fromstring": b"cnumpy.core.multiarray\nfromstring\n" + CALL,
    "numpy.core.multiarray.scalar": b"cnumpy.core.multiarray\nscalar\n" + CALL,
    "copyreg._reconstructor": b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\ncnumpy\nndarray\nNtR.",
    "codecs.encode of another name": b"ccodecs\nencode\n" + CALL,
    "dotted name, protocol 4": b"\x80\x04" + short("numpy") + short("ndarray.tofile") + b"\x93.",
    "dotted name through an admitted module": b"\x80\x04"
    + short("collections")
    + short("OrderedDict.__init__")
    + b"\x93.",
    "dotted module": b"cnumpy.ndarray\ndtype\n.",
    "a name that is a number": b"\x80\x04K\x01K\x02\x93.",
    "extension code": b"\x80\x02\x82\x01.",
    "extension code of four bytes": b"\x80\x02\x84\x01\x00\x00\x00.",
    "persistent id": b"Pfile\n.",
    "binary persistent id": b"K\x01Q.",
    "INST": b"(S'x'\nios\nsystem\n.",
    "OBJ": b"(cnumpy\nndarray\nK\x05o.",
    "NEWOBJ": b"\x80\x02cnumpy\nndarray\nK\x05\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04cnumpy\nndarray\nK\x05\x85}\x92.",
    "a subclass of ndarray": b"\x80\x02" + RECONSTRUCT + b"cnumpy\nmatrix\nK\x00\x85U\x01b\x87R.",
    "an array of wild first shape": RECONSTRUCT + b"cnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85U\x01b\x87R.",
    "an array that is a dtype": RECONSTRUCT + b"cnumpy\ndtype\nK\x00\x85U\x01b\x87R.",
    "a call of ndarray": b"\x80\x02cnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85\x85R.",
    "a call of an array": EMPTY + b"(tR.",
    "a call of a dictionary": b"}(tR.",
    "a structured dtype": b"cnumpy\ndtype\n]((S'a'\nS'O8'\nteK\x00K\x01\x87R.",
    "a dtype of strings": b"cnumpy\ndtype\nU\x03S99K\x00K\x01\x87R.",
    "a dtype of a dotted name": b"cnumpy\ndtype\nU\x0anumpy.voidK\x00K\x01\x87R.",
    "a dtype with metadata": F4 + b"(K\x04U\x01<NN}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00}tb.",
    "a dtype with a base": F4 + b"(K\x03U\x01<" + F4 + b"NNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb.",
    "attributes of a global": b"ccollections\nOrderedDict\nN}S'__init__'\nK\x01s\x86b.",
    "attributes of an array": EMPTY + b"}S'data'\nK\x01sb.",
    "attributes of a dictionary": b"}}S'x'\nK\x01sb.",
    "a second content of an array": EMPTY + 2 * (b"(K\x01K\x00\x85" + F4 + b"\x89U\x00tb") + b".",
    "an array whose content is a number": EMPTY + b"K\x01b.",
    "an array of negative sides": EMPTY + b"(K\x01J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86" + F4 + b"\x89U\x04aaaatb.",
    "an array of true sides": EMPTY + b"(K\x01\x88\x85" + F4 + b"\x89U\x04aaaatb.",
    "items of an array": EMPTY + b"K\x01a.",
    "items of a dictionary's kind": b"]K\x01K\x02s.",
    "keys that take for ever to hash": b"})q\x00" + b"h\x00\x86q\x00" * 60 + b"K\x01s.",
    "keys that are tuples": b"})K\x01s.",
    "an ordered dictionary of a number": b"ccollections\nOrderedDict\nK\x05\x85R.",
    "encoding by another codec": b"c_codecs\nencode\nVx\nVrot13\n\x86R.",
    "encoding with an error handler": b"c_codecs\nencode\nVx\nVlatin1\nVignore\n\x87R.",
    "out-of-band buffers": b"\x80\x05\x97.",
    "a bytearray": b"\x80\x05\x96\x00\x00\x00\x00\x00\x00\x00\x00.",
    "a frozen set": b"\x80\x04(\x91.",
    "an unknown protocol": b"\x80\x99N.",
    "a bare global": b"cnumpy\nndarray\n.",
}

BROKEN = {
    "empty": b"",
    "no stop": b"K\x01",
    "stop without a value": b".",
    "cut in a string": b"U\x09abc",
    "cut in a long string": b"T\xff\xff\xff\x7fabc.",
    "a string of negative length": b"T\xff\xff\xff\xffabc.",
    "cut in a number": b"\x80\x02M\x01",
    "cut in a line": b"cnumpy\nnda",
    "an unknown memo": b"h\x05.",
    "a far memo": b"j\xff\xff\xff\xff.",
    "no mark": b"t.",
    "a mark as a value": b"(.",
    "a mark in a tuple": b"(\x85.",
    "a tuple of nothing": b"\x86.",
    "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "no number": b"Iabc\n.",
    "a string without quotes": b"Sabc\n.",
    "text that is not UTF-8": b"\x8c\x02\xff\xff.",
    "an array larger than its data": EMPTY + b"(K\x01J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86" + F4 + b"\x89U\x04aaaatb.",
    "an array smaller than its data": EMPTY + b"(K\x01K\x01\x85" + F4 + b"\x89U\x08aaaaaaaatb.",
    "an object array without objects": EMPTY + b"(K\x01K\x05\x85" + O8 + b"\x89]tb.",
    "objects from a string": EMPTY + b"(K\x01K\x01\x85" + O8 + b"\x89U\x08aaaaaaaatb.",
    "numbers from a list": EMPTY + b"(K\x01K\x01\x85" + F4 + b"\x89]K\x01atb.",
    "text": b"<html><body>404 Not Found</body></html>",
    "a zip file": b"PK\x03\x04" + bytes(40),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused(name: str) -> None:
    with pytest.raises(Damage, match=r"^file\.pkl: refused, the pickle asks for .*Do not trust this file"):
        read(HOSTILE[name])


def test_there_are_many_hostile_pickles_and_the_harmless_parts_are_fine() -> None:
    assert len(HOSTILE) >= 40
    for part in (EMPTY + b".", F4 + b".", O8 + b".", EMPTY + b"(K\x01K\x01\x85" + F4 + b"\x89U\x04aaaatb."):
        assert read(part) is not None


@pytest.mark.parametrize("name", BROKEN)
def test_broken_pickles_are_named(name: str) -> None:
    with pytest.raises(Damage, match=r"^file\.pkl: .*(again|Do not trust)"):
        read(BROKEN[name])


def test_a_pickle_of_many_references_stays_small() -> None:
    """A list of twice the list before it, forty times over: 2^40 items if anybody counted them."""
    content = b"]q\x00" + b"".join(b"]h%sah%sa" % (bytes([i]), bytes([i])) + b"q%s" % bytes([i + 1]) for i in range(40))
    found = read(b"\x80\x02" + content + b".")
    assert len(found) == 2


def test_every_way_to_cut_a_pickle_short_is_named(pickled: dict[str, Callable[..., bytes]]) -> None:
    content = b"\x80\x02" + pickled["array"](np.ones((2, 3), "float32")) + b"."
    assert isinstance(read(content), Array)
    for length in range(len(content)):
        with pytest.raises(Damage, match=r"file\.pkl"):
            read(content[:length])


def test_flipped_bytes_never_do_anything_but_damage(pickled: dict[str, Callable[..., bytes]]) -> None:
    draw = np.random.RandomState(0)
    content = bytearray(b"\x80\x02" + pickled["array"](np.ones((2, 3), "float32")) + b".")
    for _ in range(5000):
        broken = content.copy()
        for _ in range(draw.randint(1, 4)):
            broken[draw.randint(len(broken))] = draw.randint(256)
        try:
            read(bytes(broken))
        except Damage:
            continue
