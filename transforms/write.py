"""Writes shard files under names that no other run uses, with a record of each file for the manifest."""

import hashlib
import io
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.pvalue import PCollection

from transforms.encode_sentences import shard_of
from transforms.metrics import measure
from transforms.rows import SCHEMAS, Row
from transforms.write_whole import write_whole

GROUP_ROWS = 1024  # bytes read at once


@dataclass(frozen=True)
class FileRecord:
    """A written file, as the manifest lists it.

    Attributes:
        table: one of SCHEMAS.
        path: path below OUTPUT.
        rows: number of rows.
        sha256: sha256 of its bytes, in hex.
        bytes: number of bytes.
        counts: number of rows by outcome in a ledger file, empty in other files.
    """

    table: str
    path: str
    rows: int
    sha256: str
    bytes: int
    counts: tuple[tuple[str, int], ...] = ()


def row_key(row: Row) -> tuple[str, ...]:
    """Returns a key that orders rows within a file, the same on every runner."""
    return tuple(str(row.get(name)) for name in ("uri", "style", "outcome", "stage", "version"))


def key_by_shard(row: Row, shards: int) -> tuple[int, Row]:
    """Returns the row keyed by the shard of its uri."""
    return shard_of(row["uri"].encode(), shards), row


def write_shard(element: tuple[int, Iterable[Row]], root: str, prefix: str, table: str, shards: int) -> FileRecord:
    """Writes a shard file and returns its record; the same rows make the same bytes under the same name."""
    shard, rows = element
    ordered = sorted(rows, key=row_key)
    buffer = io.BytesIO()
    written = pa.Table.from_pylist(ordered, schema=SCHEMAS[table])
    pq.write_table(written, buffer, row_group_size=GROUP_ROWS, **parquet_options(written.schema))
    data = buffer.getvalue()
    folder, _, name = prefix.rpartition("/")
    path = posixpath.join(folder, table, f"{name}{shard:05d}-of-{shards:05d}.parquet")
    write_whole(posixpath.join(root, path), data)
    measure("bytes_written", len(data))
    return FileRecord(table, path, len(ordered), hashlib.sha256(data).hexdigest(), len(data), _counts(ordered))


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Returns options for writing rows; vectors, which all differ, get no dictionary, which would only add bytes."""
    texts = [name for name in schema.names if name != "feature"] + ["captions.list.element.caption"]
    return {"compression": "zstd", "use_dictionary": texts if "feature" in schema.names else True}


def _counts(rows: list[Row]) -> tuple[tuple[str, int], ...]:
    outcomes = [row["outcome"] for row in rows if "outcome" in row]
    return tuple((outcome, outcomes.count(outcome)) for outcome in sorted(set(outcomes)))


@dataclass(eq=False)
class WriteTable(beam.PTransform[PCollection[Row], PCollection[FileRecord]]):
    """Parquet files of one table.

    Input: rows as dicts of the table's schema. Output: FileRecord, one for each shard with rows.

    Attributes:
        root: OUTPUT.
        prefix: the run's folder below OUTPUT and, after a slash, the prefix of each file's name; each wave has its own.
        table: one of SCHEMAS.
        shards: maximum number of files.
    """

    root: str
    prefix: str
    table: str
    shards: int

    def expand(self, rows: PCollection[Row]) -> PCollection[FileRecord]:
        """Returns a record of each file that was written."""
        files: PCollection[FileRecord] = (
            rows
            | "Key by shard" >> beam.Map(key_by_shard, self.shards)
            | "Group shards" >> beam.GroupByKey()
            | "Write shards" >> beam.Map(write_shard, self.root, self.prefix, self.table, self.shards)
        )
        return files
