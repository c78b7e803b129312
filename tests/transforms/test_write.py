"""Shard files: the same rows make the same bytes, whatever their order; records describe their contents."""

import hashlib
from pathlib import Path
from typing import Any

import apache_beam as beam
import fsspec
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.records import DeadLetter, Outcome
from transforms.rows import dead_letter_row, ledger_row
from transforms.write import FileRecord, WriteTable, key_by_shard, write_shard
from transforms.write_whole import write_whole


def row(uri: str, outcome: str = "story", style: str = "romance") -> dict[str, Any]:
    return ledger_row(Outcome(uri, "1", None, style, outcome), "pack", "settings")


ROWS = [row("b"), row("a", style="swift"), row("é", "dead_letter"), row("a", "unchanged"), row("a#1 [x].jpg")]


def test_a_shard_tells_its_rows_and_hash(tmp_path: Path) -> None:
    record = write_shard((3, ROWS), str(tmp_path), "runs/night/wave-0-", "ledger", 7)
    assert record.path == "runs/night/ledger/wave-0-00003-of-00007.parquet"
    data = (tmp_path / record.path).read_bytes()
    counts = (("dead_letter", 1), ("story", 3), ("unchanged", 1))
    assert record == FileRecord("ledger", record.path, 5, hashlib.sha256(data).hexdigest(), len(data), counts)
    table = pq.read_table(tmp_path / record.path)
    assert [(r["uri"], r["style"]) for r in table.to_pylist()] == [
        ("a", "romance"), ("a", "swift"), ("a#1 [x].jpg", "romance"), ("b", "romance"), ("é", "romance"),
    ]  # fmt: skip
    assert pq.ParquetFile(tmp_path / record.path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    one = write_shard((0, ROWS), str(tmp_path / "one"), "runs/x/", "ledger", 1)
    two = write_shard((0, iter(ROWS[::-1])), str(tmp_path / "two"), "runs/x/", "ledger", 1)
    assert one == two


def test_two_letters_of_a_photo_are_in_one_order(tmp_path: Path) -> None:
    letters = [
        dead_letter_row(DeadLetter("a", version, None, stage, "E", "m", False))
        for version, stage in (("2", "story"), ("1", "story"), ("1", "read"))
    ]
    one = write_shard((0, letters), str(tmp_path), "runs/x/", "dead_letters", 1)
    assert one.counts == ()
    assert one == write_shard((0, letters[::-1]), str(tmp_path), "runs/x/", "dead_letters", 1)


def test_the_shard_is_the_uris() -> None:
    for shards in (1, 4, 64):
        places = {uri: key_by_shard(row(uri), shards)[0] for uri in ("a", "é", "b")}
        assert all(0 <= place < shards for place in places.values())
        assert places["a"] == key_by_shard(row("a", "unchanged", "swift"), shards)[0]


@pytest.mark.parametrize("scheme", ["", "file://", "memory:/"])
def test_files_appear_whole(tmp_path: Path, scheme: str) -> None:
    uri = f"{scheme}{tmp_path}/runs/a b/file.bin"
    for content in (b"first", b"second, longer"):
        write_whole(uri, content)
        filesystem, path = fsspec.core.url_to_fs(uri)
        assert filesystem.cat_file(path) == content
        assert len(filesystem.ls(path.rpartition("/")[0])) == 1


@pytest.mark.parametrize("shards", [1, 3])
def test_each_row_is_in_one_file(tmp_path: Path, shards: int) -> None:
    rows = [row(f"photo {number}", "story" if number % 5 else "dead_letter") for number in range(40)]
    with TestPipeline("FnApiRunner") as root:
        files = root | beam.Create(rows) | WriteTable(str(tmp_path), "runs/night/", "ledger", shards)
        names = files | "Names" >> beam.Map(lambda file: file.path.rpartition("/")[2])
        expected = [f"{place:05d}-of-{shards:05d}.parquet" for place in range(shards)]
        assert_that(names, equal_to(expected), label="names")
        told = files | "Rows" >> beam.Map(lambda file: file.rows) | beam.CombineGlobally(sum)
        assert_that(told, equal_to([40]), label="rows")
        assert_that(
            files | beam.Map(lambda file: sum(n for _, n in file.counts) == file.rows), equal_to([True] * shards)
        )
    found = [r for path in sorted(tmp_path.rglob("*.parquet")) for r in pq.read_table(path).to_pylist()]
    assert sorted(found, key=str) == sorted(rows, key=str)


def test_no_rows_make_no_file(tmp_path: Path) -> None:
    with TestPipeline("FnApiRunner") as root:
        files = root | beam.Create([]) | WriteTable(str(tmp_path), "runs/night/", "ledger", 4)
        assert_that(files, equal_to([]), label="files")
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_does_not_fit_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="(?i)invalid|convert|expected"), TestPipeline("FnApiRunner") as root:
        bad = row("a") | {"version": 5}
        _ = root | beam.Create([bad]) | WriteTable(str(tmp_path), "runs/night/", "ledger", 1)
