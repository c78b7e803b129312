"""Estimates the hours, workers and cost of all photos from the times of a few."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from configs.prices import Prices
from pipelines.planning.listing import Listed
from pipelines.planning.sample import Measured

HOUR, GB = 3600.0, 1e9


@dataclass(frozen=True)
class Spread:
    """A figure with its uncertainty: median, lowest and highest measured value."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Returns the median of some values, with the lowest and the highest."""
        return cls(statistics.median(values), min(values), max(values))

    def scaled(self, factor: float, more: float = 0.0) -> "Spread":
        """Returns the figure times a factor, plus a constant."""
        return Spread(*(value * factor + more for value in (self.median, self.low, self.high)))


NOTHING = Spread(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Work:
    """Time that all photos take on this machine.

    Attributes:
        stages: seconds of each stage, a photo or a story.
        photo: seconds of all stages together for a photo, each style once.
        once: seconds that more workers do not save: listing, and loading the networks.
        seconds: seconds of all photos, without `once`.
    """

    stages: dict[str, Spread]
    photo: Spread
    once: float
    seconds: Spread

    @property
    def alone(self) -> Spread:
        """Seconds on this machine."""
        return self.seconds.scaled(1.0, self.once)

    def shared(self, workers: int, pace: float) -> Spread:
        """Returns the seconds on a number of workers, each `pace` times as fast as this machine."""
        return self.seconds.scaled(1 / (workers * pace), self.once)

    def workers_within(self, seconds: float, pace: float) -> dict[str, int | None]:
        """Returns how many workers end in time, by the median and by the slowest group; None if no number does."""
        left = (seconds - self.once) * pace

        def enough(work: float) -> int | None:
            return max(1, math.ceil(work / left)) if left > 0 else None

        return {"median": enough(self.seconds.median), "high": enough(self.seconds.high)}


def estimate(listed: Listed, measured: Measured, listing_seconds: float, bank: int | None) -> Work:
    """Returns the time of all photos, estimated from the sample.

    Args:
        listed: photos that are due.
        measured: times of the sample.
        listing_seconds: seconds of listing, reading the ledgers of earlier runs included.
        bank: number of captions of the bank, each encoded once; None if captions are written for each photo.
    """
    groups = measured.groups
    once = listing_seconds + measured.start
    if not groups:
        return Work({}, NOTHING, once, NOTHING)
    names = dict.fromkeys(name for group in groups for name in group.seconds)
    stages = {name: Spread.of([group.seconds[name] for group in groups if name in group.seconds]) for name in names}
    shares = {name: float(_share(name, listed)) for name in names}
    fresh = measured.captions / measured.photos * len(listed.tasks)
    if bank is not None and fresh > bank:
        shares["sentences"] *= bank / fresh
    totals = [
        sum(share * group.seconds.get(name, stages[name].median) for name, share in shares.items()) for group in groups
    ]
    photo = Spread.of([sum(group.seconds.values()) for group in groups])
    return Work(stages, photo, once, Spread.of(totals))


def _share(stage: str, listed: Listed) -> int:
    """Returns how many photos, or stories, go through a stage."""
    kind, _, style = stage.partition(" ")
    shares = {"read": listed.unseen, "decode": listed.unseen, "features": listed.unseen, "captions": listed.uncaptioned}
    return listed.styles[style] if kind == "story" else shares.get(kind, len(listed.tasks))


@dataclass(frozen=True)
class Cost:
    """Cost of a night, in one currency.

    Attributes:
        workers: cost of machine hours, GPUs included.
        storage_month: cost of storing what the run writes, a month.
        operations: cost of reads and writes of a bucket.
    """

    workers: Spread
    storage_month: float
    operations: float

    @property
    def night(self) -> Spread:
        """Cost of the night without storage."""
        return self.workers.scaled(1.0, self.operations)


def cost_of(work: Work, workers: int, pace: float, prices: Prices, leaves: float, reads: int, writes: int) -> Cost:
    """Returns the cost of a night.

    Args:
        work: time of all photos on this machine.
        workers: number of workers; each loads the networks.
        pace: speed of a worker, relative to this machine.
        prices: prices of the user.
        leaves: bytes that the run writes.
        reads: read operations.
        writes: write operations.
    """
    hourly = prices.worker_hour + prices.worker_gpus * prices.gpu_hour
    operations = (reads * prices.read_operations_1000 + writes * prices.write_operations_1000) / 1000
    hours = work.shared(workers, pace).scaled(workers / HOUR)
    return Cost(hours.scaled(hourly), leaves / GB * prices.storage_gb_month, operations)
