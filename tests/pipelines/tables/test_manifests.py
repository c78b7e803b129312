"""Manifests: runs with their current files after rewrites, and `current.files`, which repairs itself."""

from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipelines.tables import manifests
from pipelines.tables.manifests import as_they_stand, read_manifests, read_rows, refresh_current


def test_runs_as_they_stand() -> None:
    def run(number: int, *paths: str) -> dict[str, Any]:
        return {"number": number, "files": [{"path": path, "rows": 9} for path in paths]}

    merged = {"path": "m", "rows": 7, "groups": [[1, 2], [2, 4], [1, 1]]}
    all_of_them = [
        run(1, "a", "b"),
        run(2, "c"),
        {"number": 3, "replaces": ["a", "c"], "files": [merged]},
        run(4, "d"),
        {"number": 5, "replaces": ["m"], "files": [{"path": "n", "rows": 4, "groups": [[2, 4]]}]},
    ]
    first, second, fourth = as_they_stand(all_of_them[:4])
    assert [(file["path"], file["rows"], file.get("groups")) for file in first["files"]] == [
        ("b", 9, None),
        ("m", 3, [0, 2]),
    ]
    assert [(file["path"], file["rows"], file["groups"]) for file in second["files"]] == [("m", 4, [1])]
    assert fourth == run(4, "d")
    first, second, _ = as_they_stand(all_of_them)
    assert [file["path"] for file in first["files"]] == ["b"]
    assert [(file["path"], file["groups"]) for file in second["files"]] == [("n", [0])]
    assert all_of_them[0] == run(1, "a", "b")  # what was given stays as it is


def test_large_files_are_read_in_parts(place: str, publish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(place, "night", {"a": "One.", "b": "Two."})
    expected = list(read_rows(place, read_manifests(place)[0], "stories"))
    monkeypatch.setattr(manifests, "WHOLE", 10)
    monkeypatch.setattr(manifests, "_opened", manifests._Opened())
    assert list(read_rows(place, read_manifests(place)[0], "stories")) == expected
    assert [row["story"] for row in expected] == ["One.", "Two."]


def read_current(output: str) -> list[str]:
    filesystem, path = fsspec.core.url_to_fs(f"{output}/current.files")
    return filesystem.cat_file(path).decode().splitlines()


def story_files(output: str) -> list[str]:
    files = [file for manifest in read_manifests(output) for file in manifest["files"]]
    return [f"{output}/{file['path']}" for file in files if file["table"] == "stories"]


def test_each_commit_writes_current_files(place: str, publish: Any) -> None:
    publish(place, "one", {"a": "One."}, dead={"bad": False})
    publish(place, "two", {}, dead={"worse": False})
    publish(place, "three", {"b": "Two."})
    assert read_current(place) == story_files(place)
    assert len(read_current(place)) == 2


def test_current_files_of_a_relative_output_are_absolute(
    tmp_path: Path, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    publish("stories", "one", {"a": "One."})
    (file,) = read_current("stories")
    assert file.startswith(f"{tmp_path}/stories/runs/one/") and Path(file).exists()


def test_current_files_heal_after_a_crash(
    place: str, publish: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    publish(place, "one", {"a": "One."})

    def crash(uri: str, data: bytes) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(manifests, "write_whole", crash)
        assert publish(place, "two", {"b": "Two."})["number"] == 2
    assert "committed, but current.files could not be written" in caplog.text
    assert len(read_current(place)) == 1
    refresh_current(place)
    assert read_current(place) == story_files(place) and len(story_files(place)) == 2


def test_a_late_writer_of_current_files_looks_again(place: str, publish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another commit comes, and writes its list, between this one's look and its write."""
    publish(place, "one", {"a": "One."})
    write_whole = manifests.write_whole

    def late(uri: str, data: bytes) -> None:
        monkeypatch.setattr(manifests, "write_whole", write_whole)
        publish(place, "three", {"c": "Three."})
        write_whole(uri, data)

    monkeypatch.setattr(manifests, "write_whole", late)
    publish(place, "two", {"b": "Two."})
    assert read_current(place) == story_files(place) and len(story_files(place)) == 3
