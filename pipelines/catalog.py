"""Published stories as a table: `open_stories(root)` in Python, `python -m pipelines.catalog COMMAND ROOT` elsewhere.

from pipelines.catalog import open_stories
open_stories("gs://bucket/stories", style="romance").to_table()
"""

import hashlib
import io
import posixpath
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from configs.schema import ConfigError
from pipelines.cli.commands import ExitCode, check_output, command_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.options import StrictParser
from pipelines.tables.manifests import Manifest, read_batches, read_manifests, refresh_after_commit
from pipelines.tables.rewrites import FULL, compact, forget, row_groups
from transforms.rows import STORIES
from transforms.storage import write_whole

DESCRIPTION = "Exports, forgets and merges published stories."
EPILOG = "Exit codes: 0 done; 1 the command failed; 2 options are wrong; 4 something else is in the way, try later."
WHEN = [pa.field("run_id", pa.string()), pa.field("committed", pa.string())]


@dataclass(frozen=True)
class Stories:
    """Stories of committed runs, newest run first; nothing is read before it is asked for.

    Attributes:
        output: OUTPUT.
        runs: manifests, newest first.
        style: the one style wanted, None for all.
        history: all stories of a photo and style, not the newest alone; each says its run and when it was committed.
    """

    output: str
    runs: tuple[Manifest, ...]
    style: str | None = None
    history: bool = False

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([*STORIES, *WHEN]) if self.history else STORIES

    def to_table(self) -> pa.Table:
        """Returns all stories in memory."""
        return pa.Table.from_batches(self.to_batches(), self.schema)

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Yields the stories, at most some thousand at a time.

        What stays in memory is one row group, and sixteen bytes of each story that an older run may have told too.
        """
        told: set[bytes] = set()
        for run in self.runs:
            for file in run["files"]:
                if file["table"] != "stories":
                    continue
                for found in read_batches(self.output, file):
                    batch = found if self.style is None else found.filter(pc.equal(found["style"], self.style))
                    if not self.history:
                        batch = _leave_out_told(batch, told, remember=run is not self.runs[-1])
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


def _leave_out_told(batch: pa.RecordBatch, told: set[bytes], remember: bool) -> pa.RecordBatch:
    """Returns the rows of photos and styles that are not among the told ones, and adds them there."""
    names = zip(batch["uri"].to_pylist(), batch["style"].to_pylist(), strict=True)
    keys = [hashlib.blake2b(f"{style}\0{uri}".encode(), digest_size=16).digest() for uri, style in names]
    fresh = batch.filter(pa.array([key not in told for key in keys], pa.bool_()))
    if remember:
        told.update(keys)
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
    """Returns the newest story of each photo and style, among those that the filters let in.

    Args:
        root: OUTPUT of the main job, a folder or URI.
        run: id of the one run wanted.
        style: the one style wanted.
        since: first day, UTC, on which a run was committed; a date or `2026-01-31`.
        until: last day, likewise. Stories are then those that readers saw at the end of that day.
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
    """Returns how many Parquet files were written to a new folder; one, without rows, where there are no stories.

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


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 done, 1 failed, 2 wrong options, 4 something else is in the way."""
    return run_command(_run, argv)


def _run(argv: list[str]) -> int:
    flags = command_line().parse_args(argv)
    check_output(flags.root)
    refresh_after_commit(flags.root)  # which a crash of the last commit may have left behind
    print(COMMANDS[flags.command](flags))
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the commands and their options."""
    parser = command_parser("catalog", DESCRIPTION, EPILOG)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "export": "writes the newest story of each photo and style to a new folder of Parquet files",
        "forget": "removes all rows of photos; delete the photos themselves first, or the next run tells them again",
        "compact": "merges the files of many runs into few; nothing else changes",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        command.add_argument("root", metavar="ROOT", help="--output of the main job, a folder or URI")
        if name == "export":
            command.add_argument("--output", required=True, metavar="DIR", help="a new folder or URI")
        if name == "forget":
            command.add_argument("uris", nargs="+", metavar="URI", help="photos, by the uri of their rows")
    return parser


def _export(flags: Namespace) -> str:
    count = export(open_stories(flags.root), flags.output)
    return f"{flags.output}: {count:,} Parquet file{'s' if count > 1 else ''}"


def _forget(flags: Namespace) -> str:
    manifest = forget(flags.root, flags.uris)
    if manifest is None:
        return f"{flags.root}: no published row tells of these photos"
    return (
        f"{flags.root}: rows were removed from {len(manifest['replaces']):,} files. The old files stay for those who "
        "read them now; pipelines.vacuum removes them, at once with --older-than 0d"
    )


def _compact(flags: Namespace) -> str:
    manifest = compact(flags.root)
    if manifest is None:
        return f"{flags.root}: there is nothing to merge"
    return f"{flags.root}: {len(manifest['replaces']):,} files became {len(manifest['files']):,}"


COMMANDS = {"export": _export, "forget": _forget, "compact": _compact}


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
