"""Measurements of a stage, as JSON and as a Markdown table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.checks import Check
from benchmarks.timing import Figures, Spread, ratios

SHOWN = 5  # differences reported for a stage


@dataclass
class Result:
    """One stage's figures.

    Attributes:
        stage: its name.
        sizes: origin of the networks' sizes, such as `original` or `pocket pack`.
        unit: unit of work that a figure's seconds refer to.
        figures: seconds a unit by side, one for each round; `product` is the program's.
        targets: minimum ratio to the product, by side.
        most_seconds: maximum seconds of the product for a unit; None if only ratios count.
        amounts: amounts of work of each side, and other counts.
        starts: seconds of a side before its first unit, one for each round, if they are measured separately.
        check: comparison of the sides' results.
        left_out: sides that could not run, and why.
        notes: notes for readers.
    """

    stage: str
    sizes: str
    unit: str
    figures: Figures
    targets: dict[str, float] = field(default_factory=dict)
    most_seconds: float | None = None
    amounts: Mapping[str, float] = field(default_factory=dict)
    starts: Figures = field(default_factory=dict)
    check: Check = field(default_factory=Check)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def ratio(self, side: str) -> Spread:
        """Returns how many times longer than the product a side took: the least, the middle and the most round."""
        return Spread.of(ratios(self.figures, side))

    @property
    def seconds(self) -> Spread:
        """Returns the product's seconds a unit."""
        return Spread.of(self.figures["product"])

    def as_json(self) -> dict[str, Any]:
        """Returns the result as plain data, with ratios and spreads."""
        others = [side for side in self.figures if side != "product"]
        return asdict(self) | {
            "seconds": asdict(self.seconds),
            "ratios": {side: asdict(self.ratio(side)) for side in others},
        }

    def rows(self) -> list[list[str]]:
        """Returns the stage's rows of the table: one a comparison."""
        product = f"{show(self.seconds)} s a {self.unit}"
        rows = []
        if self.most_seconds is not None:
            met = _met(self.seconds.median <= self.most_seconds)
            rows.append([f"{self.stage} ({self.sizes})", product, "", "", f"at most {self.most_seconds:g} s: {met}"])
        for side in self.figures:
            if side != "product":
                ratio, least = self.ratio(side), self.targets.get(side)
                target = "" if least is None else f"at least {least:g}: {_met(ratio.median >= least)}"
                rows.append([f"{self.stage} ({self.sizes})", product, side, show(ratio), target])
        left = [[f"{self.stage} ({self.sizes})", product, side, "left out", ""] for side in self.left_out]
        return (rows or [[f"{self.stage} ({self.sizes})", product, "", "", ""]]) + left


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def show(spread: Spread) -> str:
    """Returns a spread as text: the median, with the lowest and the highest value in brackets."""
    return f"{spread.median:.3g} ({spread.least:.3g} to {spread.most:.3g})"


HEAD = ("stage", "product", "beside", "times the product's", "target")


def markdown(machine: dict[str, Any], results: Sequence[Result], left_out: dict[str, str]) -> str:
    """Returns the report: the machine, one table, and notes on the figures.

    Args:
        machine: facts by name.
        results: of the stages that ran.
        left_out: stages that did not run, and why.
    """
    table = [HEAD, ["---"] * len(HEAD), *(row for result in results for row in result.rows())]
    lines = ["; ".join(f"{name} {value}" for name, value in machine.items()), ""]
    lines += [f"| {' | '.join(row)} |" for row in table]
    lines += ["", "Each ratio is one of a round: the median, and the least and the most of the rounds.", ""]
    lines += [f"- {name} was left out: {why}" for name, why in left_out.items()]
    for result in results:
        lines += [f"- {result.stage} ({result.sizes}): {remark}" for remark in remarks(result)]
    return "\n".join(lines) + "\n"


def remarks(result: Result) -> list[str]:
    """Returns the notes on a stage besides its ratios."""
    said = [f"{side} was left out: {why}" for side, why in result.left_out.items()]
    said += [f"{side} takes {show(Spread.of(starts))} s to start" for side, starts in result.starts.items()]
    said += [
        f"{side} did too little to be told from its start" for side, one in result.figures.items() if min(one) <= 0
    ]
    check = result.check
    if check.compared:
        said.append(
            f"{check.compared} outputs compared, {len(check.allowed)} different by rounding alone, "
            f"{len(check.different)} different"
        )
    said += [f"by rounding alone: {one}" for one in check.allowed[:SHOWN]]
    said += [f"DIFFERENT: {one}" for one in check.different[:SHOWN]]
    return said + result.notes
