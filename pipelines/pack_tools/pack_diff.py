"""Differences between two packs: files, components, styles and decoders, terms, and quality side by side."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipelines.pack_tools.pack_show import Facts, card_parts, columns, flatten, size

SECTIONS = (
    "components",
    "files",
    "quality",
    "location",
    "digest",
    "bytes",
)  # shown apart from the card's other entries
LONGEST = 60  # characters of a value that is shown


def differences(first: Facts, second: Facts) -> list[str]:
    """Returns lines on what is only in the first pack (-), only in the second (+), or different in both (~)."""
    lines = [f"{sign} {facts['location']} (digest {facts['digest']})" for sign, facts in (("-", first), ("+", second))]
    sections = {
        "Files": _changes(first["files"], second["files"], _describe_file),
        "Components": _component_changes(first, second),
        "Card": _changes(_rest(first), _rest(second), _short),
    }
    for title, changes in sections.items():
        lines += ["", title, *(changes or ["  the same"])]
    return [*lines, "", *_quality(first, second)]


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], describe: Callable[[Any], str]) -> list[str]:
    """Returns a line for each name that is only in one of two tables, or has a different value in each."""
    lines = []
    for name in sorted({*old, *new}):
        if name not in new:
            lines.append(f"  - {name}  {describe(old[name])}".rstrip())
        elif name not in old:
            lines.append(f"  + {name}  {describe(new[name])}".rstrip())
        elif old[name] != new[name]:
            before, after = describe(old[name]), describe(new[name])
            lines.append(f"  ~ {name}  {before}{f' -> {after}' if before != after else ', with other content'}")
    return lines


def _describe_file(facts: Mapping[str, Any]) -> str:
    return size(facts["bytes"])


def _component_changes(first: Facts, second: Facts) -> list[str]:
    """Returns a line for each component, decoder and style of only one pack, and each size or file that differs."""
    old, new = card_parts(first), card_parts(second)
    lines = _changes(dict.fromkeys(old.keys() - new.keys()), dict.fromkeys(new.keys() - old.keys()), lambda _: "")
    for name in sorted(old.keys() & new.keys()):
        tables = [
            {f"{name} {key}": value for key, value in _with_hashes(entry, files, facts["files"])}
            for (entry, files), facts in ((old[name], first), (new[name], second))
        ]
        lines += _changes(tables[0], tables[1], _short)
    return lines


def _with_hashes(entry: Facts, files: list[str], facts: Facts) -> Iterator[tuple[str, Any]]:
    """Yields an entry's names and values; a file's name is followed by the start of its sha256."""
    for key, value in flatten(entry):
        yield key, f"{value} ({facts[value]['sha256'][:12]})" if value in files else value


def _rest(card: Facts) -> dict[str, Any]:
    return dict(flatten({key: value for key, value in card.items() if key not in SECTIONS}))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _quality(first: Facts, second: Facts) -> list[str]:
    """Returns a table of the measured figures of both packs, without the commands that measured them."""
    old, new = (
        {key: value for key, value in flatten(facts.get("quality") or {}) if not key.endswith(".command")}
        for facts in (first, second)
    )
    rows = [["Quality", first["name"], second["name"]]]
    rows += [[f"  {key}", str(old.get(key, "-")), str(new.get(key, "-"))] for key in {**old, **new}]
    return columns(rows)
