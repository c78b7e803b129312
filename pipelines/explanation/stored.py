"""Finds the stored story of a photo, the run that wrote it, and the models that can repeat it."""

import difflib
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from configs.schema import ConfigError, RunConfig, check_config
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from pipelines.tables.manifests import Manifest, read_batches, read_manifests
from pipelines.telling.one_photo import Models, load_models
from pipelines.telling.settings import resolve
from transforms.redaction import bare_uri
from transforms.rows import Row, plain_text
from transforms.uris import absolute

SUGGESTED = 3  # similar names in an error message
REMEMBERED = 100_000  # uris that a missing name is compared with


@dataclass(frozen=True)
class Stored:
    """The newest story of a photo in a style.

    Attributes:
        row: row of the story.
        run: manifest of the run that wrote it.
        uri: uri of the photo; the row has bytes that are not UTF-8 as escapes.
    """

    row: Row
    run: Manifest
    uri: str


def find_story(output: str, uri: str, style: str | None) -> Stored:
    """Returns the newest story of a photo.

    Args:
        output: OUTPUT of the main job.
        uri: uri of the photo as in its row, or its local path from here.
        style: style of the story; None if the photo has stories in one style only.

    Raises:
        ConfigError: there is no such story, or the style must be named; says what there is instead.
    """
    places = {plain_text(place): place for place in (bare_uri(uri), absolute(bare_uri(uri)))}
    names = list(places)
    runs = read_manifests(output)[::-1]
    found: dict[str, Stored] = {}
    others: dict[str, None] = {}
    for run, batch in _batches(output, runs, "stories"):
        for row in _rows_of(batch, names):
            found.setdefault(row["style"], Stored(row, run, places[row["uri"]]))
            if row["style"] == style:
                return found[row["style"]]
        if not found and len(others) < REMEMBERED:
            others |= dict.fromkeys(batch["uri"].to_pylist())
    if style is None and len(found) == 1:
        return next(iter(found.values()))
    raise ConfigError([_why_none(output, runs, names, style, sorted(found), list(others))])


def _batches(output: str, runs: Sequence[Manifest], table: str) -> Iterator[tuple[Manifest, pa.RecordBatch]]:
    """Yields the rows of a table, newest run first."""
    for run in runs:
        for file in run["files"]:
            if file["table"] == table:
                for batch in read_batches(output, file):
                    yield run, batch


def _rows_of(batch: pa.RecordBatch, names: Sequence[str]) -> list[Row]:
    rows: list[Row] = batch.filter(pc.is_in(batch["uri"], pa.array(names, pa.string()))).to_pylist()
    return rows


def _why_none(
    output: str,
    runs: Sequence[Manifest],
    names: Sequence[str],
    style: str | None,
    styles: Sequence[str],
    others: Sequence[str],
) -> str:
    """Returns why no story was found, and what there is instead."""
    if styles and style is None:
        return f"{names[-1]}: has stories in {', '.join(styles)}; choose one with --style"
    if styles:
        return f"--style {style}: {names[-1]} has no such story; it has {', '.join(styles)}"
    for run, batch in _batches(output, runs, "dead_letters"):
        for row in _rows_of(batch, names):
            why = f"stage {row['stage']}, {row['error']}: {row['message']}"
            return f"{row['uri']}: has no story; it is a dead letter of run {run['run_id']} ({why})"
    near = nearest_names(names[-1], others)
    hint = f"did you mean {' or '.join(near)}?" if near else "no story has a name like it"
    return f"--uri {names[-1]}: {output} has no story of it; {hint}"


def nearest_names(name: str, others: Sequence[str]) -> list[str]:
    """Returns a few URIs that a mistyped one may have meant: the same file name first, then similar ones."""
    wanted, stem = posixpath.basename(name), posixpath.splitext(posixpath.basename(name))[0]
    same = [other for other in others if posixpath.basename(other) == wanted]
    stems: dict[str, str] = {}
    for other in others:
        stems.setdefault(posixpath.splitext(posixpath.basename(other))[0], other)
    like = [stems[near] for near in difflib.get_close_matches(stem, stems, SUGGESTED)]
    return list(dict.fromkeys([*same, *like]))[:SUGGESTED]


def open_models(stored: Stored, pack: str | None, device: str) -> Models:
    """Returns the models of a stored story: the settings of its run, its style only, and the same pack.

    Args:
        stored: stored story.
        pack: location of the pack; None is where the run found it.
        device: device that the networks run on.

    Raises:
        ConfigError: the pack is missing, is another one, or does not fit the settings.
    """
    location = pack or stored.run["pack"]["location"]
    check_pack(location, stored)
    known = {name: value for name, value in stored.run["settings"].items() if name in RunConfig.model_fields}
    changed = {"pack": location, "style": stored.row["style"], "device": device, "beam_options": {}}
    return load_models(resolve(check_config(known | changed)))


def check_pack(location: str, stored: Stored) -> None:
    """Raises ConfigError if a pack is not the one that wrote a story."""
    digest, name = stored.row["pack_digest"], stored.row["pack"]
    told_by = f"the story was written by {name!r} of digest {digest[:12]}"
    try:
        found = Pack.open(location)
    except PackError as error:
        reason = "; ".join(error.problems)
        raise ConfigError([f"--pack {reason}; {told_by}: name a folder or URI that holds it with --pack"]) from error
    if found.digest != digest:
        raise ConfigError(
            [f"--pack {location}: is {found.name!r} of digest {found.digest[:12]}, but {told_by}; name a copy of that"]
        )
