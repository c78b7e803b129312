"""The card of a model pack: its digest, its entries of files, and the error that reports problems."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Json = Any
"""Content of a JSON file."""

FORMAT = 1
CARD = "pack.json"


class PackError(Exception):
    """A pack cannot be read or written; `problems` lists each problem with its place and what to do.

    Beam recreates errors from their text, so that a text may be passed instead of the problems.
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
