"""Device and precision of a training: CPU or one GPU, with or without bfloat16 products."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

import torch

from configs.schema import ConfigError
from model_handlers.handler import resolve_device
from model_handlers.run_errors import DeviceError

PRECISIONS = ("auto", "float32", "bfloat16")
LOW = torch.bfloat16


def has_low_products(device: torch.device) -> bool:
    """Returns whether the hardware multiplies bfloat16 numbers, faster than float32 ones.

    Among CPUs only those with AMX do. With the bfloat16 products of AVX-512 a training step took 50 % longer than in
    float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported())


@dataclass(frozen=True)
class Arithmetic:
    """A device, and whether the parts of a network that tolerate bfloat16 products may use them."""

    device: torch.device
    low: bool


def choose_arithmetic(device: str, precision: str) -> Arithmetic:
    """Returns the device and the precision of a training.

    Args:
        device: `auto` (CUDA if available), `cpu` or `cuda`.
        precision: `float32`, `bfloat16`, or `auto` for bfloat16 if the hardware multiplies it.

    Raises:
        ConfigError: the device is not available.
    """
    try:
        where = resolve_device(device)
    except DeviceError as error:
        raise ConfigError(f"training.device is {device!r}, but torch sees no CUDA device; use cpu or auto") from error
    return Arithmetic(where, precision == "bfloat16" or (precision == "auto" and has_low_products(where)))


_current: ContextVar[Arithmetic | None] = ContextVar("arithmetic", default=None)


def arithmetic() -> Arithmetic:
    """Returns the arithmetic that `computing` set, otherwise the CPU with the products that it has."""
    here = _current.get()
    return here if here is not None else Arithmetic(torch.device("cpu"), has_low_products(torch.device("cpu")))


@contextmanager
def computing(on: Arithmetic) -> Iterator[None]:
    """Inside this context new tensors are on the device (`torch.as_tensor(array)` too); `arithmetic` returns `on`."""
    token = _current.set(on)
    try:
        with nullcontext() if on.device.type == "cpu" else on.device:
            yield
    finally:
        _current.reset(token)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside this context torch computes with `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def autocast() -> torch.autocast:
    """Returns torch's autocast to bfloat16, disabled if products are float32."""
    here = arithmetic()
    return torch.autocast(here.device.type, LOW, enabled=here.low)
