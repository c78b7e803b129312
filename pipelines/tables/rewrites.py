"""Rewrites, which move rows to other files: to forget photos, or to merge the files of many nights.

A rewrite writes new files in `rewrites/ID`, and then one manifest that says which files they replace. Readers see all
of it or nothing. The old files stay for readers that still use them, until `pipelines.vacuum` removes them.
"""

import hashlib
import io
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.tables.commits import new_id, now
from pipelines.tables.leases import refuse_live
from pipelines.tables.manifests import (
    Manifest,
    StoredFile,
    as_they_stand,
    last_number,
    open_parquet,
    put_manifest,
    read_all_manifests,
    read_batches,
    refresh_after_commit,
)
from pipelines.tables.refusals import CommitConflictError
from transforms.rows import plain_text
from transforms.uris import absolute
from transforms.write import parquet_options
from transforms.write_whole import write_whole

ATTEMPTS = 20
GROUP_ROWS = 4096  # most rows of a row group
FULL = 128 * 2**20  # bytes up to which files are merged into one

Share = tuple[int, StoredFile]
"""A run's number, and the entry of its rows in a file."""

Batches = Iterator[tuple[int, pa.RecordBatch]]
"""Batches of rows, each preceded by its run's number."""

Plan = Callable[[list[Manifest], str], tuple[list[str], list[StoredFile]]]
"""Function from the current runs and a folder for new files to the replaced paths and the new files."""


def forget(output: str, uris: Iterable[str]) -> Manifest | None:
    """Returns the manifest after which no published row is about the photos; None if no row was.

    Every table that names photos by `uri` is searched.

    Raises:
        LeaseHeldError: a run is active.
    """
    refuse_live(output)  # an active run may have read the photos already, and would bring them back
    names = {spelling for uri in uris for spelling in (plain_text(uri), plain_text(absolute(uri)))}
    wanted = pa.array(sorted(names), pa.string())

    def plan(runs: list[Manifest], folder: str) -> tuple[list[str], list[StoredFile]]:
        replaced, files = [], []
        for path, shares in shares_by_path(runs).items():
            if not _names_any(output, shares[0][1], wanted):
                continue
            kept = ((run, batch.filter(pc.invert(_is_one_of(batch, wanted)))) for run, batch in _read(output, shares))
            replaced.append(path)
            files += write_rows(output, f"{folder}/{len(replaced):05d}", shares[0][1]["table"], kept)
        return replaced, files

    return rewrite(output, "forget", plan)


def _names_any(output: str, file: StoredFile, uris: pa.Array) -> bool:
    """Returns whether a file has a row about one of the photos, from any run."""
    if "uri" not in open_parquet(output, file).schema_arrow.names:
        return False
    whole = {name: value for name, value in file.items() if name != "groups"}
    return any(pc.any(_is_one_of(batch, uris)).as_py() for batch in read_batches(output, whole, ["uri"]))


def _is_one_of(batch: pa.RecordBatch, uris: pa.Array) -> pa.Array:
    return pc.is_in(batch["uri"], value_set=uris)


def compact(output: str) -> Manifest | None:
    """Returns the manifest after which the rows of many files are in few; None if the files are few already."""

    def plan(runs: list[Manifest], folder: str) -> tuple[list[str], list[StoredFile]]:
        replaced: list[str] = []
        files: list[StoredFile] = []
        for place, group in enumerate(_groups_to_merge(output, shares_by_path(runs))):
            shares = sorted((share for part in group for share in part), key=itemgetter(0))
            table = shares[0][1]["table"]
            merged = write_rows(output, f"{folder}/{place:05d}", table, _read(output, shares))
            before, after = sum(file["rows"] for _, file in shares), sum(file["rows"] for file in merged)
            if before != after:
                raise RuntimeError(f"{output}: {before} rows of {table} became {after}; nothing was changed")
            replaced += dict.fromkeys(file["path"] for _, file in shares)
            files += merged
        return replaced, files

    return rewrite(output, "compact", plan)


def _groups_to_merge(output: str, files: dict[str, list[Share]]) -> Iterator[list[list[Share]]]:
    """Yields groups of two or more files of one table and schema, oldest first.

    Each group makes one file of at most FULL bytes.
    """
    by_table = sorted(files.values(), key=lambda shares: (shares[0][1]["table"], shares[0][0], shares[0][1]["path"]))
    group: list[list[Share]] = []
    kind, size = None, 0
    for shares in by_table:
        file = shares[0][1]
        found = (file["table"], open_parquet(output, file).schema_arrow.remove_metadata())
        if found != kind or size + file["bytes"] > FULL:
            if len(group) > 1:
                yield group
            group, size = [], 0
        group.append(shares)
        kind, size = found, size + file["bytes"]
    if len(group) > 1:
        yield group


def rewrite(output: str, kind: str, plan: Plan) -> Manifest | None:
    """Returns the committed manifest of a rewrite; None if the plan changes nothing.

    If another commit takes the number first, it may have changed what was read, so everything is done again.

    Raises:
        CommitConflictError: other commits were faster every time.
    """
    for _ in range(ATTEMPTS):
        known = read_all_manifests(output)
        name = new_id()
        replaced, files = plan(as_they_stand(known), f"rewrites/{name}")
        if not replaced:
            refresh_after_commit(output)
            return None
        manifest = {"number": last_number(known) + 1, "kind": kind, "run_id": name, "committed": now()}
        manifest |= {"replaces": replaced, "files": files}
        if put_manifest(output, manifest):
            refresh_after_commit(output)
            return manifest
    raise CommitConflictError(f"{output}: {ATTEMPTS} others took the next number first; nothing was changed, try again")


def shares_by_path(runs: Sequence[Manifest]) -> dict[str, list[Share]]:
    """Returns the shares of runs in each file, by the file's path."""
    shares: dict[str, list[Share]] = {}
    for run in runs:
        for file in run["files"]:
            shares.setdefault(file["path"], []).append((run["number"], file))
    return shares


def _read(output: str, shares: Iterable[Share]) -> Batches:
    for number, file in shares:
        for batch in read_batches(output, file):
            yield number, batch


def write_rows(output: str, stem: str, table: str, batches: Batches) -> list[StoredFile]:
    """Returns the entry of a new file whose row groups hold rows of one run each; nothing if there are no rows."""
    buffer = io.BytesIO()
    writer: pq.ParquetWriter | None = None
    groups: list[list[int]] = []
    for number, rows in row_groups(batches):
        writer = writer or pq.ParquetWriter(buffer, rows.schema, **parquet_options(rows.schema))
        writer.write_table(rows, row_group_size=rows.num_rows)
        groups.append([number, rows.num_rows])
    if writer is None:
        return []
    writer.close()
    data, path = buffer.getvalue(), f"{stem}-{table}.parquet"
    write_whole(posixpath.join(output, path), data)
    rows_in_all = sum(rows for _, rows in groups)
    sizes = {"rows": rows_in_all, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return [{"table": table, "path": path, **sizes, "groups": groups}]


def row_groups(batches: Batches) -> Iterator[tuple[int, pa.Table]]:
    """Yields each run's rows in tables of at most GROUP_ROWS rows, none of them empty."""
    for number, found in groupby(batches, key=itemgetter(0)):
        group: list[pa.RecordBatch] = []
        for _, batch in found:
            if group and sum(map(len, group)) + len(batch) > GROUP_ROWS:
                yield number, pa.Table.from_batches(group)
                group = []
            group += [batch] if len(batch) else []
        if group:
            yield number, pa.Table.from_batches(group)
