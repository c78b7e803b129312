"""Records of the page: photos with their stories, and dead letters of committed runs, as plain data for JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from configs.schema import ConfigError
from pipelines.tables.manifests import read_rows
from transforms.rows import Row

CAPTIONS = 5  # captions of a photo on the page
PHOTO = ("uri", "photo_id", "width", "height", "captions")  # columns of a story row that describe the photo
COLUMNS = [*PHOTO, "style", "story", "cost", "words", "pack_digest", "settings_digest"]

Manifest = Mapping[str, Any]
Key = tuple[str, str]
"""(uri, style)."""


def find_run(manifests: Sequence[Manifest], name: str) -> Manifest:
    """Returns the manifest of a run, by its run id or the number of its commit.

    Raises:
        ConfigError: there is no such run; the problem lists the newest ones.
    """
    for manifest in manifests:
        if name in (manifest["run_id"], str(manifest["number"])):
            return manifest
    known = ", ".join(f"{manifest['number']} ({manifest['run_id']})" for manifest in manifests[-5:])
    raise ConfigError([f"{name}: no committed run has this id or number; the newest are {known}"])


def newest_stories(output: str, manifests: Sequence[Manifest]) -> dict[Key, Row]:
    """Returns the newest story row of each uri and style, with the number of its `run`."""
    stories: dict[Key, Row] = {}
    for manifest in manifests:
        for row in read_rows(output, dict(manifest), "stories", COLUMNS):
            captions = [[match["caption"], round(match["similarity"], 3)] for match in row["captions"][:CAPTIONS]]
            stories[row["uri"], row["style"]] = row | {"captions": captions, "run": manifest["number"]}
    return stories


def photo_records(stories: Mapping[Key, Row]) -> list[Row]:
    """Returns a record of each photo, newest stories first: its columns (PHOTO), and its stories by style.

    Photo and captions are those of the newest story; a story about other bytes of the photo is marked `earlier`.
    """
    by_uri: dict[str, list[Row]] = {}
    for _, row in sorted(stories.items()):
        by_uri.setdefault(row["uri"], []).append(row)
    photos = [_photo_record(rows) for rows in by_uri.values()]
    return sorted(photos, key=_newest_run, reverse=True)


def _photo_record(rows: list[Row]) -> Row:
    newest = max(rows, key=_run)
    told = [
        {name: row[name] for name in ("style", "story", "words", "run")}
        | {"cost": round(row["cost"], 2), "earlier": row["photo_id"] != newest["photo_id"]}
        for row in rows
    ]
    return {name: newest[name] for name in PHOTO} | {"stories": told}


def _run(row: Row) -> int:
    return int(row["run"])


def _newest_run(photo: Row) -> int:
    return max(map(_run, photo["stories"]))


def letter_records(output: str, manifests: Sequence[Manifest], stories: Mapping[Key, Row]) -> list[Row]:
    """Returns the newest dead letters of each uri, newest first, without photos that a later run processed."""
    told: dict[str, int] = {}
    for (uri, _), row in stories.items():
        told[uri] = max(told.get(uri, 0), row["run"])
    letters: dict[str, list[Row]] = {}
    for manifest in manifests:
        found: dict[str, list[Row]] = {}
        for row in read_rows(output, dict(manifest), "dead_letters"):
            found.setdefault(row["uri"], []).append(row | {"run": manifest["number"]})
        letters |= found
    standing = [row for uri in sorted(letters) for row in letters[uri] if told.get(uri, 0) <= row["run"]]
    return sorted(standing, key=_run, reverse=True)


def run_records(manifests: Sequence[Manifest]) -> list[Row]:
    """Returns the record of each run: number, run id, time of the commit, counts and pack."""
    return [
        {name: manifest[name] for name in ("number", "run_id", "committed", "counts")}
        | {"pack": manifest["pack"]["name"]}
        for manifest in manifests
    ]
