"""How exactly networks compute: in float32, with TF32 products on a GPU, or with bfloat16 products."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

PRECISIONS = ("float32", "tf32", "bfloat16")

Net = TypeVar("Net", bound=nn.Module)


def _switches() -> list[tuple[Any, str]]:
    """Returns what decides the products of float32 numbers on CUDA: objects of torch, and which attribute of each."""
    products: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    if hasattr(products, "fp32_precision"):
        return [(one, "fp32_precision") for one in (products, cudnn.conv, cudnn.rnn)]
    return [(products, "allow_tf32"), (cudnn, "allow_tf32")]  # torch before 2.9


class _Products:
    """The products of float32 numbers on CUDA. Torch has one setting for all threads, so that they wait here for those
    that need another one; the last to leave puts back what was."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._inside = 0
        self._tf32 = False
        self._before: list[Any] = []

    @contextmanager
    def being(self, tf32: bool) -> Iterator[None]:
        """Within it they are TF32 or exactly float32."""
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
                    for (owner, name), value in zip(_switches(), self._before, strict=True):
                        setattr(owner, name, value)
                    self._change.notify_all()

    def _set(self, tf32: bool) -> None:
        self._tf32 = tf32
        self._before = [getattr(owner, name) for owner, name in _switches()]
        for owner, name in _switches():
            setattr(owner, name, tf32 if name == "allow_tf32" else "tf32" if tf32 else "ieee")


_PRODUCTS = _Products()


@contextmanager
def computing(precision: str, device: torch.device) -> Iterator[None]:
    """Within it networks compute on the device with one of PRECISIONS, and afterwards as before.

    float32 is so on CUDA too, where torch by itself lets convolutions and recurrences take TF32. bfloat16 is torch's
    autocast: convolutions, linear layers and recurrences alone; on CUDA it runs `nn.GRU` and `nn.LSTM` in float16. What
    is to stay exact converts their results, or switches it off (`exactly`).
    """
    low = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)
    with _PRODUCTS.being(precision == "tf32"), low:
        yield


def exactly(device: torch.device) -> torch.autocast:
    """Returns a context in which products are those of their tensors' own type, whatever `computing` says around it."""
    return torch.autocast(device.type, enabled=False)


def lowered(net: Net, precision: str) -> Net:
    """Returns the network, the weights of its linear layers and cells in bfloat16 where that is the precision.

    Else autocast would convert them at each step of a search.
    """
    if precision == "bfloat16":
        for part in net.modules():
            if isinstance(part, nn.Linear | nn.GRUCell):
                part.to(torch.bfloat16)
    return net
