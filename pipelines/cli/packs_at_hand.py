"""The model packs of this machine, and the one that a name stands for; only their cards are read."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.spelling import did_you_mean
from configs.values import at_home
from model_handlers.machine_cache import cache_folder
from model_handlers.pack_card import CARD, PackError, card_digest


def shipped(folder: str) -> Path:
    """Returns where a folder that ships is: a package of data in an installation, else the repository's folder."""
    root = Path(__file__).parents[2]
    installed = root / f"storyteller_{folder}"
    return installed if installed.is_dir() else root / folder


SHIPPED = shipped("packs")
POCKET = str(SHIPPED / "pocket")
"""The pack that is used where none is named."""


@dataclass(frozen=True)
class PackAtHand:
    """A pack in one of the places where packs are looked for by name."""

    location: str
    card: dict[str, Any]

    @property
    def name(self) -> str:
        """Returns the name in its card."""
        return str(self.card.get("name", ""))


def pack_places() -> list[Path]:
    """Returns the folders whose packs have names here: those that ship, the cache's, and packs/ of this folder."""
    distinct: dict[Path, Path] = {}
    for place in (SHIPPED, cache_folder() / "packs", Path("packs")):
        if place.is_dir():
            distinct.setdefault(place.resolve(), place)
    return list(distinct.values())


def packs_at_hand() -> Iterator[PackAtHand]:
    """Yields the packs in these folders; one whose card cannot be read has no name."""
    for card in (card for place in pack_places() for card in sorted(place.glob(f"[!.]*/{CARD}"))):
        try:
            content = json.loads(card.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            yield PackAtHand(str(card.parent), content)


def find_pack(name: str) -> str:
    """Returns the location of a pack: a folder or URI as it is, and for a pack's name the folder where that pack is.

    Raises:
        PackError: no pack has the name, or several different ones have.
    """
    location = at_home(name)
    if os.sep in location or (Path(location) / CARD).is_file():
        return location
    packs = list(packs_at_hand())
    found = {card_digest(pack.card): pack.location for pack in reversed(packs) if pack.name == name}
    if len(found) > 1:
        raise PackError(
            [f"{name}: several packs have this name; choose one by its folder: {', '.join(found.values())}"]
        )
    if not found and not Path(location).exists():
        raise PackError([_unknown(name, sorted({pack.name for pack in packs}))])
    return next(iter(found.values()), location)


def _unknown(name: str, names: list[str]) -> str:
    there = f"the packs here are {', '.join(names)}" if names else "no pack is here"
    return f"{name}: no folder, and no pack of this name; {there}{did_you_mean(name, names)}"
