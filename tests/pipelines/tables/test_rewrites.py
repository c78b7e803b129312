"""Forgetting and merging: whole or not at all, whatever crashes or comes in between, and nothing else changes."""

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

from pipelines.catalog import open_stories
from pipelines.tables import manifests, rewrites
from pipelines.tables.commits import done_in
from pipelines.tables.leases import LeaseHeldError, release, take
from pipelines.tables.manifests import read_all_manifests, read_manifests, read_rows
from pipelines.tables.refusals import CommitConflictError
from pipelines.tables.rewrites import compact, forget

TABLES = ("stories", "dead_letters", "ledger")


def all_rows(output: str) -> list[Any]:
    """Returns each run's rows of each table, and what they settle."""
    return [
        (
            run["number"],
            [sorted(read_rows(output, run, table), key=str) for table in TABLES],
            sorted(done_in(output, run)),
        )
        for run in read_manifests(output)
    ]


def mentions(output: str, text: str) -> list[str]:
    """Returns the paths of the live Parquet files in which a text occurs, as a value of any column."""
    filesystem, root = fsspec.core.url_to_fs(output)
    paths = {file["path"] for run in read_manifests(output) for file in run["files"]}
    return [
        path for path in sorted(paths) if text in str(pq.read_table(_open(filesystem, f"{root}/{path}")).to_pylist())
    ]


def _open(filesystem: Any, path: str) -> io.BytesIO:
    return io.BytesIO(filesystem.cat_file(path))


def live_files(output: str) -> list[str]:
    return sorted({file["path"] for run in read_manifests(output) for file in run["files"]})


@pytest.fixture
def nights(place: str, publish: Any) -> str:
    """Returns an OUTPUT of four runs: photos told anew, in another style, dead letters that are retryable or not."""
    publish(place, "one", {"a": "Old.", "b": "Same."}, dead={"bad": False, "slow": True})
    publish(place, "two", {"a": "New.", "slow": "At last."})
    publish(place, "three", {"a": "Swift."}, style="swift", dead={"worse": False})
    publish(place, "four", {"c": "Late."})
    return place


def test_merged_nights_tell_the_same(nights: str) -> None:
    before, history = all_rows(nights), open_stories(nights, history=True).to_table().to_pylist()
    manifest = compact(nights)
    assert manifest is not None and (manifest["number"], manifest["kind"]) == (5, "compact")
    assert len(live_files(nights)) == 3
    assert all_rows(nights) == before
    assert open_stories(nights, history=True).to_table().to_pylist() == history
    for file in manifest["files"]:
        filesystem, root = fsspec.core.url_to_fs(nights)
        data = filesystem.cat_file(f"{root}/{file['path']}")
        parquet = pq.ParquetFile(io.BytesIO(data))
        groups = [parquet.metadata.row_group(place).num_rows for place in range(parquet.num_row_groups)]
        assert groups == [rows for _, rows in file["groups"]] and sum(groups) == file["rows"]
        assert (file["bytes"], file["sha256"]) == (len(data), rewrites.hashlib.sha256(data).hexdigest())


def test_merging_goes_on_with_later_nights(nights: str, publish: Any) -> None:
    compact(nights)
    assert compact(nights) is None
    publish(nights, "five", {"a": "Newest."})
    before = all_rows(nights)
    assert compact(nights) is not None
    assert all_rows(nights) == before and len(live_files(nights)) == 3
    assert [row["story"] for row in open_stories(nights, style="romance").to_table().to_pylist()][:1] == ["Newest."]


def test_full_files_are_not_merged(nights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = live_files(nights)
    monkeypatch.setattr(rewrites, "FULL", 10)
    assert compact(nights) is None and live_files(nights) == before


def test_large_runs_have_several_row_groups(place: str, publish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrites, "GROUP_ROWS", 4)
    monkeypatch.setattr(manifests, "BATCH", 3)
    publish(place, "one", {f"photo {number}": "One." for number in range(10)})
    publish(place, "two", {f"photo {number}": "Two." for number in range(5)})
    before = all_rows(place)
    manifest = compact(place)
    assert manifest is not None and all_rows(place) == before
    (stories,) = [file for file in manifest["files"] if file["table"] == "stories"]
    assert stories["groups"] == [[1, 3], [1, 3], [1, 4], [2, 3], [2, 2]]


@pytest.mark.parametrize("merged", [False, True])
def test_a_forgotten_photo_is_gone_and_nothing_else(nights: str, merged: bool) -> None:
    if merged:
        compact(nights)
    before = all_rows(nights)
    manifest = forget(nights, ["a", "bad", "not there"])
    assert manifest is not None and manifest["kind"] == "forget"
    assert mentions(nights, "'a'") == mentions(nights, "'bad'") == []
    gone = {"a", "bad"}
    for (number, tables, done), (found, rest, still) in zip(before, all_rows(nights), strict=True):
        assert found == number
        assert rest == [[row for row in table if row["uri"] not in gone] for table in tables]
        assert still == [settled for settled in done if settled[0] not in gone]
    assert "'a'" not in str(manifest) and '"a"' not in str(manifest)
    assert forget(nights, ["a"]) is None


def test_files_without_the_photo_stay(nights: str) -> None:
    before = live_files(nights)
    manifest = forget(nights, ["c"])
    assert manifest is not None and sorted(manifest["replaces"]) == [
        path for path in before if path.startswith("runs/four")
    ]
    assert live_files(nights) == [path for path in before if not path.startswith("runs/four")]


def test_a_local_photo_is_forgotten_by_its_relative_path(
    tmp_path: Path, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    publish("stories", "one", {f"{tmp_path}/photos/a.jpg": "One.", f"{tmp_path}/photos/b.jpg": "Two."})
    assert forget("stories", ["photos/a.jpg"]) is not None
    assert [row["story"] for row in open_stories("stories").to_table().to_pylist()] == ["Two."]


def test_nothing_is_forgotten_while_a_run_goes(nights: str) -> None:
    lease = take(nights, "going", ["photos"], timedelta(hours=1))
    with pytest.raises(LeaseHeldError, match="run going is processing photos"):
        forget(nights, ["a"])
    assert compact(nights) is not None
    release(lease)
    assert forget(nights, ["a"]) is not None


class Crash(Exception):
    pass


def crash(*_: Any) -> Any:
    raise Crash


@pytest.mark.parametrize("change", [compact, lambda output: forget(output, ["a"])], ids=["compact", "forget"])
@pytest.mark.parametrize("point", ["write_whole", "put_manifest"])
def test_a_crash_before_the_manifest_changes_nothing(
    nights: str, change: Any, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, files = all_rows(nights), live_files(nights)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(rewrites, point, crash)
        change(nights)
    assert (all_rows(nights), live_files(nights)) == (before, files)
    assert change(nights)["number"] == 5


@pytest.mark.parametrize("change", [compact, lambda output: forget(output, ["a"])], ids=["compact", "forget"])
def test_a_crash_after_the_manifest_is_a_change_that_heals(
    nights: str, change: Any, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem, root = fsspec.core.url_to_fs(nights)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(rewrites, "refresh_after_commit", crash)
        change(nights)
    assert read_all_manifests(nights)[-1]["number"] == 5
    assert change(nights) is None  # it is done, and only the list was missing
    listed = filesystem.cat_file(f"{root}/current.files").decode().splitlines()
    stories = {file["path"] for run in read_manifests(nights) for file in run["files"] if file["table"] == "stories"}
    assert {path.removeprefix(f"{nights}/") for path in listed} == stories


def overtaken(monkeypatch: pytest.MonkeyPatch, others: Any) -> None:
    """Has something else take the next number just before the next rewrite puts its manifest."""
    put = rewrites.put_manifest

    def late(output: str, manifest: Any) -> bool:
        monkeypatch.setattr(rewrites, "put_manifest", put)
        others()
        return put(output, manifest)

    monkeypatch.setattr(rewrites, "put_manifest", late)


def test_a_run_that_is_committed_meanwhile_loses_the_photo_too(
    nights: str, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtaken(monkeypatch, lambda: publish(nights, "late", {"a": "Once more.", "new photo": "New."}))
    manifest = forget(nights, ["a"])
    assert manifest is not None and manifest["number"] == 6
    assert mentions(nights, "'a'") == [] and len(mentions(nights, "'new photo'")) == 2


def test_merging_never_brings_a_forgotten_photo_back(nights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    overtaken(monkeypatch, lambda: forget(nights, ["a"]))
    manifest = compact(nights)
    assert manifest is not None and manifest["number"] == 6
    assert mentions(nights, "'a'") == [] and len(live_files(nights)) == 3


def test_a_rewrite_gives_up_after_many_lost_races(nights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrites, "put_manifest", lambda output, manifest: False)
    monkeypatch.setattr(rewrites, "ATTEMPTS", 2)
    with pytest.raises(CommitConflictError, match="2 others"):
        compact(nights)
