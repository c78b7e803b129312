"""VGG-19's weights from any of the three forms in which they were published: one state dict (SPEC section 3)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model_handlers.nets.vgg import CONVOLUTIONS, SIDE, convolution_places
from pipelines.originals.arrays import Note, as_float32
from pipelines.originals.caffemodel import read_caffemodel
from pipelines.originals.damage import AGAIN, Damage
from pipelines.originals.dictionaries import mapped, text
from pipelines.originals.pickle_values import Array
from pipelines.originals.pickles import PickleReader

LAYERS = (*CONVOLUTIONS, "fc6", "fc7")
TORCHVISION = "vgg19-dcbb9e9d.pth"

Arrays = dict[str, np.ndarray]
"""Weights and biases by Caffe's layer name: `conv1_1.weight` `[out, in, 3, 3]`, `fc6.weight` `[out, in]`, ..."""


@dataclass(frozen=True)
class Vgg:
    """The weights of VGG-19 up to fc7, under the names of `nets.vgg.VGG19`, and its sizes."""

    state: dict[str, Tensor]
    widths: list[int]
    hidden: int
    width: int


def read_vgg(path: Path, note: Note) -> Vgg:
    """Returns VGG-19 from a Lasagne pickle (`.pkl`), a Caffe model (`.caffemodel`) or a torch state dict (`.pth`).

    Raises:
        Damage: the file is damaged or holds another network.
    """
    arrays = READERS[path.suffix](path)
    missing = [name for name in _names() if name not in arrays]
    if missing:
        raise Damage(f"{path.name}: is not VGG-19, it lacks {', '.join(missing[:4])}; get VGG-19's weights")
    arrays = {name: as_float32(arrays[name], f"{path.name}: {name}", note) for name in _names()}
    _check_chain(path.name, arrays)
    places = {layer: f"features.{place}" for layer, place in convolution_places().items()}
    places |= {"fc6": "classifier.0", "fc7": "classifier.3"}
    state = {
        f"{places[layer]}.{part}": torch.from_numpy(arrays[f"{layer}.{part}"])  # [its shape]
        for layer in LAYERS
        for part in ("weight", "bias")
    }
    sizes = [len(arrays[f"{layer}.bias"]) for layer in LAYERS]
    return Vgg(state, sizes[:-2], sizes[-2], sizes[-1])


def _names() -> list[str]:
    return [f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")]


def _check_chain(name: str, arrays: Arrays) -> None:
    """Raises `Damage` if the sizes of two adjacent layers do not fit."""
    problems, inputs = [], 3
    for layer in LAYERS:
        weight, bias = arrays[f"{layer}.weight"], arrays[f"{layer}.bias"]
        if layer == "fc6":
            inputs *= SIDE * SIDE
        expected = (bias.size, inputs, 3, 3) if layer.startswith("conv") else (bias.size, inputs)
        if weight.shape != expected or bias.ndim != 1:
            problems.append(f"{name}: {layer} has shape {weight.shape} where VGG-19 has {expected}; {AGAIN}")
        inputs = bias.size
    if problems:
        raise Damage(*problems)


def _from_lasagne(path: Path) -> Arrays:
    """Returns the arrays of `vgg19.pkl`, whose dense weights are (in, out)."""
    with mapped(path) as buffer:
        reader = PickleReader(buffer, path.name)
        found = reader.read()
        content = {text(key): value for key, value in found.items()} if isinstance(found, dict) else {}
        values = content.get("param values")
        if not isinstance(values, list) or not all(isinstance(value, Array) for value in values):
            raise Damage(f"{path.name}: has no list 'param values' of arrays; {AGAIN}")
        if len(values) not in (2 * len(LAYERS), 2 * len(LAYERS) + 2):
            raise Damage(f"{path.name}: holds {len(values)} arrays where VGG-19 has 38; get VGG-19's weights")
        arrays = {name: reader.array(value) for name, value in zip(_names(), values, strict=False)}
    for layer in ("fc6", "fc7"):
        arrays[f"{layer}.weight"] = np.ascontiguousarray(arrays[f"{layer}.weight"].T)
    return arrays


def _from_caffe(path: Path) -> Arrays:
    """Returns the arrays of a caffemodel; old ones give every blob four sides."""
    arrays: Arrays = {}
    for layer, blobs in read_caffemodel(path).items():
        if layer in LAYERS and len(blobs) >= 2:
            weight, bias = blobs[:2]
            if not layer.startswith("conv") and weight.ndim == 4 and weight.shape[:2] == (1, 1):
                weight = weight.reshape(weight.shape[2:])
            arrays |= {f"{layer}.weight": weight, f"{layer}.bias": bias.reshape(-1)}
    return arrays


def _from_torch(path: Path) -> Arrays:
    """Returns the arrays of a state dict under torchvision's names or Caffe's."""
    if path.name == TORCHVISION:
        raise Damage(
            f"{path.name}: torchvision trained these weights apart, and the published joint embedding does not fit "
            "them; get a .pth that was converted from VGG_ILSVRC_19_layers.caffemodel"
        )
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own restricted unpickler meets damage with errors of any kind
        raise Damage(f"{path.name}: refused, cut short or not a state dict ({_reason(error)}); {AGAIN}") from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping):
        raise Damage(f"{path.name}: not a state dict; {AGAIN}")
    names = {f"features.{place}": layer for layer, place in convolution_places().items()}
    names |= {"classifier.0": "fc6", "classifier.3": "fc7", **{layer: layer for layer in LAYERS}}
    arrays: Arrays = {}
    for key, value in found.items():
        layer, _, part = str(key).removeprefix("module.").rpartition(".")
        if layer in names and part in ("weight", "bias") and isinstance(value, Tensor):
            if not value.is_floating_point() or value.layout is not torch.strided:
                raise Damage(f"{path.name}: {key} holds {value.dtype}, not weights; {AGAIN}")
            arrays[f"{names[layer]}.{part}"] = value.detach().contiguous().float().numpy()
    return arrays


def _reason(error: BaseException) -> str:
    return re.split(r"[\n.]", str(error), maxsplit=1)[0][:120] or type(error).__name__


READERS: dict[str, Callable[[Path], Arrays]] = {".pkl": _from_lasagne, ".caffemodel": _from_caffe, ".pth": _from_torch}
