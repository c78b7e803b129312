"""Packs as readable text: a table of several packs, and the card of one."""

import posixpath
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from model_handlers.card_checks import named_files
from model_handlers.pack import locate, read_card
from model_handlers.pack_card import CARD, PackError, card_digest

Facts = dict[str, Any]
WIDTH = 100
GROUPS = {
    "decoders": "decoder",
    "styles": "style",
    "spreads": "spread",
    "passages": "passages of",
}  # components with several members, and the name of one member
SAID = {"licence": "Licence", "provenance": "Provenance", "training_data": "Training data"}


def find_packs(place: str) -> list[str]:
    """Returns the locations of packs: the place itself, or the folders directly below it that have a card.

    Raises:
        PackError: the place cannot be listed.
    """
    filesystem, path = locate(place)
    if filesystem.exists(f"{path}/{CARD}"):
        return [place]
    try:
        folders = [posixpath.basename(name.rstrip("/")) for name in filesystem.ls(path, detail=False)]
    except (OSError, ValueError) as error:
        raise PackError([f"{place}: cannot be listed ({type(error).__name__}: {error})"]) from error
    shown = [name for name in sorted(folders) if not name.startswith(".")]
    return [posixpath.join(place, name) for name in shown if filesystem.exists(f"{path}/{name}/{CARD}")]


def listing(packs: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    """Returns a table of packs, starting with its heading, and the problems of cards that are not in it."""
    rows = [["name", "version", "digest", "size", "styles", "decoders", "place"]]
    problems = []
    for location in packs:
        try:
            facts = card_facts(location)
        except PackError as error:
            problems += error.problems
            continue
        members = [", ".join(sorted(facts["components"].get(group, {}))) or "-" for group in ("styles", "decoders")]
        version = str(facts.get("version", "-"))
        rows.append([facts["name"], version, facts["digest"][:12], size(facts["bytes"]), *members, location])
    return rows, problems


def card_facts(location: str) -> Facts:
    """Returns a pack's card with its location, digest and size in bytes added.

    Raises:
        PackError: there is no pack, or its card is wrong.
    """
    card = read_card(location)
    total = sum(facts["bytes"] for facts in card["files"].values())
    return {**card, "location": location, "digest": card_digest(card), "bytes": total}


def card_parts(card: Facts) -> dict[str, tuple[Facts, list[str]]]:
    """Returns each component's entry and files by name; each decoder and each style is a separate component."""
    parts: dict[str, Any] = {}
    for name, entry in card["components"].items():
        if name in GROUPS:
            for member, one in entry.items():
                parts[f"{GROUPS[name]} {member}"] = one
        else:
            parts[name] = entry
    return {
        name: (entry if isinstance(entry, dict) else {"file": entry}, list(named_files(entry, card["files"])))
        for name, entry in parts.items()
    }


def card_text(facts: Facts) -> str:
    """Returns a card as readable text: components with their sizes, terms, origin, defaults and quality."""
    lines = [
        f"{facts['name']}, version {facts.get('version', '-')}",
        f"digest {facts['digest']}",
        f"{len(facts['files'])} files of {size(facts['bytes'])} in {facts['location']}",
        "",
        "Components",
    ]
    rows = []
    for name, (entry, files) in card_parts(facts).items():
        total = sum(facts["files"][file]["bytes"] for file in set(files))
        sizes = {key: value for key, value in flatten(entry) if value not in files}
        rows.append([f"  {name}", size(total), ", ".join(f"{key} {value}" for key, value in sizes.items())])
    for line in columns(rows):
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=" " * 6)
    for key, title in SAID.items():
        lines += ["", title, *_said(facts.get(key))]
    if "made_from" in facts:
        lines += ["", "Made from", *_said(facts["made_from"])]
    for key, title in (("defaults", "Defaults"), ("quality", "Quality")):
        rows = [[f"  {name}", str(value)] for name, value in flatten(facts.get(key) or {})]
        lines += ["", title, *(columns(rows) or ["  not stated"])]
    return "\n".join(lines)


def _said(value: object) -> Iterator[str]:
    """Yields the lines of a card's entry that is a text, a list or a table."""
    for key, one in flatten(value or "not stated"):
        words = "; ".join(map(str, one)) if isinstance(one, list) else str(one)
        text = f"{key}: {words}" if key else words
        yield from textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")


def flatten(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the values of nested tables with dotted names; a list is one value."""
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, one in value.items():
        yield from flatten(one, f"{name}.{key}" if name else str(key))


def size(count: int) -> str:
    """Returns a number of bytes in a readable unit."""
    for unit, one in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= one:
            return f"{count / one:.1f} {unit}"
    return f"{count} bytes"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the rows of a table as lines with left-aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
