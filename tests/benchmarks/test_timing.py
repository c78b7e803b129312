"""Rounds on a clock that only the work moves."""

import pytest

from benchmarks.timing import Marginal, Reckoned, Spread, Timed, play, ratios


class Clock:
    """Seconds that pass when somebody works."""

    def __init__(self) -> None:
        self.now = 100.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: float) -> str:
        self.log.append(name)
        self.now += seconds
        return name


def test_sides_take_turns_after_one_warm_up_each() -> None:
    clock = Clock()
    sides = {
        "product": Timed(lambda: clock.work("a", 2.0), 4, lambda: clock.work("little a", 50.0), clock),
        "other": Timed(lambda: clock.work("b", 6.0), 2, None, clock),
        "limit": Reckoned(lambda: 0.25),
    }
    figures = play(sides, 3)
    assert clock.log == ["little a", "b"] + ["a", "b"] * 3
    assert figures == {"product": [0.5] * 3, "other": [3.0] * 3, "limit": [0.25] * 3}
    assert sides["product"].output == "a"  # type: ignore[attr-defined]
    assert ratios(figures, "other") == [6.0] * 3 and ratios(figures, "limit") == [0.5] * 3


def test_ratios_are_of_rounds_not_of_medians() -> None:
    figures = {"product": [1.0, 2.0, 10.0], "other": [10.0, 10.0, 10.0]}
    assert Spread.of(ratios(figures, "other")) == Spread(5.0, 1.0, 10.0)


def test_the_start_is_told_apart() -> None:
    clock = Clock()
    side = Marginal(lambda units: clock.work("run", 7.0 + 0.5 * units), 2, 12, clock)
    assert play({"product": side}, 2) == {"product": [0.5, 0.5]}
    assert side.starts == [pytest.approx(7.0)] * 2
    assert len(clock.log) == 1 + 2 * 2
