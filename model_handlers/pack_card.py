"""The card of a model pack: what it must hold, and what is wrong with one."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT = 1
CARD = "pack.json"


class PackError(Exception):
    """A pack cannot be read or written; `problems` says each thing that is wrong, where, and what to do.

    Beam makes errors anew from their text, so that may come in place of the problems.
    """

    code = "pack"

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else problems
        super().__init__("; ".join(self.problems))

    def __reduce__(self) -> tuple[type["PackError"], tuple[list[str]]]:
        return PackError, (self.problems,)


def card_digest(card: Mapping[str, Any]) -> str:
    """Returns the pack digest: sha256 of the card, which names the sha256 of every file."""
    return hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()


def file_facts(path: Path) -> dict[str, Any]:
    """Returns a file's sha256 and its size in bytes."""
    with open(path, "rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def card_problems(card: Any, location: str) -> list[str]:
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else None
        return [f"{location}/{CARD}: pack format {found!r}; this version reads format {FORMAT}"]
    shapes = {"name": str, "components": dict, "files": dict}
    problems = [
        f"{location}/{CARD}: {key} is missing or is no {kind.__name__}"
        for key, kind in shapes.items()
        if not isinstance(card.get(key), kind)
    ]
    if not isinstance(card.get("defaults", {}), dict):
        problems.append(f"{location}/{CARD}: defaults is no dict")
    problems = problems or _shape_problems(card["components"], location)
    if problems:
        return problems
    for file, facts in card["files"].items():
        parts = Path(file).parts
        if Path(file).is_absolute() or ".." in parts or "\\" in file or not parts:
            problems.append(f"{location}/{CARD}: the file {file!r} lies outside the pack; refused")
        if not isinstance(facts, dict) or not isinstance(facts.get("bytes"), int) or "sha256" not in facts:
            problems.append(f"{location}/{CARD}: {file} has no sha256 and bytes")
    problems += [
        f"{location}/{CARD}: a component names {file!r}, which is not among the files"
        for file in component_files(card["components"])
        if file not in card["files"]
    ]
    return problems


FILE_KEYS = {
    "features": ("weights",),
    "joint_embedding": ("weights", "vocabulary"),
    "captions": ("texts", "embeddings", "sentence_vectors"),
    "caption_writer": ("weights", "vocabulary"),
    "sentence_encoder": ("weights", "words", "uni_table", "bi_table"),
}
DECODER_FILE_KEYS = ("weights", "vocabulary")


def _shape_problems(components: Mapping[str, Any], location: str) -> list[str]:
    """Returns which of a card's components are not written as they must be."""
    groups = ("decoders", "styles", "spreads", "passages")
    known = {name: components[name] for name in (*FILE_KEYS, *groups) if name in components}
    wrong = [name for name, entry in known.items() if not isinstance(entry, dict)]
    decoders = {} if "decoders" in wrong else components.get("decoders", {})
    wrong += [f"decoder {name}" for name, entry in decoders.items() if not isinstance(entry, dict)]
    if not wrong:
        wrong = [f"file name {file!r}" for file in component_files(components) if not isinstance(file, str)]
    return [f"{location}/{CARD}: {name} is not written as this version reads it" for name in wrong]


def component_files(components: Mapping[str, Any]) -> list[str]:
    """Returns the files that a card's components name."""
    files = [components[name].get(key) for name, keys in FILE_KEYS.items() if name in components for key in keys]
    files += [entry.get(key) for entry in components.get("decoders", {}).values() for key in DECODER_FILE_KEYS]
    files += [*components.get("styles", {}).values(), components.get("source_style")]
    files += [*components.get("spreads", {}).values(), *components.get("passages", {}).values()]
    return [file for file in files if file is not None]
