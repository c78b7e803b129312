"""Feature networks that are one torch module, as they run on a device."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from model_handlers.families.entry import File, PackFiles, load_network
from model_handlers.families.protocols import FeaturesEntry
from model_handlers.nets.folding import fold_batch_norms

SIDE = 224  # of the pixels that VGG-19 takes
AT_ONCE = 8  # photos that a network sees at once on a CPU: their maps fit its cache, and memory is used again


@dataclass
class Backbone:
    """A feature network, ready on its device.

    Attributes:
        net: pixels `[N, 3, side, side]` to feature vectors `[N, F]`.
        width: F.
        device: where it is.
        mean: of grey levels, `[3, 1, 1]`: the network takes (level - mean) / scale.
        scale: likewise.
    """

    net: nn.Module
    width: int
    device: torch.device
    mean: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def ready(cls, net: nn.Module, recipe: dict[str, Any], width: int, device: torch.device) -> "Backbone":
        """Returns the network in the form that its device runs fastest.

        On a CPU it has no batch norms, and a pixel's channels lie beside each other.

        Args:
            net: in evaluation mode, on the device; changed in place.
            recipe: of the preprocessing before it, as in the pack's card.
            width: F.
            device: where it is.
        """
        if device.type == "cpu":
            side = recipe.get("crop", SIDE)
            pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))  # [1, 3, side, side]
            folded: Any = fold_batch_norms(net, pixels)  # the annotations of some torch know no memory_format
            net = folded.to(memory_format=torch.channels_last)
        each = recipe.get("mean", [0, 0, 0]), recipe.get("scale", [1, 1, 1])
        mean, scale = torch.tensor(each, dtype=torch.float32, device=device)[:, :, None, None]  # [3, 1, 1] each
        return cls(net, width, device, mean, scale)

    @torch.inference_mode()
    def see(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns feature vectors `[N, F]` float32.

        Args:
            pixels: the network's input `[N, 3, side, side]` float32, or grey levels `[N, side, side, 3]` uint8.
        """
        if self.device.type != "cpu":
            features: torch.Tensor = self.net(self.scaled(pixels).contiguous()).float()  # [N, F]
            return features
        seen = []  # [n, F] each
        for part in pixels.split(AT_ONCE):
            seen.append(self.net(self.scaled(part).contiguous(memory_format=torch.channels_last)))
        return torch.cat(seen).float()  # [N, F]

    def scaled(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns the network's input `[N, 3, side, side]` of pixels as in `see`."""
        if pixels.dtype != torch.uint8:
            return pixels
        return (pixels.permute(0, 3, 1, 2) - self.mean) / self.scale  # [N, 3, side, side]


class BackboneEntry(FeaturesEntry):
    """The card's entry for a feature network that is one torch module: pixels `[N, 3, side, side]` to `[N, F]`.

    Attributes:
        weights: file of its state.
    """

    weights: File

    @abstractmethod
    def build(self) -> nn.Module:
        """Returns the module, its weights still unknown."""

    def load(self, files: PackFiles, device: torch.device) -> nn.Module:
        """Returns the module with the pack's weights."""
        return load_network(self.build, files, self.weights, device)

    def open(self, files: PackFiles, device: torch.device) -> Backbone:
        """Returns the network, ready on the device."""
        return Backbone.ready(self.load(files, device), self.preprocessing, self.width, device)
