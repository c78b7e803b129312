"""Tiny folders in the formats of the original files, written by code of our own, and the pack of the golden folder."""

import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_handlers.pack import Pack
from pipelines.originals.importing import import_originals

GOLDEN = Path(__file__).parents[2] / "golden"
FEATURE, JOINT, JOINT_WORD, SKIP_WORD, UNI, BI, STATE, WORD, WORDS = 12, 6, 4, 5, 7, 3, 8, 5, 9
CONTEXT = UNI + 2 * BI


def text_pickle(value: Any) -> bytes:
    """Returns `value` as Python 2's protocol 0 writes it: text, with byte strings quoted."""
    return _text(value) + b"."


def _text(value: Any) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"I0%d\n" % value
    if isinstance(value, int):
        return b"I%d\n" % value
    if isinstance(value, float):
        return b"F%s\n" % repr(value).encode()
    if isinstance(value, str):
        return b"S" + repr(value.encode())[1:].encode() + b"\n"
    if isinstance(value, OrderedDict):
        pairs = b"".join(b"(lp0\n" + _text(key) + b"a" + _text(number) + b"aa" for key, number in value.items())
        return b"ccollections\nOrderedDict\n((l" + pairs + b"tR"
    return b"(d" + b"".join(_text(key) + _text(item) + b"s" for key, item in value.items())


def array_pickle(array: np.ndarray, first: bool = True) -> bytes:
    """Returns the opcodes of an array in protocol 2 of Python 2; later arrays fetch what the first has named."""
    if array.dtype == object:
        rows = b"".join(array_pickle(row, place == 0) for place, row in enumerate(array))
        content = b"](" + rows + b"e"
        kind = b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
    else:
        data = array.astype("<f4").tobytes()
        content = b"T" + struct.pack("<i", len(data)) + data
        kind = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbq\x03"
    names = b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02" if first else b"h\x01h\x02"
    if not first:
        kind = b"h\x03"
    shape = b"(" + b"".join(b"J" + struct.pack("<i", side) for side in array.shape) + b"t"
    return names + b"K\x00\x85U\x01b\x87R(K\x01" + shape + kind + b"\x89" + content + b"tb"


def object_table(rows: list[np.ndarray]) -> bytes:
    """Returns an object `.npy` file as Python 2 saved it."""
    header = f"{{'descr': '|O', 'fortran_order': False, 'shape': ({len(rows)},), }}".ljust(117).encode() + b"\n"
    array = np.empty(len(rows), dtype=object)
    for place, row in enumerate(rows):
        array[place] = row
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\x80\x02" + array_pickle(array) + b"."


def lasagne_pickle(arrays: list[np.ndarray]) -> bytes:
    """Returns a `vgg19.pkl`."""
    listed = b"".join(array_pickle(array, place == 0) for place, array in enumerate(arrays))
    return b"\x80\x02}(U\x0cparam values](" + listed + b"eU\x0csynset words](U\x03dogeu."


class Originals:
    """Writes original files into a folder, with random numbers of a seed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.draw = np.random.RandomState(3)

    def numbers(self, *shape: int) -> np.ndarray:
        return self.draw.randn(*shape).astype("float32")

    def gru(self, unit: str, inputs: int, dim: int) -> dict[str, np.ndarray]:
        shapes = {"W": (inputs, 2 * dim), "b": (2 * dim,), "U": (dim, 2 * dim)}
        shapes |= {"Wx": (inputs, dim), "bx": (dim,), "Ux": (dim, dim)}
        return {f"{unit}_{part}": self.numbers(*shape) for part, shape in shapes.items()}

    def write(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    def network(self, name: str, arrays: dict[str, np.ndarray], options: dict[str, Any]) -> None:
        np.savez(self.folder / name, **arrays, history_errs=np.array([]))
        self.write(f"{name}.pkl", text_pickle(options))

    def joint(self) -> None:
        words = OrderedDict((word, place) for place, word in enumerate(["a", "A", "dog", "caf\u00e9", ".", "cat.."], 2))
        arrays = {"Wemb": self.numbers(len(words), JOINT_WORD), **self.gru("encoder", JOINT_WORD, JOINT)}
        arrays |= {"ff_image_W": self.numbers(FEATURE, JOINT), "ff_image_b": self.numbers(JOINT)}
        options = {"encoder": "gru", "dim": JOINT, "dim_word": JOINT_WORD, "dim_image": FEATURE, "n_words": len(words)}
        self.network("coco_embedding.npz", arrays, options | {"margin": 0.2, "reload_": False})
        self.write("coco_embedding.npz.dictionary.pkl", text_pickle(words))
        self.write("coco_train_caps.txt", b"A dog .\n  a cat..\t\nA dog .\na caf\xe9\x85x\n")

    def skip(self) -> None:
        words = ["the", "dog", "tra\u2028p", "tra\x85p", "\xa0", "dog", "UNK", "<eos>"]
        self.write("dictionary.txt", "".join(f"{word}\n" for word in words).encode())
        for name in ("utable.npy", "btable.npy"):
            rows = [self.numbers(SKIP_WORD) if place % 3 == 1 else self.numbers(1, SKIP_WORD) for place in range(8)]
            self.write(name, object_table(rows))
        options = {"encoder": "gru", "decoder": "gru_cond_simple", "dim_word": SKIP_WORD, "n_words_src": 20}
        extra = {"decoder_f_W": self.numbers(2, 2), "ff_state_W": self.numbers(2, 2)}
        self.network("uni_skip.npz", self.gru("encoder", SKIP_WORD, UNI) | extra, options | {"dim": UNI})
        both = self.gru("encoder", SKIP_WORD, BI) | self.gru("encoder_r", SKIP_WORD, BI)
        self.network("bi_skip.npz", both, options | {"dim": BI})

    def decoder(self, name: str, deep: bool | None = None, dictionary: str | None = None) -> None:
        shallow = deep is False
        arrays = {"Wemb": self.numbers(WORDS, WORD), **self.gru("decoder", WORD, STATE)}
        arrays |= {"ff_state_W": self.numbers(CONTEXT, STATE), "ff_state_b": self.numbers(STATE)}
        arrays |= {"ff_logit_W": self.numbers(STATE if shallow else WORD, WORDS), "ff_logit_b": self.numbers(WORDS)}
        if not shallow:
            arrays |= {"ff_hid_W": self.numbers(STATE, WORD), "ff_hid_b": self.numbers(WORD)}
        options: dict[str, Any] = {
            "decoder": "gru",
            "dimctx": CONTEXT,
            "dim": STATE,
            "dim_word": WORD,
            "n_words": WORDS,
        }
        self.network(f"{name}.npz", arrays, options if deep is None else options | {"doutput": deep})
        if dictionary:
            words = OrderedDict((f"{name}{place}", place) for place in range(2, WORDS + 1))
            self.write(dictionary, text_pickle(words) + text_pickle(OrderedDict(count=5)))

    def styles(self) -> None:
        np.save(self.folder / "caption_style.npy", self.numbers(CONTEXT))
        np.save(self.folder / "romance_style.npy", self.numbers(1, CONTEXT))

    def vgg_arrays(self, width: int = FEATURE) -> list[np.ndarray]:
        """Returns 38 arrays in Lasagne's order, one channel a convolution."""
        arrays, channels = [], 3
        for _ in range(16):
            arrays += [self.numbers(1, channels, 3, 3), self.numbers(1)]
            channels = 1
        for inputs, outputs in ((49, 10), (10, width), (width, 4)):
            arrays += [self.numbers(inputs, outputs), self.numbers(outputs)]
        return arrays

    def everything(self) -> None:
        self.joint()
        self.skip()
        self.decoder("romance", dictionary="romance_dictionary.pkl")
        self.styles()
        self.write("vgg19.pkl", lasagne_pickle(self.vgg_arrays()))


@pytest.fixture
def originals(tmp_path: Path) -> Originals:
    folder = tmp_path / "originals"
    folder.mkdir()
    return Originals(folder)


@pytest.fixture
def pickled() -> dict[str, Callable[..., bytes]]:
    """Returns the writers of single files, for tests that need no folder."""
    return {"text": text_pickle, "table": object_table, "lasagne": lasagne_pickle, "array": array_pickle}


@pytest.fixture(scope="session")
def golden_pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Returns the pack of the golden model folder, whose outputs by the original programs are stored."""
    pack = import_originals(GOLDEN / "model", str(tmp_path_factory.mktemp("pack") / "golden"))
    assert pack is not None
    return pack
