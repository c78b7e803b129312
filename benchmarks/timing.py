"""Timing of sides that do the same work: they take turns, so that a slower machine slows all of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Clock = Callable[[], float]
Figures = dict[str, list[float]]
"""Seconds a unit of each side, one figure a round."""


@dataclass(frozen=True)
class Spread:
    """The median of some figures, and their range."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Returns the median of some values, with the lowest and the highest."""
        return cls(median(values), min(values), max(values))


class Side:
    """One way to do the work."""

    def measure(self) -> float:
        """Returns the seconds that a unit of the work takes."""
        raise NotImplementedError

    def warm_up(self) -> None:
        """Does the work, or a little of it, before the first round."""
        self.measure()


@dataclass
class Timed(Side):
    """Work that is timed whole.

    Attributes:
        work: done once a round.
        units: that it does.
        first: done in its place to warm up; None is the work itself.
        output: of the last time.
    """

    work: Callable[[], Any]
    units: float
    first: Callable[[], Any] | None = None
    clock: Clock = time.perf_counter
    output: Any = None

    def measure(self) -> float:
        """Returns the seconds that a unit of the work takes."""
        begun = self.clock()
        self.output = self.work()
        return (self.clock() - begun) / self.units

    def warm_up(self) -> None:
        """Does the work once, so that nothing is loaded while it is measured."""
        (self.first or self.work)()


@dataclass
class Marginal(Side):
    """Work done for few units and for many: the difference gives the time of a unit, the rest is the start.

    Attributes:
        work: done for a number of units.
        few: units of the shorter run.
        many: units of the longer run.
        starts: seconds that do not depend on the units, one figure a round.
        output: of the last longer run.
    """

    work: Callable[[int], Any]
    few: int
    many: int
    clock: Clock = time.perf_counter
    starts: list[float] = field(default_factory=list)
    output: Any = None

    def measure(self) -> float:
        """Returns the seconds that a unit of the work takes."""
        begun = self.clock()
        self.work(self.few)
        between = self.clock()
        self.output = self.work(self.many)
        short, long = between - begun, self.clock() - between
        seconds = (long - short) / (self.many - self.few)
        self.starts.append(short - self.few * seconds)
        return seconds

    def warm_up(self) -> None:
        """Does the work once, so that nothing is loaded while it is measured."""
        self.work(self.few)


@dataclass
class Reckoned(Side):
    """Seconds a unit from another measurement, such as the machine's limit."""

    seconds: Callable[[], float]

    def measure(self) -> float:
        """Returns the seconds that a unit of the work takes."""
        return self.seconds()


def play(sides: Mapping[str, Side], rounds: int) -> Figures:
    """Returns the sides' figures: each warms up once, then all are measured by turns, round after round."""
    for side in sides.values():
        side.warm_up()
    figures: Figures = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            figures[name].append(side.measure())
    return figures


def ratios(figures: Figures, side: str, base: str = "product") -> list[float]:
    """Returns how many times longer than the base a side took, one figure a round."""
    return [one / other for one, other in zip(figures[side], figures[base], strict=True)]
