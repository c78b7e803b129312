"""Vacuum: old leftovers of crashed runs are removed, files that a manifest names never are."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipelines.tables import maintain
from pipelines.tables.commits import Run, start
from pipelines.tables.leases import release, take
from pipelines.tables.maintain import find_leftovers
from pipelines.tables.manifests import put_if_absent
from pipelines.vacuum import main

DAY = 24 * 3600


def all_files(output: str) -> set[str]:
    filesystem, root = fsspec.core.url_to_fs(output)
    return {path.removeprefix(f"{root}/") for path in filesystem.find(root)}


def leave(output: str, path: str, days: float = 0.0) -> None:
    """Writes a file below OUTPUT that is some days old."""
    filesystem, root = fsspec.core.url_to_fs(output)
    filesystem.makedirs(os.path.dirname(f"{root}/{path}"), exist_ok=True)
    filesystem.pipe_file(f"{root}/{path}", b"left")
    age(output, path, days)


def age(output: str, path: str, days: float) -> None:
    filesystem, root = fsspec.core.url_to_fs(output)
    if "file" in filesystem.protocol:
        os.utime(f"{root}/{path}", (time.time() - days * DAY,) * 2)
    else:
        filesystem.store[f"{root}/{path}"].modified = datetime.now(UTC) - timedelta(days=days)


@pytest.fixture
def night(place: str, publish: Any) -> str:
    """Returns an OUTPUT of one committed run, all files of which are old."""
    publish(place, "good", {"a": "One."}, dead={"bad": False})
    start(Run(place, "good", "2026-01-01T00:00:00+00:00", {}, "s", {"digest": "p"}, 0.25))
    for path in all_files(place):
        age(place, path, 100)
    return place


def test_committed_files_are_never_leftovers(night: str) -> None:
    assert find_leftovers(night, timedelta(0)) == []


def test_an_old_crashed_run_goes(night: str, capsys: Any) -> None:
    before = all_files(night)
    crashed = ["runs/crashed/started.json", "runs/crashed/stories/0.parquet", "runs/crashed/scratch/1.npy"]
    crashed += ["leases/photos/00000001.json.17.part", "manifests/00000009.json.17.part"]
    for path in crashed:
        leave(night, path, 8)
    assert main([night, "--dry-run"]) == 0
    listed = capsys.readouterr()
    assert listed.out.split() == sorted(crashed)
    assert "5 files would be removed" in listed.err and all_files(night) > before
    assert main([night]) == 0
    assert all_files(night) == before
    assert main([night]) == 0 and all_files(night) == before


def test_empty_folders_go_too(tmp_path: Path, publish: Any) -> None:
    publish(str(tmp_path), "good", {"a": "One."})
    leave(str(tmp_path), "runs/crashed/stories/0.parquet", 8)
    main([str(tmp_path)])
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["good"]


def test_a_run_that_wrote_something_lately_stays_whole(night: str) -> None:
    leave(night, "runs/going/started.json", 9)
    leave(night, "runs/going/stories/0.parquet", 8)
    leave(night, "runs/going/stories/1.parquet", 1)
    assert find_leftovers(night, timedelta(days=7)) == []
    assert len(find_leftovers(night, timedelta(hours=23))) == 3


def test_a_run_with_a_lease_stays(night: str) -> None:
    leave(night, "runs/going/started.json", 9)
    lease = take(night, "going", ["photos"], timedelta(hours=1))
    assert find_leftovers(night, timedelta(0)) == []
    release(lease)
    assert find_leftovers(night, timedelta(0)) == ["runs/going/started.json"]


def test_old_leases_go(night: str) -> None:
    lease = take(night, "gone", ["photos"], timedelta(days=-8))
    age(night, lease.path, 8)
    assert find_leftovers(night, timedelta(days=7)) == [lease.path]


def test_unnamed_files_of_a_committed_run_go_one_by_one(night: str) -> None:
    leave(night, "runs/good/scratch/old.npy", 8)
    leave(night, "runs/good/scratch/new.npy", 1)
    assert find_leftovers(night, timedelta(days=7)) == ["runs/good/scratch/old.npy"]


def test_replaced_files_go_when_the_replacement_is_old(night: str, capsys: Any) -> None:
    filesystem, root = fsspec.core.url_to_fs(night)
    manifest = json.loads(filesystem.cat_file(f"{root}/manifests/00000001.json"))
    (old,) = [file for file in manifest["files"] if file["table"] == "stories"]
    leave(night, "rewrites/change/stories/0.parquet", 8)
    new = old | {"path": "rewrites/change/stories/0.parquet", "groups": [[1, 1]]}
    committed = datetime.now(UTC) - timedelta(days=2)
    rewrite = {"number": 2, "kind": "forget", "run_id": "change", "committed": committed.isoformat()}
    rewrite |= {"replaces": [old["path"]], "files": [new]}
    put_if_absent(f"{night}/manifests/00000002.json", json.dumps(rewrite).encode())
    assert find_leftovers(night, timedelta(days=3)) == []
    assert find_leftovers(night, timedelta(days=1)) == [old["path"]]
    assert main([night, "--older-than=1d"]) == 0
    assert old["path"] not in all_files(night) and new["path"] in all_files(night)
    assert old["path"] not in filesystem.cat_file(f"{root}/current.files").decode()  # which was written before


def test_a_run_committed_during_the_look_keeps_its_files(
    place: str, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(place, "first", {"a": "One."})
    leave(place, "runs/second/stories/00000-of-00001.parquet", 8)
    look = maintain._files

    def look_and_commit(output: str) -> set[str]:
        found = look(output)
        publish(place, "second", {"b": "Two."})
        return found

    monkeypatch.setattr(maintain, "_files", look_and_commit)
    assert find_leftovers(place, timedelta(0)) == []


@pytest.mark.parametrize(
    ("options", "part"),
    [(["--older-than=soon"], "'soon' is not a time"), (["--older-than=-1d"], "not a time"), (["--force"], "--force")],
)
def test_wrong_options(night: str, options: list[str], part: str, capsys: Any) -> None:
    assert main([night, *options]) == 2
    assert part in capsys.readouterr().err


def test_a_place_without_runs(tmp_path: Path, capsys: Any) -> None:
    assert main([str(tmp_path / "storys")]) == 2
    assert "storys: no such folder" in capsys.readouterr().err


def test_an_empty_folder_is_there_but_had_no_run(tmp_path: Path, capsys: Any) -> None:
    assert main([str(tmp_path)]) == 2
    assert f"{tmp_path}: no run has written there" in capsys.readouterr().err
