"""Where a network learns and how precisely: a processor or one GPU, with bfloat16 products or without."""

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
    """Returns whether the device multiplies bfloat16 numbers itself, faster than float32 ones.

    Among processors these are the ones with AMX; AVX-512's products of bfloat16 numbers made a training step half as
    long again.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported())


@dataclass(frozen=True)
class Arithmetic:
    """A device, and whether the parts of a network that bear it may use bfloat16 products."""

    device: torch.device
    low: bool


def choose_arithmetic(device: str, precision: str) -> Arithmetic:
    """Returns what a training is to compute with.

    Args:
        device: `auto` (CUDA where there is one), `cpu` or `cuda`.
        precision: `float32`, `bfloat16`, or `auto` for the device's own bfloat16 products where it has them.

    Raises:
        ConfigError: the device is not there.
    """
    try:
        where = resolve_device(device)
    except DeviceError as error:
        raise ConfigError(f"training.device is {device!r}, but torch sees no CUDA device; use cpu or auto") from error
    return Arithmetic(where, precision == "bfloat16" or (precision == "auto" and has_low_products(where)))


_current: ContextVar[Arithmetic | None] = ContextVar("arithmetic", default=None)


def arithmetic() -> Arithmetic:
    """Returns what holds here: what `computing` set, else the processor with what products it has."""
    here = _current.get()
    return here if here is not None else Arithmetic(torch.device("cpu"), has_low_products(torch.device("cpu")))


@contextmanager
def computing(on: Arithmetic) -> Iterator[None]:
    """Within it new tensors lie on the device (`torch.as_tensor(array)` too), and `arithmetic` says what it says."""
    token = _current.set(on)
    try:
        with nullcontext() if on.device.type == "cpu" else on.device:
            yield
    finally:
        _current.reset(token)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within it torch computes with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def autocast() -> torch.autocast:
    """Returns torch's autocast to bfloat16, switched off where products are float32."""
    here = arithmetic()
    return torch.autocast(here.device.type, LOW, enabled=here.low)
