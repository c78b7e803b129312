"""Precision of networks: float32, TF32 products on a GPU, or bfloat16 products."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, dtype, nn

PRECISIONS = ("float32", "tf32", "bfloat16")

Net = TypeVar("Net", bound=nn.Module)


def _switches(tf32: bool) -> list[tuple[Any, str, Any]]:
    """Returns the settings for products on CUDA: objects of torch, the attribute of each, and its value.

    Sums of float16 products are float32 sums, since the caption index relies on a bound of its screening's error.
    """
    products: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    sums = (products, "allow_fp16_reduced_precision_reduction", False)
    if hasattr(products, "fp32_precision"):
        kind = "tf32" if tf32 else "ieee"
        return [*((one, "fp32_precision", kind) for one in (products, cudnn.conv, cudnn.rnn)), sums]
    return [(products, "allow_tf32", tf32), (cudnn, "allow_tf32", tf32), sums]  # torch before 2.9


class _Products:
    """Settings for products on CUDA.

    Torch has one setting for all threads. A thread that needs another setting waits here until the others have left;
    the last to leave restores the setting from before.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._inside = 0
        self._tf32 = False
        self._before: list[tuple[Any, str, Any]] = []

    @contextmanager
    def being(self, tf32: bool) -> Iterator[None]:
        """Returns a context in which products of float32 numbers are TF32 or exactly float32."""
        with self._change:
            self._change.wait_for(lambda: self._inside == 0 or self._tf32 == tf32)
            if self._inside == 0:
                self._set(tf32)
            self._inside += 1
        try:
            yield
        finally:
            with self._change:
                self._inside -= 1
                if self._inside == 0:
                    for owner, name, value in self._before:
                        setattr(owner, name, value)
                    self._change.notify_all()

    def _set(self, tf32: bool) -> None:
        self._tf32 = tf32
        wanted = _switches(tf32)
        self._before = [(owner, name, getattr(owner, name)) for owner, name, _ in wanted]
        for owner, name, value in wanted:
            setattr(owner, name, value)


_PRODUCTS = _Products()


@contextmanager
def computing(precision: str, device: torch.device) -> Iterator[None]:
    """Returns a context in which networks compute on the device with one of PRECISIONS.

    float32 is exact on CUDA too, where torch by default uses TF32 for convolutions and recurrences. bfloat16 is torch's
    autocast: convolutions, linear layers and recurrences only; on CUDA it runs `nn.GRU` and `nn.LSTM` in float16. Code
    that must stay exact converts their results, or switches autocast off (`exactly`).
    """
    low = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)
    with _PRODUCTS.being(precision == "tf32"), low:
        yield


def exactly(device: torch.device) -> torch.autocast:
    """Returns a context in which products have their tensors' own type, even within `computing`."""
    return torch.autocast(device.type, enabled=False)


def lowered(net: Net, precision: str) -> Net:
    """Returns the network; its linear layers and cells have bfloat16 weights if that is the precision.

    Otherwise autocast would convert them at each step of a search.
    """
    if precision == "bfloat16":
        for part in net.modules():
            if isinstance(part, nn.Linear | nn.GRUCell):
                part.to(torch.bfloat16)
    return net


def cast_floats(tensor: Tensor, kind: dtype) -> Tensor:
    """Returns the tensor in a floating point type; whole numbers stay as they are."""
    return tensor.to(kind) if tensor.is_floating_point() else tensor
