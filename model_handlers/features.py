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
    """A feature network on its device, and the width F of its vectors."""

    net: nn.Module
    width: int
    device: torch.device


class FeatureHandler(PackHandler[np.ndarray, np.ndarray, Backbone]):
    """Feature vectors `[F]` float32 from pixels `[3, 224, 224]` float32 that went through the pack's preprocessing.

    On a CPU a pixel's channels lie beside each other, which its convolutions are fastest with.
    """

    def build(self, pack: Pack, device: torch.device) -> Backbone:
        entry = pack.component("features")
        net = build_features(pack, device)
        if device.type == "cpu":
            side = entry.get("preprocessing", {}).get("crop", SIDE)
            pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))  # [1, 3, side, side]
            net = fold_batch_norms(net, pixels).to(memory_format=torch.channels_last)
        return Backbone(net, entry["width"], device)

    @torch.inference_mode()
    def infer(self, batch: Sequence[np.ndarray], model: Backbone) -> list[np.ndarray]:
        pixels = on_device(np.stack(batch), model.device)  # [N, 3, 224, 224]
        parts = [pixels]
        if model.device.type == "cpu":
            parts = [part.contiguous(memory_format=torch.channels_last) for part in pixels.split(AT_ONCE)]
        features = torch.cat([model.net(part) for part in parts]).float().cpu().numpy()  # [N, F]
        if features.shape != (len(batch), model.width):
            raise ValueError(f"the network gave features of shape {features.shape}, the card says {model.width} wide")
        return [feature.copy() for feature in features]
