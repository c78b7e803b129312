"""Batches that fit the memory: cut where they do not, remembered, and free of what failed before the next try."""

import errno
import gc
import json
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from model_handlers import memory
from model_handlers.memory import KEPT, Limit, machine_stamp, ran_out_of_memory
from model_handlers.run_errors import OutOfMemory

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    torch.cuda.OutOfMemoryError("CUDA out of memory"),
    MemoryError("Unable to allocate 8 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    RuntimeError("std::bad_alloc"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_a_batch_is_cut_until_it_fits_and_the_size_is_remembered(error: Exception) -> None:
    limit, sizes = Limit("numbers"), []

    def infer(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise error
        return [2 * item for item in batch]

    for _ in range(2):
        assert limit.run(infer, range(7)) == [0, 2, 4, 6, 8, 10, 12]
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1, *[1] * 7]
    assert limit.most == 1


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_one_item_that_does_not_fit_is_told(error: Exception) -> None:
    def infer(batch: Sequence[int]) -> list[int]:
        raise error

    with pytest.raises(OutOfMemory, match="memory ran out for a batch of one: numbers .*--beam-width"):
        Limit("numbers").run(infer, range(5))


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("memory"), FileNotFoundError("out of memory.txt")])
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not ran_out_of_memory(error)
    calls: list[int] = []

    def infer(batch: Sequence[int]) -> list[int]:
        calls.append(len(batch))
        raise error

    with pytest.raises(type(error)):
        Limit("numbers").run(infer, range(5))
    assert calls == [5]


def test_what_failed_is_free_before_the_next_try() -> None:
    """Else the smaller batch would meet the memory that the larger one filled."""
    held: list[weakref.ref] = []

    def infer(batch: Sequence[int]) -> list[int]:
        assert all(one() is None for one in held)
        filled = torch.zeros(1000)
        held.append(weakref.ref(filled))
        if len(batch) > 1:
            raise MemoryError
        return list(batch)

    gc.disable()
    try:
        assert Limit("numbers").run(infer, range(4)) == [0, 1, 2, 3]
    finally:
        gc.enable()
    assert len(held) == 6


def test_rows_of_an_array_are_results() -> None:
    rows = Limit("rows").run(lambda batch: np.array([[item, item] for item in batch]), range(3))
    assert np.array_equal(rows, [[0, 0], [1, 1], [2, 2]])


def test_no_batch_needs_no_memory() -> None:
    assert Limit("numbers").run(list, []) == []


def test_torch_itself_runs_out_of_memory() -> None:
    """A real failure of torch's allocator, in a request no machine can fulfil."""
    sizes: list[int] = []

    def infer(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > 1:
            torch.empty(1 << 60)
        return list(batch)

    assert Limit("numbers").run(infer, range(4)) == [0, 1, 2, 3]
    assert sizes[:3] == [4, 2, 1]


def two_at_once(batch: Sequence[int]) -> list[int]:
    if len(batch) > 2:
        raise MemoryError
    return list(batch)


def test_a_machine_remembers_what_fits(tmp_path: Path) -> None:
    """Tomorrow's process begins with what today's found out, without a batch that fails."""
    today, stamp = Limit("numbers"), tmp_path / "limits" / "stamp.json"
    today.remember(stamp)
    assert today.most is None and not stamp.exists()
    assert today.run(two_at_once, range(8)) == list(range(8))
    assert json.loads(stamp.read_text())["most"] == today.most == 2
    tomorrow, sizes = Limit("numbers"), []
    tomorrow.remember(stamp)
    tomorrow.run(lambda batch: sizes.append(len(batch)) or two_at_once(batch), range(8))
    assert sizes == [2, 2, 2, 2]
    tomorrow.most = 1
    tomorrow.remember(stamp)  # what this process knows better stays
    assert tomorrow.most == 1


@pytest.mark.parametrize(
    "stamp",
    [
        {"most": 2, "found": int(time.time()) - KEPT - 9},  # too long ago
        {"most": 0, "found": int(time.time())},
        {"most": "2", "found": int(time.time())},
        [2],
    ],
)
def test_old_and_damaged_memories_are_left_alone(tmp_path: Path, stamp: Any) -> None:
    (tmp_path / "stamp.json").write_text(json.dumps(stamp))
    limit = Limit("numbers")
    limit.remember(tmp_path / "stamp.json")
    assert limit.most is None


def test_only_gpus_are_remembered_by_all_that_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    def stamp(name: str = "L4", total_memory: int = 24, facts: Sequence[Any] = ("Stories", 50)) -> Path | None:
        gpu = SimpleNamespace(name=name, total_memory=total_memory)
        monkeypatch.setattr(memory.torch.cuda, "get_device_properties", lambda device: gpu)
        return machine_stamp(torch.device("cuda"), facts)

    stamps = [stamp(), stamp("T4"), stamp(total_memory=16), stamp(facts=("Stories", 5)), stamp(facts=())]
    assert None not in stamps and len(set(stamps)) == 5 and stamp() == stamps[0]
    assert machine_stamp(torch.device("cpu"), ("Stories", 50)) is None
