"""Checks of a pack's card, and the files that it names."""

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from model_handlers.families.tables import entry_classes
from model_handlers.pack_card import CARD, FORMAT, Json

ENTRIES = ("features", "joint_embedding", "captions", "caption_writer", "sentence_encoder")
STYLE_FILES = ("styles", "spreads", "passages")


def card_problems(card: Json, location: str) -> list[str]:
    """Returns all problems of a pack's card that can be found without reading the pack's files."""
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else None
        return [f"{location}/{CARD}: pack format {found!r}; this version reads format {FORMAT}"]
    shapes = {"name": str, "components": dict, "files": dict}
    problems = [
        f"{location}/{CARD}: {key} is missing or not a {kind.__name__}"
        for key, kind in shapes.items()
        if not isinstance(card.get(key), kind)
    ]
    if not isinstance(card.get("defaults", {}), dict):
        problems.append(f"{location}/{CARD}: defaults is not a dict")
    problems = problems or _shape_problems(card["components"], location)
    return problems or _file_problems(card, location)


def _file_problems(card: Mapping[str, Any], location: str) -> list[str]:
    problems = []
    for file, facts in card["files"].items():
        parts = Path(file).parts
        if Path(file).is_absolute() or ".." in parts or "\\" in file or not parts:
            problems.append(f"{location}/{CARD}: the file {file!r} is outside the pack; refused")
        if not isinstance(facts, dict) or not isinstance(facts.get("bytes"), int) or "sha256" not in facts:
            problems.append(f"{location}/{CARD}: {file} has no sha256 or bytes")
    return problems + [
        f"{location}/{CARD}: a component names {file!r}, which is not among the files"
        for file in _declared_files(card["components"])
        if file not in card["files"]
    ]


def _shape_problems(components: Mapping[str, Any], location: str) -> list[str]:
    """Returns problems of components that do not have the form that this version reads."""
    known = {name: components[name] for name in (*ENTRIES, "decoders", *STYLE_FILES) if name in components}
    wrong = [name for name, entry in known.items() if not isinstance(entry, dict)]
    decoders = {} if "decoders" in wrong else components.get("decoders", {})
    wrong += [f"decoder {name}" for name, entry in decoders.items() if not isinstance(entry, dict)]
    if not wrong:
        wrong = [f"file name {file!r}" for file in _declared_files(components) if not isinstance(file, str)]
    return [f"{location}/{CARD}: {name} does not have the form that this version reads" for name in wrong]


def _declared_files(components: Mapping[str, Any]) -> list[Any]:
    """Returns the values in a card's components that should be file names; none for unknown families."""
    files = [
        entry.get(key)
        for entry, kind in entry_classes(components).values()
        for key in (kind.file_keys() if kind is not None else ())
    ]
    files += [file for group in STYLE_FILES for file in components.get(group, {}).values()]
    return [file for file in [*files, components.get("source_style")] if file is not None]


def named_files(value: Json, there: Container[str]) -> Iterator[str]:
    """Yields the files that a part of a card names, whatever the family.

    Args:
        value: part of the card.
        there: names of the pack's files.
    """
    if isinstance(value, str) and value in there:
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from named_files(one, there)
