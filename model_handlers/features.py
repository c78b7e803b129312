"""GPU handler that turns pixels into feature vectors."""

from collections.abc import Sequence

import numpy as np
import torch

from model_handlers.families.protocols import FeatureNetwork
from model_handlers.handler import PackHandler
from model_handlers.pack import Pack
from model_handlers.tensors import on_device


class FeatureHandler(PackHandler[np.ndarray, np.ndarray, FeatureNetwork]):
    """Feature vectors `[F]` float32 from pixels that went through the pack's preprocessing.

    The pixels are grey levels `[side, side, 3]` uint8, or the network's input `[3, side, side]` float32.
    """

    def build(self, pack: Pack, device: torch.device) -> FeatureNetwork:
        """Returns the pack's feature network."""
        return pack.features.open(pack, device)

    def infer(self, batch: Sequence[np.ndarray], model: FeatureNetwork) -> list[np.ndarray]:
        """Returns each photo's feature vector `[F]`."""
        if len({pixels.dtype for pixels in batch}) > 1:  # by decoding `original`, from files with other values
            batch = [model.scaled(on_device(pixels[None], model.device))[0].cpu().numpy() for pixels in batch]
        features = model.see(on_device(np.stack(batch), model.device)).cpu().numpy()  # [N, F]
        if features.shape != (len(batch), model.width):
            raise ValueError(f"the network gave features of shape {features.shape}, the card says {model.width} wide")
        return [feature.copy() for feature in features]
