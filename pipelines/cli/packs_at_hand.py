"""Model packs on this machine, and finding one by its name; only their cards are read."""

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
    """Returns the path of an included folder: a data package in an installation, else the repository's folder."""
    root = Path(__file__).parents[2]
    installed = root / f"storyteller_{folder}"
    return installed if installed.is_dir() else root / folder


SHIPPED = shipped("packs")
POCKET = str(SHIPPED / "pocket")
"""The default pack."""


@dataclass(frozen=True)
class PackAtHand:
    """A pack in one of the places where packs are found by name."""

    location: str
    card: dict[str, Any]

    @property
    def name(self) -> str:
        """Returns the name in the pack's card."""
        return str(self.card.get("name", ""))


def pack_places() -> list[Path]:
    """Returns the folders where packs are found by name: included packs, the cache, and packs/ in this folder."""
    distinct: dict[Path, Path] = {}
    for place in (SHIPPED, cache_folder() / "packs", Path("packs")):
        if place.is_dir():
            distinct.setdefault(place.resolve(), place)
    return list(distinct.values())


def packs_at_hand() -> Iterator[PackAtHand]:
    """Yields the packs in these folders, except those whose cards cannot be read."""
    for card in (card for place in pack_places() for card in sorted(place.glob(f"[!.]*/{CARD}"))):
        try:
            content = json.loads(card.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            yield PackAtHand(str(card.parent), content)


def find_pack(name: str) -> str:
    """Returns the location of a pack: a folder or URI unchanged, or the folder of the pack with this name.

    Raises:
        PackError: no pack has the name, or several different packs have it.
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
    there = f"the packs here are {', '.join(names)}" if names else "there are no packs here"
    return f"{name}: neither a folder nor the name of a pack; {there}{did_you_mean(name, names)}"
