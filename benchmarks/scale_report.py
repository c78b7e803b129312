"""Lines through the points of benchmarks.scale, as a table and as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale_points import ONE_PIPELINE, SEARCH, WAVES, Result

FULL_WAVES = 1000  # photos from which on memory is compared: below, no wave is full, or just one


@dataclass(frozen=True)
class Line:
    """A line by least squares: value = slope x count + start.

    Attributes:
        slope: a photo, or a caption.
        start: at none.
        residuals: of the values, in the order of the counts.
    """

    slope: float
    start: float
    residuals: tuple[float, ...]

    def at(self, count: float) -> float:
        """Returns the line's value."""
        return self.slope * count + self.start


def fit(counts: Sequence[float], values: Sequence[float]) -> Line | None:
    """Returns the line through points; None if there are fewer than two different counts."""
    if len(set(counts)) < 2:
        return None
    matrix = np.stack([np.asarray(counts, float), np.ones(len(counts))], axis=1)  # [n, 2]
    (slope, start), *_ = np.linalg.lstsq(matrix, np.asarray(values, float), rcond=None)
    residuals = np.asarray(values, float) - matrix @ [slope, start]  # [n]
    return Line(float(slope), float(start), tuple(residuals.tolist()))


@dataclass(frozen=True)
class Measure:
    """One figure of the points.

    Attributes:
        name: for people.
        key: in the results.
        unit: in which it is told.
        scale: of the result's value to it.
        small: unit of a slope.
        slope_scale: of the figure's unit to it.
    """

    name: str
    key: str
    unit: str
    scale: float
    small: str
    slope_scale: float


SECONDS = Measure("time", "seconds", "s", 1.0, "ms", 1000.0)
BATCH = Measure("time of a batch of 64", "seconds", "ms", 1000.0, "µs", 1000.0)
CPU = Measure("processor time", "cpu_seconds", "s", 1.0, "ms", 1000.0)
MEMORY = Measure("memory", "memory_kb", "MB", 1 / 1024, "kB", 1024.0)
OWN = Measure("memory without mapped files", "own_kb", "MB", 1 / 1024, "kB", 1024.0)
MEASURES = {"photos": (SECONDS, CPU, MEMORY, OWN), "captions": (BATCH, MEMORY, OWN)}
WAYS = {"photos": (WAVES, ONE_PIPELINE), "captions": (SEARCH,)}
WANTED = {(WAVES, "memory_kb"): "flat", (ONE_PIPELINE, "memory_kb"): "at most 60"}
LOOKS = (
    {"color": "tab:blue", "marker": "o", "markersize": 9, "markerfacecolor": "none", "ls": "-"},
    {"color": "tab:orange", "marker": "x", "ls": "--"},  # seen where it lies on the first
)
PICTURES = {"time": (SECONDS, BATCH), "memory": (MEMORY, MEMORY)}


def select(points: Sequence[Result], against: str, way: str, measure: Measure) -> tuple[list[int], list[float]]:
    """Returns the counts, rising, and the values in the measure's unit that a line is to go through.

    Memory of waves is what it is from their second one on: of smaller counts there is none where larger ones are two.
    """
    found = sorted(
        (point["count"], point[measure.key] * measure.scale)
        for point in points
        if (point["against"], point["way"]) == (against, way)
    )
    full = [pair for pair in found if pair[0] >= FULL_WAVES]
    if way == WAVES and measure in (MEMORY, OWN) and len(full) > 1:
        found = full
    return [count for count, _ in found], [value for _, value in found]


def rows(points: Sequence[Result]) -> list[tuple[str, ...]]:
    """Returns the table's rows: what grows, with what, how much, and how far the points lie from the line."""
    told = []
    for against, ways in WAYS.items():
        for way in ways:
            for measure in MEASURES[against]:
                counts, values = select(points, against, way, measure)
                line = fit(counts, values)
                if line is not None:
                    told.append((against, way, measure.name, *_cells(line, counts, measure), _wanted(way, measure)))
    return told


def _cells(line: Line, counts: Sequence[int], measure: Measure) -> tuple[str, ...]:
    worst = max(abs(residual) for residual in line.residuals)
    each = f"{number(line.slope * measure.slope_scale)} {measure.small}"
    span = f"{min(counts):,} to {max(counts):,} ({len(counts)})"
    return each, f"{number(line.start)} {measure.unit}", f"{number(worst)} {measure.unit}", span


def _wanted(way: str, measure: Measure) -> str:
    return WANTED.get((way, measure.key), "")


def number(value: float) -> str:
    """Returns a number to three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


HEAD = ("against", "how", "what", "slope: each", "start: at none", "largest residual", "counts (points)", "wanted")


def report(points: Sequence[Result], facts: Result) -> str:
    """Returns what was measured as Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *rows(points)]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return TEXT.format(**facts, table=table, full=FULL_WAVES, told=", ".join(map(" ".join, facts["versions"].items())))


TEXT = """# Time and memory against photos and captions

{processor}, {cores} cores, OMP_NUM_THREADS: {threads}. Python {python}, {told}.
Beam width {beam_width}, pack {pack_digest:.12}. Each point is a process of its own; lines are fitted by least squares.
Memory is what all processes of a point held at once, as /proc tells five times a second; what they share is counted in
each. Of waves it is compared from {full:,} photos on.

{table}
![time](scale_time.png)

![memory](scale_memory.png)
"""


def draw(points: Sequence[Result], folder: Path) -> list[Path]:
    """Returns the files of the pictures that it drew: time, and memory, each against photos and captions."""
    from matplotlib.figure import Figure

    files = []
    for name, measures in PICTURES.items():
        figure = Figure(figsize=(10, 4.5), layout="constrained")
        for axes, (against, ways), measure in zip(figure.subplots(1, 2), WAYS.items(), measures, strict=True):
            for way, look in zip(ways, LOOKS, strict=False):
                _draw_way(axes, select(points, against, way, measure), measure, way, look)
            axes.set(
                xlabel=against, ylabel=f"{measure.name}, {measure.unit}", title=f"{measure.name} against {against}"
            )
            axes.set(xlim=(0, None), ylim=(0, None))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(_thousands)
            axes.grid(alpha=0.3)
            if axes.get_legend_handles_labels()[0]:
                axes.legend()
        files.append(folder / f"scale_{name}.png")
        figure.savefig(files[-1], dpi=120)
    return files


def _thousands(value: float, _: int) -> str:
    return f"{value:,.6g}"


def _draw_way(axes: Any, pairs: tuple[list[int], list[float]], measure: Measure, way: str, look: Result) -> None:
    counts, values = pairs
    if not counts:
        return
    line, label = fit(counts, values), way
    if line is not None:
        axes.plot([0, max(counts)], [line.at(0), line.at(max(counts))], alpha=0.6, color=look["color"], ls=look["ls"])
        each, start, *_ = _cells(line, counts, measure)
        label = f"{way}: {each} each, {start} at none"
    axes.plot(counts, values, label=label, **(look | {"ls": ""}))
