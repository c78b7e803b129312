"""The GPU handler that turns pixels into feature vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from model_handlers.components import build_features
from model_handlers.handler import PackHandler, on_device
from model_handlers.nets.folding import fold_batch_norms
from model_handlers.packs import Pack

SIDE = 224  # of the pixels that VGG-19 takes
AT_ONCE = 8  # photos that a network sees at once on a CPU: their maps fit its cache, and memory is used again


@dataclass
class Backbone:
    """A feature network, ready on its device, and the width F of its vectors."""

    net: nn.Module
    width: int
    device: torch.device

    @classmethod
    def ready(cls, net: nn.Module, side: int, width: int, device: torch.device) -> "Backbone":
        """Returns the network as its device takes it best: on a CPU without batch norms and with a pixel's channels
        beside each other.

        Args:
            net: in evaluation mode, on the device; changed in place.
            side: of the pixels `[3, side, side]` that it takes.
            width: F.
            device: where it is.
        """
        if device.type == "cpu":
            pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))  # [1, 3, side, side]
            net = fold_batch_norms(net, pixels).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(net, width, device)

    @torch.inference_mode()
    def see(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns feature vectors `[N, F]` float32 of pixels `[N, 3, side, side]`."""
        if self.device.type != "cpu":
            return self.net(pixels).float()  # [N, F]
        parts = [part.contiguous(memory_format=torch.channels_last) for part in pixels.split(AT_ONCE)]
        return torch.cat([self.net(part) for part in parts]).float()  # [N, F]


class FeatureHandler(PackHandler[np.ndarray, np.ndarray, Backbone]):
    """Feature vectors `[F]` float32 from pixels `[3, 224, 224]` float32 that went through the pack's preprocessing."""

    def build(self, pack: Pack, device: torch.device) -> Backbone:
        entry = pack.component("features")
        side = entry.get("preprocessing", {}).get("crop", SIDE)
        return Backbone.ready(build_features(pack, device), side, entry["width"], device)

    def infer(self, batch: Sequence[np.ndarray], model: Backbone) -> list[np.ndarray]:
        features = model.see(on_device(np.stack(batch), model.device)).cpu().numpy()  # [N, F]
        if features.shape != (len(batch), model.width):
            raise ValueError(f"the network gave features of shape {features.shape}, the card says {model.width} wide")
        return [feature.copy() for feature in features]
