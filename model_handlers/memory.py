"""Batches that fit the memory: a batch that does not fit is split, and the size that fits is remembered."""

import errno
import gc
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from model_handlers.machine_cache import cache_folder, read_stamp, write_stamp
from model_handlers.run_errors import OutOfMemory

Item = TypeVar("Item")
Result = TypeVar("Result")

MESSAGES = re.compile(
    r"out of memory|(can't|cannot|could not) allocate|not enough memory|bad_alloc|_STATUS_ALLOC_FAILED", re.IGNORECASE
)


KEPT = 7 * 24 * 3600  # seconds for which a machine remembers a limit: other processes may have used its GPU


def ran_out_of_memory(error: BaseException) -> bool:
    """Returns whether memory ran out, on a GPU or on the CPU, for which torch has no error class of its own."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and MESSAGES.search(str(error)) is not None


def no_memory(what: str, error: BaseException) -> OutOfMemory:
    """Returns the error that ends a run, with advice."""
    return OutOfMemory(
        f"memory ran out for {what} ({error or type(error).__name__}). A narrower beam (--beam-width), --device cpu, "
        "fewer workers or a machine with more memory help"
    )


def machine_stamp(device: torch.device, facts: Sequence[Any]) -> Path | None:
    """Returns the file for a limit of batches on a GPU; None for the CPU, whose memory is shared.

    Args:
        device: device, whose name and memory affect the limit.
        facts: everything else that affects the limit.
    """
    if device.type != "cuda":
        return None
    gpu = torch.cuda.get_device_properties(device)
    key = json.dumps([gpu.name, gpu.total_memory, *facts])
    return cache_folder() / "limits" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


class Limit:
    """Maximum number of items in a batch, as found by this process or earlier on this machine.

    It only decreases: items of a kind need about the same memory, and each failed try costs a batch.

    Args:
        what: description of the computation for messages.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.most: int | None = None
        self._stamp: Path | None = None

    def remember(self, stamp: Path | None) -> None:
        """Reads the limit found earlier from a file, and keeps new limits there; does neither for None."""
        if stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        match read_stamp(stamp):
            case {"most": int(most), "found": int(found)} if most > 0 and time.time() - found < KEPT:
                self.most = min(self.most or most, most)

    def run(self, infer: Callable[[Sequence[Item]], Iterable[Result]], batch: Sequence[Item]) -> list[Result]:
        """Returns the results of a batch, computed in parts that fit.

        Raises:
            OutOfMemory: one item does not fit.
        """
        results: list[Result] = []
        start = 0
        while start < len(batch):
            part = batch[start : start + (self.most or len(batch))]
            if (found := self._try(infer, part)) is None:
                continue
            results += found
            start += len(part)
        return results

    def _try(self, infer: Callable[[Sequence[Item]], Iterable[Result]], part: Sequence[Item]) -> list[Result] | None:
        """Returns the results, or None if the part is too large; its memory is then free again."""
        try:
            return list(infer(part))
        except OutOfMemory:
            raise
        except (RuntimeError, MemoryError, OSError) as error:
            if not ran_out_of_memory(error):
                raise
            if len(part) == 1:
                raise no_memory(f"a batch of one: {self.what}", error) from error
            self._shrink(len(part))
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return None

    def _shrink(self, size: int) -> None:
        self.most = min(self.most or size, size // 2)
        logging.warning("%s: memory ran out with a batch of %d; the limit is now %d", self.what, size, self.most)
        if self._stamp is not None:
            write_stamp(self._stamp, {"what": self.what, "most": self.most, "found": int(time.time())})
