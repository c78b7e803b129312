"""The picture of the curves of a training: the figures of its log over the steps."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Line = Mapping[str, float]

COLUMNS = 3
LEARNING = "loss while learning"
SCORE = "score (higher is better)"
_UNITS = {"nll": "nats a token", "R@1": "percent", "R@5": "percent", "R@10": "percent", "content": "percent"}
_HELD_OUT = "held out: "


def draw_curves(log: Sequence[Line], held_out: Sequence[str], path: Path, title: str) -> None:
    """Writes a picture of a log: a panel for the training losses and one for each kind of held-out figure.

    Args:
        log: lines of the log in order; a curve leaves out the lines that lack its figure.
        held_out: names of the held-out figures. The part after the last `_` names the panel and the part before it the
            curve, so that `books_nll` and `captions_nll` share one.
        path: file of the picture, a PNG.
        title: title of the picture.
    """
    panels = {name: curves for name, curves in _panels(log, held_out).items() if curves}
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    width, height = 5.2 * columns, 0.5 + 3.6 * rows
    picture = Figure(figsize=(width, height))
    picture.suptitle(title, y=1 - 0.1 / height, va="top")
    edges = {"left": 0.7 / width, "right": 1 - 0.2 / width, "bottom": 0.55 / height, "top": 1 - 0.75 / height}
    picture.subplots_adjust(**edges, wspace=0.22, hspace=0.36)  # a layout engine would double the time it takes
    axes = list(picture.subplots(rows, columns, squeeze=False).flat)
    for axis, (name, curves) in zip(axes, panels.items(), strict=False):
        _draw(axis, log, name, curves)
    for axis in axes[len(panels) :]:
        axis.remove()
    picture.savefig(path, format="png", dpi=100)


def _panels(log: Sequence[Line], held_out: Sequence[str]) -> dict[str, dict[str, str]]:
    """Returns the curves of each panel: the label of each figure by its name."""
    names = list(dict.fromkeys(name for line in log for name in line))
    apart = ("step", "time", "tokens_per_s", "score")
    panels = {LEARNING: {name: name for name in names if name not in (*apart, *held_out)}}
    for name in names:
        if name in held_out and name != "score":
            label, _, kind = name.rpartition("_")
            panels.setdefault(f"{_HELD_OUT}{kind}", {})[name] = label or kind
    return panels | {SCORE: {"score": "score"} if "score" in names else {}}


def _draw(axis: Axes, log: Sequence[Line], title: str, curves: Mapping[str, str]) -> None:
    for name, label in curves.items():
        points = [(line["step"], line[name]) for line in log if name in line]
        axis.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=1.4, label=label)
    if title == SCORE:
        best = max(log, key=lambda line: line["score"])
        axis.plot(best["step"], best["score"], "k*", markersize=11, label=f"best: step {best['step']:,}")
    axis.set_title(title, fontsize=11)
    axis.set_xlabel("step")
    axis.set_ylabel(_UNITS.get(title.removeprefix(_HELD_OUT), ""))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
