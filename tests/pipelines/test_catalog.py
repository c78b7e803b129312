"""Published stories as a table: the newest of each photo and style, filters, and a clean folder for other readers."""

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.catalog import main, open_stories
from pipelines.tables import read as tables_read
from transforms.rows import STORIES

NIGHTS = ("2026-01-01T23:59:59+00:00", "2026-01-02T02:00:00+00:00", "2026-01-03T02:00:00+00:00")


def told(output: str, **filters: Any) -> dict[tuple[str, str], str]:
    """Returns the stories by uri and style, each there once."""
    rows = open_stories(output, **filters).to_table().to_pylist()
    found = {(row["uri"], row["style"]): row["story"] for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.fixture
def three_nights(place: str, publish: Any) -> str:
    """Returns an OUTPUT of three runs; the second changed a photo, the third told one in another style."""
    publish(place, "one", {"a": "Old.", "b": "Same."}, committed=NIGHTS[0])
    publish(place, "two", {"a": "New.", "c": "Late."}, committed=NIGHTS[1], dead={"bad": True})
    publish(place, "three", {"a": "Swift."}, style="swift", committed=NIGHTS[2])
    return place


def test_the_newest_story_of_each_photo_and_style(three_nights: str) -> None:
    assert told(three_nights) == {
        ("a", "romance"): "New.",
        ("a", "swift"): "Swift.",
        ("b", "romance"): "Same.",
        ("c", "romance"): "Late.",
    }
    assert open_stories(three_nights).to_table().schema == STORIES


def test_filters(three_nights: str) -> None:
    assert told(three_nights, style="swift") == {("a", "swift"): "Swift."}
    assert told(three_nights, run="one") == {("a", "romance"): "Old.", ("b", "romance"): "Same."}
    assert told(three_nights, until="2026-01-01") == told(three_nights, run="one")
    assert told(three_nights, since=date(2026, 1, 3)) == told(three_nights, run="three")
    assert told(three_nights, since="2026-01-02", until="2026-01-02", style="romance") == told(three_nights, run="two")
    assert told(three_nights, run="none") == told(three_nights, style="noir") == {}


def test_history_has_all_stories_and_says_when(three_nights: str) -> None:
    rows = open_stories(three_nights, history=True, style="romance").to_table().to_pylist()
    found = [(row["run_id"], row["committed"], row["uri"], row["story"]) for row in rows]
    assert found == [
        ("two", NIGHTS[1], "a", "New."),
        ("two", NIGHTS[1], "c", "Late."),
        ("one", NIGHTS[0], "a", "Old."),
        ("one", NIGHTS[0], "b", "Same."),
    ]


def test_nothing_is_published(place: str) -> None:
    assert open_stories(place).to_table() == STORIES.empty_table()


def test_a_crashed_run_is_invisible(three_nights: str, publish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = told(three_nights)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pipelines.tables.commits.put_manifest", _crash)
        publish(three_nights, "crashed", {"a": "Never.", "z": "Never."})
    assert told(three_nights) == before


def _crash(*_: Any) -> None:
    raise KeyboardInterrupt


def test_batches_are_read_one_at_a_time(place: str, publish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many stories there are, what was yielded is not kept."""
    publish(place, "one", {f"photo {number:05d}": "A story." for number in range(5000)})
    batches = open_stories(place).to_batches()
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == 5000 and max(sizes) <= 1024
    opened: list[str] = []
    before = tables_read.read_batches
    monkeypatch.setattr(
        tables_read, "read_batches", lambda output, file: opened.append(file["path"]) or before(output, file)
    )
    publish(place, "two", {"photo 00001": "Again."})
    batches = open_stories(place).to_batches()
    assert opened == []
    assert next(batches).num_rows == 1 and len(opened) == 1
    assert sum(len(batch) for batch in batches) == 4999 and len(opened) == 2


def test_rows_of_an_older_schema_get_nulls(place: str, publish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(place, "one", {"a": "One."})
    wider = pa.schema([*STORIES, pa.field("mood", pa.string())])
    monkeypatch.setattr(tables_read, "STORIES", wider)
    (row,) = open_stories(place).to_table().to_pylist()
    assert row["mood"] is None and row["story"] == "One."


def test_duckdb_reads_an_export(tmp_path: Path, publish: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    output, folder = str(tmp_path / "stories"), tmp_path / "out [1]"
    publish(output, "one", {f"photo {number}": f"Story {number}." for number in range(3000)})
    publish(output, "two", {"photo 7": "Again.", "photo 8": 'An owl; it said "who".'})
    monkeypatch.setattr(tables_read, "FULL", 10)  # each row group gets a file
    assert main(["export", output, f"--output={folder}"]) == 0
    assert capsys.readouterr().out.startswith(f"{folder}: ")
    assert len(list(folder.iterdir())) > 1
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"SET VARIABLE files = {[str(path) for path in sorted(folder.iterdir())]}")
    found = connection.execute("SELECT * FROM read_parquet(getvariable('files')) ORDER BY uri, style")
    expected = open_stories(output).to_table().sort_by("uri")
    assert found.to_arrow_table().to_pylist() == expected.to_pylist()
    ((count, captions),) = connection.execute(
        "SELECT count(*), min(len(captions)) FROM read_parquet(getvariable('files'))"
    ).fetchall()
    assert (count, captions) == (3000, 1)
    (again,) = connection.execute(
        "SELECT story FROM read_parquet(getvariable('files')) WHERE uri = 'photo 7'"
    ).fetchone()
    assert again == "Again."


def test_an_export_of_nothing_has_columns(three_nights: str, capsys: Any) -> None:
    filesystem, root = fsspec.core.url_to_fs(three_nights)
    assert main(["forget", three_nights, "a", "b", "c"]) == 0
    assert main(["export", three_nights, f"--output={three_nights}-out"]) == 0
    (file,) = filesystem.find(f"{root}-out")
    with filesystem.open(file) as stream:
        table = pq.read_table(stream)
    assert table.num_rows == 0 and table.schema.names == STORIES.names


def test_an_export_never_mixes_with_other_files(three_nights: str, capsys: Any) -> None:
    assert main(["export", three_nights, f"--output={three_nights}-out"]) == 0
    assert main(["export", three_nights, f"--output={three_nights}-out"]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_commands_say_what_they_did(three_nights: str, capsys: Any) -> None:
    assert main(["compact", three_nights]) == main(["forget", three_nights, "a"]) == 0
    assert main(["compact", three_nights]) == main(["forget", three_nights, "a"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "6 files became 2" in lines[0]  # three of stories, three of the ledger; the one of dead letters stays
    assert "rows were removed from 2 files" in lines[1]
    assert "there is nothing to merge" in lines[2]
    assert "no published row is about these photos" in lines[3]
    assert main(["compact"]) == main(["melt", three_nights]) == main(["compact", f"{three_nights}-nowhere"]) == 2


def test_any_command_heals_current_files(three_nights: str) -> None:
    filesystem, root = fsspec.core.url_to_fs(three_nights)
    before = filesystem.cat_file(f"{root}/current.files")
    filesystem.pipe_file(f"{root}/current.files", b"old")
    assert main(["forget", three_nights, "nobody"]) == 0
    assert filesystem.cat_file(f"{root}/current.files") == before
