"""Published stories as a table, read in pieces: the newest of each photo and style, or all that were ever written."""

import hashlib
import io
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from configs.schema import ConfigError
from pipelines.tables.manifests import Manifest, read_batches, read_manifests
from pipelines.tables.rewrites import FULL, row_groups
from transforms.rows import STORIES
from transforms.write_whole import write_whole

WHEN = [pa.field("run_id", pa.string()), pa.field("committed", pa.string())]


@dataclass(frozen=True)
class Stories:
    """Stories of committed runs, newest run first; nothing is read before it is asked for.

    Attributes:
        output: OUTPUT, a folder or URI.
        runs: manifests of the runs, newest first.
        style: the one style wanted, None for all.
        history: all stories of a photo and style, not only the newest; each has its run and the time of its commit.
    """

    output: str
    runs: tuple[Manifest, ...]
    style: str | None = None
    history: bool = False

    @property
    def schema(self) -> pa.Schema:
        """Columns of the stories; with history also the run that wrote each story, and the time of its commit."""
        return pa.schema([*STORIES, *WHEN]) if self.history else STORIES

    def to_table(self) -> pa.Table:
        """Returns all stories in memory."""
        return pa.Table.from_batches(self.to_batches(), self.schema)

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Yields the stories, at most a few thousand at a time.

        Memory holds one row group, and 16 bytes for each story that an older run may have too.
        """
        known: set[bytes] = set()
        for run in self.runs:
            for file in run["files"]:
                if file["table"] != "stories":
                    continue
                for found in read_batches(self.output, file):
                    batch = found if self.style is None else found.filter(pc.equal(found["style"], self.style))
                    if not self.history:
                        batch = _without_known(batch, known, remember=run is not self.runs[-1])
                    if batch.num_rows:
                        yield self._conform(batch, run)

    def _conform(self, batch: pa.RecordBatch, run: Manifest) -> pa.RecordBatch:
        """Returns the batch with the schema's columns; one that an older run did not write is null."""
        count = batch.num_rows
        columns: dict[str, Any] = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns |= {field.name: pa.repeat(run[field.name], count) for field in WHEN}
        arrays = [
            columns[field.name].cast(field.type) if field.name in columns else pa.nulls(count, field.type)
            for field in self.schema
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _without_known(batch: pa.RecordBatch, known: set[bytes], remember: bool) -> pa.RecordBatch:
    """Returns the rows whose photo and style are not among the known keys; `remember` adds their keys to these."""
    names = zip(batch["uri"].to_pylist(), batch["style"].to_pylist(), strict=True)
    keys = [hashlib.blake2b(f"{style}\0{uri}".encode(), digest_size=16).digest() for uri, style in names]
    fresh = batch.filter(pa.array([key not in known for key in keys], pa.bool_()))
    if remember:
        known.update(keys)
    return fresh


def open_stories(
    root: str,
    *,
    run: str | None = None,
    style: str | None = None,
    since: date | str | None = None,
    until: date | str | None = None,
    history: bool = False,
) -> Stories:
    """Returns the newest story of each photo and style, among those that pass the filters.

    Args:
        root: OUTPUT of the main job, a folder or URI.
        run: id of the only run wanted.
        style: the only style wanted.
        since: first day (UTC) of the runs' commits; a date or `2026-01-31`.
        until: last day of the runs' commits. The stories are those that readers saw at the end of that day.
        history: all stories, with the columns run_id and committed.
    """
    first, last = _day(since) or date.min, _day(until) or date.max
    runs = [
        manifest
        for manifest in reversed(read_manifests(root))
        if run in (None, manifest["run_id"]) and first <= date.fromisoformat(manifest["committed"][:10]) <= last
    ]
    return Stories(root, tuple(runs), style, history)


def _day(value: date | str | None) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else value


def export(stories: Stories, folder: str) -> int:
    """Returns how many Parquet files were written to a new folder; without stories one file without rows is written.

    Raises:
        ConfigError: the folder is not empty.
    """
    filesystem, path = fsspec.core.url_to_fs(folder)
    if filesystem.find(path):
        raise ConfigError([f"--output {folder}: is not empty; name a new folder"])
    number = 0
    for number, data in enumerate(_export_files(stories), 1):
        write_whole(posixpath.join(folder, f"stories-{number:05d}.parquet"), data)
    return number


def _export_files(stories: Stories) -> Iterator[bytes]:
    groups = row_groups((0, batch) for batch in stories.to_batches())
    more = True
    while more:
        more, buffer = False, io.BytesIO()
        with pq.ParquetWriter(buffer, stories.schema, compression="zstd") as writer:
            for _, rows in groups:
                writer.write_table(rows)
                if buffer.tell() >= FULL:
                    more = True
                    break
        yield buffer.getvalue()


def newest_rows(output: str) -> list[dict[str, Any]]:
    """Returns the row of the newest story of each photo and style, sorted by uri."""
    stories = open_stories(output).to_table().sort_by([("uri", "ascending"), ("style", "ascending")])
    rows: list[dict[str, Any]] = stories.to_pylist()
    return rows
