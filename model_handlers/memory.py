"""Batches that fit the memory: one that does not is cut, and what fits is remembered."""

import errno
import gc
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

TOLD = re.compile(
    r"out of memory|(can't|cannot|could not) allocate|not enough memory|bad_alloc|_STATUS_ALLOC_FAILED", re.IGNORECASE
)


class OutOfMemory(MemoryError):  # noqa: N818 (named like torch's)
    """Memory ran out, and no smaller batch is left to try; no photo's fault."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Tells whether memory ran out, on a GPU or on the CPU, where torch raises no class of its own."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and TOLD.search(str(error)) is not None


def no_memory(what: str, error: BaseException) -> OutOfMemory:
    """Returns the error that ends a run, with what helps."""
    return OutOfMemory(
        f"memory ran out for {what} ({error or type(error).__name__}). A narrower beam (--beam-width), --device cpu, "
        "fewer workers or a machine with more memory help"
    )


class Limit:
    """The most items that a batch may have, as far as this process has found out.

    It only falls: items of a kind need about the same memory, and a try too many costs a batch.

    Args:
        what: is computed, in the words of messages.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.most: int | None = None

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
        """Returns the results, None where the part is too large; what it had allocated is free then."""
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
        logging.warning("%s: memory ran out at a batch of %d; from here on %d are the most", self.what, size, self.most)
