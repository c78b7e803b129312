"""From what a few photos took to the hours, workers and cost of all."""

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
    """A figure with its uncertainty: the median of what was measured, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Returns the median of some values, with the lowest and the highest."""
        return cls(statistics.median(values), min(values), max(values))

    def scaled(self, factor: float, more: float = 0.0) -> "Spread":
        """Returns the figure times a factor, plus what is certain."""
        return Spread(*(value * factor + more for value in (self.median, self.low, self.high)))


NOTHING = Spread(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Work:
    """What all photos take on this machine.

    Attributes:
        stages: seconds a photo, or a story, of each stage.
        photo: seconds of all stages together, each style told once.
        once: seconds that no other worker can take off: listing, and loading the networks.
        seconds: of all photos, without these.
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
        """Seconds on some workers, each of which does `pace` times what this machine does."""
        return self.seconds.scaled(1 / (workers * pace), self.once)

    def workers_within(self, seconds: float, pace: float) -> dict[str, int | None]:
        """Returns how many workers end in time, by the median and by the slowest group; None where none do."""
        left = (seconds - self.once) * pace

        def enough(work: float) -> int | None:
            return max(1, math.ceil(work / left)) if left > 0 else None

        return {"median": enough(self.seconds.median), "high": enough(self.seconds.high)}


def estimate(listed: Listed, measured: Measured, listing_seconds: float, bank: int | None) -> Work:
    """Returns what all photos take, by what the sample took.

    Args:
        listed: what is to be told.
        measured: what the sample took.
        listing_seconds: that listing took, ledgers of earlier runs included.
        bank: captions that there are in all, where each is encoded once; None where photos have captions of their own.
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
    """What a night costs, in one currency.

    Attributes:
        workers: machine hours, their GPUs included.
        storage_month: of what the run leaves, each month.
        operations: reads and writes of a bucket.
    """

    workers: Spread
    storage_month: float
    operations: float

    @property
    def night(self) -> Spread:
        """The night without storage."""
        return self.workers.scaled(1.0, self.operations)


def cost_of(work: Work, workers: int, pace: float, prices: Prices, leaves: float, reads: int, writes: int) -> Cost:
    """Returns what a night costs.

    Args:
        work: what all photos take on this machine.
        workers: each spends the time of loading.
        pace: work that a worker does, over what this machine does.
        prices: the user's.
        leaves: bytes.
        reads: operations.
        writes: operations.
    """
    hourly = prices.worker_hour + prices.worker_gpus * prices.gpu_hour
    operations = (reads * prices.read_operations_1000 + writes * prices.write_operations_1000) / 1000
    hours = work.shared(workers, pace).scaled(workers / HOUR)
    return Cost(hours.scaled(hourly), leaves / GB * prices.storage_gb_month, operations)
