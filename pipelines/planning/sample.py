"""Measures the time of each step on a sample of the photos that are due."""

import hashlib
import heapq
import io
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from pipelines.nightly.selection import Task
from pipelines.planning.timed_chain import Group, TimedChain
from pipelines.telling.one_photo import Models
from transforms.rows import STORIES, Row

GROUPS = 3  # at least, if there are enough photos: the number of times that are compared


@dataclass(frozen=True)
class Measured:
    """Times of a sample.

    Attributes:
        groups: times of each group of photos.
        failures: number of photos that would be dead letters, by (stage, error).
        failed: number of photos without a story in at least one style.
        start: seconds to load the networks, once.
        captions: number of captions encoded in all groups.
        row_bytes: bytes of a story's row in Parquet; 0 without stories.
    """

    groups: list[Group]
    failures: Counter[tuple[str, str]]
    failed: int
    start: float
    captions: int
    row_bytes: float

    @property
    def photos(self) -> int:
        """Photos that were measured."""
        return sum(group.photos for group in self.groups)


def draw(tasks: Sequence[Task], count: int) -> list[Task]:
    """Returns a pseudo-random sample of `count` tasks, always the same ones."""
    return heapq.nsmallest(count, tasks, key=_lot)


def _lot(task: Task) -> bytes:
    return hashlib.blake2b(task[0].uri.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def cut(tasks: Sequence[Task], batch_size: int) -> list[Sequence[Task]]:
    """Returns the tasks in groups of similar size, at most a batch of the run: networks are faster on full batches."""
    count = max(min(GROUPS, len(tasks)), -(-len(tasks) // batch_size))
    edges = [len(tasks) * place // count for place in range(count + 1)]
    return [tasks[start:end] for start, end in zip(edges, edges[1:], strict=False)]


def measure(models: Models, tasks: Sequence[Task]) -> Measured:
    """Returns the time of each step for the tasks, group by group; writes nothing.

    The first group is processed twice: the difference is the time of loading.
    """
    if not tasks:
        return Measured([], Counter(), 0, 0.0, 0, 0.0)
    parts = cut(tasks, models.settings.config.batch_size)
    with tqdm(total=len(tasks) + len(parts[0]), unit="photo", desc="Measuring", disable=None) as progress:
        first = _timed(TimedChain(models), parts[0])[1]
        progress.update(len(parts[0]))
        chain, groups, seconds = TimedChain(models), [], []
        for part in parts:
            group, taken = _timed(chain, part)
            groups.append(group)
            seconds.append(taken)
            progress.update(len(part))
    start = max(0.0, first - seconds[0])
    row_bytes = table_bytes(chain.rows) / len(chain.rows) if chain.rows else 0.0
    return Measured(groups, chain.failures, len(chain.dropped), start, len(chain.vectors.encoded), row_bytes)


def _timed(chain: TimedChain, tasks: Sequence[Task]) -> tuple[Group, float]:
    """Returns the times of a few photos, and their total in seconds."""
    begun = time.perf_counter()
    return chain.run(tasks), time.perf_counter() - begun


def table_bytes(rows: Sequence[Row]) -> int:
    """Returns the bytes of story rows as the run would write them."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=STORIES), buffer, compression="zstd")
    return len(buffer.getvalue())
