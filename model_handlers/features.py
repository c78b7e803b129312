"""The GPU handler that turns pixels into feature vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from model_handlers.components import build_features
from model_handlers.handler import PackHandler, on_device
from model_handlers.packs import Pack


@dataclass
class Backbone:
    """A feature network on its device, and the width F of its vectors."""

    net: nn.Module
    width: int
    device: torch.device


class FeatureHandler(PackHandler[np.ndarray, np.ndarray, Backbone]):
    """Feature vectors `[F]` float32 from pixels `[3, 224, 224]` float32 that went through the pack's preprocessing."""

    def build(self, pack: Pack, device: torch.device) -> Backbone:
        return Backbone(build_features(pack, device), pack.component("features")["width"], device)

    @torch.inference_mode()
    def infer(self, batch: Sequence[np.ndarray], model: Backbone) -> list[np.ndarray]:
        pixels = on_device(np.stack(batch), model.device)  # [N, 3, 224, 224]
        features = model.net(pixels).float().cpu().numpy()  # [N, F]
        if features.shape != (len(batch), model.width):
            raise ValueError(f"the network gave features of shape {features.shape}, the card says {model.width} wide")
        return [feature.copy() for feature in features]
