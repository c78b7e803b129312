"""Prints figures as a table, next to published ones."""

from collections.abc import Iterator
from typing import Any

from pipelines.evaluation.task import Figures

GAP = "  "


def flatten(figures: Figures, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each figure with its dotted path, in order."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def make_table(figures: Figures, published: dict[str, dict[str, float]]) -> str:
    """Returns one line per figure: its dotted path, the value of the pack, and a column for each published source."""
    rows = [["", "this pack", *published]]
    for path, value in flatten(figures):
        rows.append([path, shown(value), *(shown(values.get(path)) for values in published.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        lines.append(GAP.join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def shown(value: object) -> str:
    """Returns a figure as the table shows it; an empty text for None."""
    if not isinstance(value, float):
        return "" if value is None else f"{value}"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"
