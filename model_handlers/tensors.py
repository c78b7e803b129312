"""Checks arrays and moves them to a device."""

from collections.abc import Sequence

import numpy as np
import torch


def on_device(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Returns the values as a tensor on the device; a GPU copies them from pinned memory while the host continues."""
    tensor = torch.as_tensor(values)
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def check_vectors(batch: Sequence[np.ndarray], width: int, what: str) -> torch.Tensor:
    """Returns the batch as one float32 tensor `[N, width]`.

    Raises:
        ValueError: a vector has another width or a value that is not finite.
    """
    for vector in batch:
        if vector.shape != (width,):
            raise ValueError(f"the {what} has shape {vector.shape}, the pack needs ({width},)")
        if not np.isfinite(vector).all():
            raise ValueError(f"the {what} has values that are not finite numbers")
    return torch.from_numpy(np.stack(batch).astype(np.float32, copy=False))  # [N, width]
