"""A plan as text for people."""

from collections.abc import Sequence
from typing import Any

from pipelines.planning.estimate import HOUR

Report = dict[str, Any]

WHY = {
    "new": "never processed",
    "changed": "changed since they were processed",
    "retried": "dead letters that are tried again",
    "otherwise": "processed before in another style, or with another pack or settings",
}


def as_text(report: Report) -> str:
    """Returns a plan as text for people."""
    blocks = [_listed(report), _measured(report), _hours(report), _cost(report), _warnings(report)]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _listed(report: Report) -> list[str]:
    listed, tell = report["listed"], report["to_tell"]
    stories = ", ".join(f"{count:,} {style}" for style, count in tell["stories"].items())
    rows = [("listed", listed["photos"], f"in {duration(listed['seconds'])}")]
    rows += [(name, count, _settled(name, report)) for name, count in report["settled"].items()]
    rows.append(("due", tell["photos"], f"{size(tell['bytes'])}; stories: {stories}"))
    rows += [(f"  {name}", count, WHY[name]) for name, count in tell["why"].items() if count]
    if tell["kept"]:
        rows.append(("  kept", tell["kept"], "need not be read: their feature vectors were kept"))
    return ["Photos", *table([(name, f"{count:,}", note) for name, count, note in rows], "<><")]


def _settled(name: str, report: Report) -> str:
    waiting = report["waiting_dead_letters"]
    notes = {
        "unchanged": "done" + (f"; {waiting:,} of them dead letters that wait for a new version" if waiting else ""),
        "repeated": "listed twice",
        "ignored": "no photos, by their names",
        "deferred": "left for a later run",
    }
    return notes.get(name, "")


def _measured(report: Report) -> list[str]:
    sample, machine = report["sample"], report["machine"]
    if not sample["photos"]:
        return []
    rows = [("", "median", "lowest", "highest")]
    for name, seconds in [*report["stages"].items(), ("together", report["photo"])]:
        rows.append((name, *(f"{1000 * seconds[column]:,.1f}" for column in ("median", "low", "high"))))
    where = f"{machine['cores']} cores" + (f", networks on {machine['device']}" if machine["device"] != "cpu" else "")
    groups = f"{sample['groups']} {plural(sample['groups'], 'group')}"
    head = f"Milliseconds a photo, of {sample['photos']:,} in {groups} ({where})"
    once = f"Loading the networks takes {duration(report['start_seconds'])}, once a worker."
    return [head, *table(rows, "<>>>"), once, *_failures(report)]


def _failures(report: Report) -> list[str]:
    failures, sample = report["sample"]["failures"], report["sample"]
    if not failures:
        return ["All of them can be processed."]
    named = ", ".join(f"{one['count']} {one['error']} at {one['stage']}" for one in failures)
    expected = report["expected_dead_letters"]
    return [f"{sample['failed']} of them fail ({named}): about {expected:,} dead letters in all."]


def _hours(report: Report) -> list[str]:
    if not report["sample"]["photos"]:
        return ["Nothing is due; the run would end at once."]
    workers, alone = report["workers"], report["seconds"]["this_machine"]
    pace = workers["pace"]
    shape = "each like this machine" if pace == 1 else f"each does {pace:g} times what this machine does"
    rows = [
        ("this machine", _range(alone)),
        (
            f"{workers['count']:,} {plural(workers['count'], 'worker')}",
            f"{_range(report['seconds']['workers'])}; {shape}",
        ),
    ]
    lines = ["The whole run", *table(rows, "<<")]
    if workers["within_seconds"] is not None:
        lines.append(_needed(workers))
    return lines


def _needed(workers: Report) -> str:
    within, needed = duration(workers["within_seconds"]), workers["needed"]
    if needed["median"] is None:
        return f"No number of workers ends within {within}: listing and loading alone take longer."
    safe = "" if needed["high"] == needed["median"] else f", {needed['high']:,} if all goes as with the slowest group"
    return f"To end within {within}: {needed['median']:,} {plural(needed['median'], 'worker')}{safe}."


def _cost(report: Report) -> list[str]:
    cost = report["cost"]
    if cost is None:
        return []
    currency = cost["currency"]

    def both(value: Report) -> str:
        return f"{money(value['median'])} ({money(value['low'])} to {money(value['high'])})"

    rows = [
        ("workers", both(cost["workers"]), f"{cost['workers_counted']:,} of them"),
        ("operations", money(cost["operations"]), f"{cost['reads']:,} reads, {cost['writes']:,} writes of buckets"),
        ("together", both(cost["night"]), ""),
        ("storage", money(cost["storage_month"]), f"each month, for {size(cost['bytes'])}"),
    ]
    return [f"Cost in {currency}, by the prices in {cost['prices']}", *table(rows, "<<<")]


def _warnings(report: Report) -> list[str]:
    return [f"Mind: {warning}" for warning in report["warnings"]]


def _range(value: Report) -> str:
    low, high = duration(value["low"]), duration(value["high"])
    return f"{duration(value['median'])}" + (f" ({low} to {high})" if low != high else "")


def plural(count: int, name: str) -> str:
    """Returns a noun in the singular or plural that fits the count."""
    return name if count == 1 else f"{name}s"


def duration(seconds: float) -> str:
    """Returns a duration as text, such as `2.5 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR:,.1f} h"


def money(value: float) -> str:
    """Returns a price as text; a tiny one is not shown as 0."""
    if value >= 1 or not value:
        return f"{value:,.2f}"
    return f"{value:.2g}" if value >= 1e-4 else "under 0.0001"


def size(count: float) -> str:
    """Returns a number of bytes as text, such as `3.1 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def table(rows: Sequence[tuple[str, ...]], sides: str) -> list[str]:
    """Returns rows as lines with aligned columns, each to the left (<) or right (>)."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in rows
    ]
