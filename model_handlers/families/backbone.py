"""Feature networks that consist of one torch module."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from model_handlers.families.entry import File, PackFiles, load_network
from model_handlers.families.protocols import FeaturesEntry
from model_handlers.nets.folding import fold_batch_norms

SIDE = 224  # width and height of VGG-19's input
AT_ONCE = 8  # photos in a network at once on a CPU, so that their maps fit its cache and memory is reused


@dataclass
class Backbone:
    """Feature network, ready on its device.

    Attributes:
        net: module that turns pixels `[N, 3, side, side]` into feature vectors `[N, F]`.
        width: F, the width of a feature vector.
        device: device of the network.
        mean: mean of grey levels, `[3, 1, 1]`; the network takes (level - mean) / scale.
        scale: scale of grey levels, likewise.
    """

    net: nn.Module
    width: int
    device: torch.device
    mean: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def ready(cls, net: nn.Module, recipe: dict[str, Any], width: int, device: torch.device) -> "Backbone":
        """Returns the network in the form that runs fastest on its device.

        On a CPU it has no batch norms, and a pixel's channels are adjacent in memory.

        Args:
            net: module in evaluation mode, on the device; changed in place.
            recipe: preprocessing recipe, as in the pack's card.
            width: F, the width of a feature vector.
            device: device of the network.
        """
        if device.type == "cpu":
            side = recipe.get("crop", SIDE)
            pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))  # [1, 3, side, side]
            folded: Any = fold_batch_norms(net, pixels)  # annotations of some torch versions lack memory_format
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
        """Returns the network's input `[N, 3, side, side]` for pixels as in `see`."""
        if pixels.dtype != torch.uint8:
            return pixels
        return (pixels.permute(0, 3, 1, 2) - self.mean) / self.scale  # [N, 3, side, side]


class BackboneEntry(FeaturesEntry):
    """Card entry for a feature network that is one torch module, from pixels `[N, 3, side, side]` to `[N, F]`.

    Attributes:
        weights: file of the module's state.
    """

    weights: File

    @abstractmethod
    def build(self) -> nn.Module:
        """Returns the module without its weights."""

    def load(self, files: PackFiles, device: torch.device) -> nn.Module:
        """Returns the module with the pack's weights."""
        return load_network(self.build, files, self.weights, device)

    def open(self, files: PackFiles, device: torch.device) -> Backbone:
        """Returns the network, ready on the device."""
        return Backbone.ready(self.load(files, device), self.preprocessing, self.width, device)
