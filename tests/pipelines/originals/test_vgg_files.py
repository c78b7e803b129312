"""VGG-19 from a Lasagne pickle, a Caffe model of either form and a state dict: the same weights from each."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from model_handlers.nets.vgg import VGG19
from pipelines.originals.damage import Damage
from pipelines.originals.vgg_files import LAYERS, TORCHVISION, Vgg, read_vgg


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def blob(array: np.ndarray, old: bool, packed: bool) -> bytes:
    """Returns a BlobProto, with fields that the reader does not know before and among the others."""
    if old:
        sides = (1,) * (4 - array.ndim) + array.shape
        content = b"".join(number(field, side) for field, side in enumerate(sides, start=1))
    elif packed:
        content = message(7, message(1, b"".join(varint(side) for side in array.shape)))
    else:
        content = message(7, b"".join(number(1, side) for side in array.shape))
    content = (
        number(19, 7) + message(20, b"?") + varint(21 << 3 | 5) + b"1234" + varint(22 << 3 | 1) + b"12345678" + content
    )
    floats = array.astype("<f4").tobytes()
    if packed:
        half = len(floats) // 8 * 4
        return content + message(5, floats[:half]) + number(23, 1) + message(5, floats[half:])
    return content + b"".join(b"\x2d" + floats[place : place + 4] for place in range(0, len(floats), 4))


def caffemodel(arrays: list[np.ndarray], old: bool, packed: bool) -> bytes:
    names = [*LAYERS, "fc8"]
    content = message(1, b"VGG")
    for name, weight, bias in zip(names, arrays[::2], arrays[1::2], strict=True):
        weight = weight if weight.ndim == 4 else weight.T
        blobs = b"".join(message(6 if old else 7, blob(array, old, packed)) for array in (weight, bias))
        if old:
            kind = number(5, 4 if weight.ndim == 4 else 14)
            content += message(2, kind + blobs + message(4, name.encode())) + message(
                2, message(4, b"relu") + number(5, 18)
            )
        else:
            content += message(100, message(1, name.encode()) + message(2, b"Convolution") + blobs)
    return content


def state_dict(arrays: list[np.ndarray], prefix: str = "") -> dict[str, torch.Tensor]:
    names = [f"features.{place}" for place in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)]
    names += ["classifier.0", "classifier.3", "classifier.6"]
    state = {}
    for name, weight, bias in zip(names, arrays[::2], arrays[1::2], strict=True):
        state[f"{prefix}{name}.weight"] = torch.from_numpy(weight if weight.ndim == 4 else weight.T.copy())
        state[f"{prefix}{name}.bias"] = torch.from_numpy(bias)
    return state


@pytest.fixture
def arrays() -> list[np.ndarray]:
    """Returns 38 arrays of odd widths, so that no transposition goes unseen."""
    draw, found, channels = np.random.RandomState(4), [], 3
    for width in range(2, 18):
        found += [draw.randn(width, channels, 3, 3), draw.randn(width)]
        channels = width
    for inputs, outputs in ((channels * 49, 6), (6, 5), (5, 4)):
        found += [draw.randn(inputs, outputs), draw.randn(outputs)]
    return [array.astype("float32") for array in found]


def read(path: Path, content: bytes) -> Vgg:
    path.write_bytes(content)
    return read_vgg(path, pytest.fail)


def test_all_forms_give_the_same_weights(
    tmp_path: Path, arrays: list[np.ndarray], pickled: dict[str, Callable[..., bytes]]
) -> None:
    reference = read(tmp_path / "vgg19.pkl", pickled["lasagne"](arrays))
    assert reference.widths == list(range(2, 18)) and (reference.hidden, reference.width) == (6, 5)
    VGG19(reference.widths, reference.hidden, reference.width).load_state_dict(reference.state)
    others = [
        read(tmp_path / f"{old}{packed}.caffemodel", caffemodel(arrays, old, packed))
        for old in (True, False)
        for packed in (True, False)
    ]
    for prefix in ("", "module."):
        torch.save(state_dict(arrays, prefix), tmp_path / "vgg.pth")
        others.append(read_vgg(tmp_path / "vgg.pth", pytest.fail))
    named = {}
    for layer, weight, bias in zip([*LAYERS, "fc8"], arrays[::2], arrays[1::2], strict=True):
        named[f"{layer}.weight"] = torch.from_numpy(weight if weight.ndim == 4 else weight.T.copy())
        named[f"{layer}.bias"] = torch.from_numpy(bias)
    torch.save({"state_dict": named}, tmp_path / "caffe_names.pth")
    others.append(read_vgg(tmp_path / "caffe_names.pth", pytest.fail))
    for other in others:
        assert other.widths == reference.widths
        assert list(other.state) == list(reference.state)
        for name, value in reference.state.items():
            assert torch.equal(other.state[name], value), name


def test_a_caffemodel_cut_anywhere_is_named(tmp_path: Path, arrays: list[np.ndarray]) -> None:
    content = caffemodel(arrays, old=True, packed=True)
    for length in range(0, len(content), 997):
        with pytest.raises(Damage, match=r"^cut\.caffemodel: .*again|lacks"):
            read(tmp_path / "cut.caffemodel", content[:length])


@pytest.mark.parametrize(
    "content",
    [
        b"<html>404</html>",
        b"\xff" * 100,
        message(2, message(4, b"conv1_1") + message(6, number(1, 1 << 40) + message(5, b"1234"))),
        message(2, message(4, b"conv1_1") + message(6, number(1, 1) + message(5, b"12345"))),
        message(2, message(4, b"\xff") + message(6, number(1, 1) + message(5, b"1234"))),
        message(2, message(4, b"relu")),
        b"\x0b\x0c",
    ],
)
def test_what_is_no_caffemodel_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Damage, match=r"^odd\.caffemodel: .*caffemodel"):
        read(tmp_path / "odd.caffemodel", content)


def test_another_network_is_named(
    tmp_path: Path, arrays: list[np.ndarray], pickled: dict[str, Callable[..., bytes]]
) -> None:
    with pytest.raises(Damage, match="holds 36|holds 34"):
        read(tmp_path / "vgg19.pkl", pickled["lasagne"](arrays[:34]))
    with pytest.raises(Damage, match="param values"):
        read(tmp_path / "vgg19.pkl", pickled["text"]({"other": 1}))
    swapped = [*arrays[:2], arrays[2].transpose(1, 0, 2, 3), *arrays[3:]]
    with pytest.raises(Damage, match=r"conv1_2 has shape \(2, 3, 3, 3\) where VGG-19 has \(3, 2, 3, 3\)"):
        read(tmp_path / "vgg19.pkl", pickled["lasagne"](swapped))
    arrays[5][0] = np.nan
    with pytest.raises(Damage, match=r"conv2_1\.bias: holds numbers that are not finite"):
        read(tmp_path / "vgg19.pkl", pickled["lasagne"](arrays))
    state = state_dict(arrays)
    del state["features.34.weight"]
    torch.save(state, tmp_path / "vgg.pth")
    with pytest.raises(Damage, match=r"vgg\.pth: is not VGG-19, it lacks conv5_4\.weight"):
        read_vgg(tmp_path / "vgg.pth", pytest.fail)


def test_broken_and_hostile_state_dicts_are_named(tmp_path: Path, arrays: list[np.ndarray]) -> None:
    torch.save(state_dict(arrays), tmp_path / "vgg.pth")
    whole = (tmp_path / "vgg.pth").read_bytes()
    hostile = b"\x80\x02cos\nsystem\n(S'echo'\ntR."
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:-10], hostile, struct.pack("<q", 5)):
        with pytest.raises(Damage, match=r"^bad\.pth: "):
            read(tmp_path / "bad.pth", content)
    for value in ([1, 2], {"features.0.weight": torch.zeros(2, dtype=torch.int64)}):
        torch.save(value, tmp_path / "bad.pth")
        with pytest.raises(Damage, match=r"^bad\.pth: "):
            read_vgg(tmp_path / "bad.pth", pytest.fail)


def test_torchvisions_own_training_is_refused_by_name(tmp_path: Path, arrays: list[np.ndarray]) -> None:
    torch.save(state_dict(arrays), tmp_path / TORCHVISION)
    with pytest.raises(Damage, match="torchvision trained these weights apart"):
        read_vgg(tmp_path / TORCHVISION, pytest.fail)


def test_half_precision_is_widened_with_a_note(tmp_path: Path, arrays: list[np.ndarray]) -> None:
    torch.save({name: value.double() for name, value in state_dict(arrays).items()}, tmp_path / "vgg.pth")
    found = read_vgg(tmp_path / "vgg.pth", pytest.fail)
    assert all(value.dtype == torch.float32 for value in found.state.values())
