"""Base of all handlers: a model loaded at the first batch, an explicit device, and recovery of failing batches."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from apache_beam.ml.inference.base import ModelHandler

from model_handlers.memory import Limit, machine_stamp, no_memory, ran_out_of_memory
from model_handlers.pack import Pack, open_once
from model_handlers.precision import PRECISIONS, computing
from model_handlers.process_cache import PROCESS_CACHE
from model_handlers.run_errors import DeviceError

Item = TypeVar("Item")
Result = TypeVar("Result")
Model = TypeVar("Model")

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str) -> torch.device:
    """Returns the torch device for `auto`, `cpu` or `cuda`; `auto` is CUDA if there is a CUDA device.

    Raises:
        DeviceError: CUDA was requested and is not available, or the name is unknown.
    """
    if name not in DEVICES:
        raise DeviceError(f"device {name!r} is unknown; it can be {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device cuda was requested, but torch finds no CUDA device; use --device cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def check_precision(precision: str, device: torch.device) -> None:
    """Raises DeviceError if the device does not support the precision, or the precision is unknown."""
    if precision not in PRECISIONS:
        raise DeviceError(f"precision {precision!r} is unknown; it can be {', '.join(PRECISIONS)}")
    if precision == "tf32" and device.type != "cuda":
        raise DeviceError("tf32 needs a CUDA device, but the networks run on the CPU here; use float32 or bfloat16")
    if precision != "float32" and device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        name = torch.cuda.get_device_name(device)
        raise DeviceError(f"{name} supports neither tf32 nor bfloat16; use float32")


class LazyModel(Generic[Model]):
    """A model of this process, built when first requested and kept by its key across pipelines.

    Args:
        key: key of the model.
        build: makes the model.
        memory_key: what else, besides the model, decides how much memory an item takes.

    Attributes:
        limit: limit of its batches, also kept by a key.
    """

    def __init__(self, key: tuple[Any, ...], build: Callable[[], Model], memory_key: tuple[Any, ...] = ()) -> None:
        self._key = key
        self._build = build
        self.limit = PROCESS_CACHE.get(("limit", key, memory_key), partial(Limit, str(key[0])))

    def get(self) -> Model:
        """Returns the model, after building it if necessary."""
        return PROCESS_CACHE.get(("model", self._key), self._build)


def infer_each(
    infer: Callable[[Sequence[Item]], Sequence[Result | Exception]], batch: Sequence[Item], limit: Limit | None = None
) -> list[Result | Exception]:
    """Returns one result for each item; a failing batch is halved until the bad item is isolated with its error.

    Args:
        infer: returns one result for each item.
        batch: items of the batch.
        limit: number of items that fit the memory, as earlier batches have shown.

    Raises:
        OutOfMemory: memory ran out with a single item.
        RuntimeError: every item of a larger batch failed in the same way, which is not a photo's fault.
    """
    results = list(_halve(infer, batch, limit or Limit("a model")))
    if len(results) != len(batch):
        raise RuntimeError(f"a batch of {len(batch)} items gave {len(results)} results")
    failures = [result for result in results if isinstance(result, RuntimeError)]
    if len(failures) == len(batch) > 1:
        raise RuntimeError(f"all {len(batch)} items of a batch failed; the first: {failures[0]}") from failures[0]
    return results


def _halve(
    infer: Callable[[Sequence[Item]], Sequence[Result | Exception]], batch: Sequence[Item], limit: Limit
) -> Iterator[Result | Exception]:
    try:
        results = limit.run(infer, batch)
    except (RuntimeError, ValueError) as error:
        if len(batch) == 1:
            yield RuntimeError(str(error)) if isinstance(error, RuntimeError) else ValueError(str(error))
            return
        results = None
    if results is not None:
        yield from results
        return
    middle = len(batch) // 2
    yield from _halve(infer, batch[:middle], limit)
    yield from _halve(infer, batch[middle:], limit)


@dataclass(frozen=True)
class Placement:
    """The pack that a handler loads, and where it runs.

    Attributes:
        location: the pack's folder or URI.
        digest: digest of the pack; a pack that was replaced in the meantime is refused.
        device: `auto`, `cpu` or `cuda`.
        precision: `float32`, `tf32` (on CUDA only) or `bfloat16`, see `computing`.
    """

    location: str
    digest: str
    device: str = "auto"
    precision: str = "float32"


class PackHandler(ModelHandler[Item, Result | Exception, LazyModel[Model]], Generic[Item, Result, Model]):
    """A Beam ModelHandler for one component of a model pack.

    Args:
        placement: the pack, and where it runs.
        batch_size: items in a batch.
    """

    def __init__(self, placement: Placement, batch_size: int = 32) -> None:
        super().__init__()
        self.placement = placement
        self.batch_size = batch_size

    @abstractmethod
    def build(self, pack: Pack, device: torch.device) -> Model:
        """Returns the loaded model on the device."""

    @abstractmethod
    def infer(self, batch: Sequence[Item], model: Model) -> Sequence[Result | Exception]:
        """Returns one result for each item of the batch, or an error if only that item is at fault.

        Raises:
            ValueError: an item is wrong; the batch is then halved until the item is isolated.
        """

    def variant(self) -> tuple[Any, ...]:
        """Returns the part of the model's key that distinguishes it from others of its class and pack."""
        return ()

    def memory_key(self) -> tuple[Any, ...]:
        """Returns what else, besides the model, decides how much memory an item takes."""
        return ()

    def load_model(self) -> LazyModel[Model]:
        """Returns a handle on the model, which is built at the first batch."""
        return LazyModel((type(self).__name__, self.placement, *self.variant()), self._open, self.memory_key())

    def _stamp(self) -> Path | None:
        """Returns the file in which this machine keeps the limit of batches."""
        where = self.placement
        facts = (type(self).__name__, where.digest, where.precision, *self.variant(), *self.memory_key())
        return machine_stamp(resolve_device(where.device), facts)

    def _open(self) -> Model:
        where = self.placement
        device = resolve_device(where.device)
        check_precision(where.precision, device)
        try:
            return self.build(open_once(where.location, where.digest), device)
        except (RuntimeError, MemoryError, OSError) as error:
            if not ran_out_of_memory(error):
                raise
            raise no_memory(f"the model of {type(self).__name__}", error) from error

    def computing(self) -> AbstractContextManager[None]:
        """Returns a context in which the model computes with the precision of its placement."""
        return computing(self.placement.precision, resolve_device(self.placement.device))

    def run_inference(
        self,
        batch: Sequence[Item],
        model: LazyModel[Model],
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[Result | Exception]:
        """Returns one result or error for each item."""
        loaded = model.get()
        model.limit.remember(self._stamp())

        def infer(items: Sequence[Item]) -> Sequence[Result | Exception]:
            with self.computing():
                return self.infer(items, loaded)

        return infer_each(infer, batch, model.limit)

    def batch_elements_kwargs(self) -> dict[str, Any]:
        """Returns fixed batch sizes, since growing sizes would differ from run to run."""
        return {"min_batch_size": self.batch_size, "max_batch_size": self.batch_size}

    def get_num_bytes(self, batch: Sequence[Item]) -> int:
        """Returns the batch's bytes, for Beam's counters."""
        return sum(item.nbytes if isinstance(item, np.ndarray) else len(str(item)) for item in batch)
