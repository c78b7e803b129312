"""Commits: unique numbers, one manifest for each run, conflicts, the ratio, and what the ledgers count as done."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipelines.tables import commits
from pipelines.tables.commits import (
    CommitConflictError,
    Run,
    TooManyDeadLettersError,
    attempts_in,
    check_ratio,
    commit,
    comparable,
    count_outcomes,
    done_in,
    start,
)
from pipelines.tables.manifests import last_number, put_if_absent, read_all_manifests, read_manifests
from transforms.due_rules import FAILED, MAY_PASS, TOLD, Attempt
from transforms.records import DeadLetter, Outcome
from transforms.rows import dead_letter_row, ledger_row
from transforms.write import FileRecord, write_shard


def a_run(output: str, name: str, **changes: Any) -> Run:
    return replace(Run(output, name, "2026-01-01T00:00:00+00:00", {}, "settings", {"digest": "pack"}, 0.25), **changes)


def files_of(run: Run, outcomes: dict[str, str], style: str = "romance", retryable: bool = False) -> list[FileRecord]:
    """Returns the records of a ledger and of dead letters, written, from outcomes by uri."""
    ledger = [
        ledger_row(Outcome(uri, "1", None, style, outcome), "pack", "settings") for uri, outcome in outcomes.items()
    ]
    letters = [
        dead_letter_row(DeadLetter(uri, "1", None, "read", "ReadError", "gone", retryable))
        for uri, outcome in outcomes.items()
        if outcome == "dead_letter"
    ]
    tables = {"ledger": ledger, "dead_letters": letters}
    prefix = f"{run.folder}/"
    return [write_shard((0, rows), run.output, prefix, table, 1) for table, rows in tables.items() if rows]


def test_a_file_is_put_once_and_whole(place: str) -> None:
    put_if_absent(f"{place}/manifests/1.json", b"first")
    with pytest.raises(FileExistsError):
        put_if_absent(f"{place}/manifests/1.json", b"second")
    filesystem, path = fsspec.core.url_to_fs(f"{place}/manifests")
    assert filesystem.cat_file(f"{path}/1.json") == b"first"
    assert len(filesystem.ls(path)) == 1  # no temporary file stays


def test_the_manifest_tells_the_run(place: str) -> None:
    run = a_run(place, "night", settings={"beam_width": 7})
    files = files_of(run, {"a": "story", "b": "dead_letter", "c": "story"})
    manifest = commit(run, files)
    assert read_manifests(place) == [json.loads(json.dumps(manifest))]
    assert manifest["number"] == 1 and manifest["run_id"] == "night" and manifest["settings"] == {"beam_width": 7}
    assert manifest["counts"] == {"dead_letter": 1, "story": 2} == count_outcomes(files)
    assert [(file["table"], file["rows"]) for file in manifest["files"]] == [("dead_letters", 1), ("ledger", 3)]
    filesystem, path = fsspec.core.url_to_fs(f"{place}/manifests")
    assert [name.rsplit("/", 1)[-1] for name in filesystem.ls(path, detail=False)] == ["00000001.json"]


def test_numbers_rise(place: str) -> None:
    assert last_number(read_manifests(place)) == 0
    for number in (1, 2, 3):
        assert commit(a_run(place, f"night {number}"), [])["number"] == number
    assert last_number(read_manifests(place)) == 3


def test_a_second_commit_of_a_run_finds_the_first(place: str) -> None:
    run = a_run(place, "night")
    files = files_of(run, {"a": "story"})
    first = commit(run, files)
    commit(a_run(place, "later"), [])
    again = commit(run, files)
    assert again["number"] == first["number"] and again["committed"] == first["committed"]
    assert [manifest["run_id"] for manifest in read_manifests(place)] == ["night", "later"]


def both_at_once(runs: list[Run], files: list[list[FileRecord]], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Returns the manifests, or errors, of two commits that both saw the same manifests before either wrote."""
    barrier, seen = threading.Barrier(len(runs)), threading.local()
    results: list[Any] = [None] * len(runs)

    def read_and_wait(output: str) -> list[dict[str, Any]]:
        found = read_all_manifests(output)
        if not getattr(seen, "waited", False):
            seen.waited = True
            barrier.wait(10)
        return found

    def run_one(place: int) -> None:
        try:
            results[place] = commit(runs[place], files[place])
        except Exception as error:
            results[place] = error

    monkeypatch.setattr(commits, "read_all_manifests", read_and_wait)
    threads = [threading.Thread(target=run_one, args=(place,)) for place in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


def test_two_commits_at_once_get_two_numbers(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [a_run(place, "one"), a_run(place, "two")]
    files = [files_of(runs[0], {"a": "story"}), files_of(runs[1], {"b": "story"})]
    results = both_at_once(runs, files, monkeypatch)
    assert sorted(manifest["number"] for manifest in results) == [1, 2]
    assert {manifest["run_id"] for manifest in read_manifests(place)} == {"one", "two"}


def test_two_commits_at_once_of_the_same_photo_conflict(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [a_run(place, "one"), a_run(place, "two")]
    files = [files_of(run, {"a": "story", run.run_id: "story"}) for run in runs]
    results = both_at_once(runs, files, monkeypatch)
    (conflict,) = [result for result in results if isinstance(result, CommitConflictError)]
    assert "1 of the same stories" in str(conflict) and "a (romance)" in str(conflict)
    assert len(read_manifests(place)) == 1


def test_a_retried_commit_step_does_not_conflict_with_itself(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(place, "night")
    files = files_of(run, {"a": "story"})
    results = both_at_once([run, run], [files, files], monkeypatch)
    assert [manifest["number"] for manifest in results] == [1, 1]
    assert len(read_manifests(place)) == 1


def test_a_run_committed_while_this_one_went_conflicts(place: str) -> None:
    early, late = a_run(place, "early"), a_run(place, "late")
    commit(early, files_of(early, {"a": "story"}))
    with pytest.raises(CommitConflictError, match="early committed 1 of the same"):
        commit(late, files_of(late, {"a": "story"}))
    assert len(read_manifests(place)) == 1


@pytest.mark.parametrize(
    ("changes", "style", "outcome"),
    [
        ({"after": 1}, "romance", "story"),  # it began after the other's commit
        ({"settings_digest": "other"}, "romance", "story"),
        ({"pack": {"digest": "other"}}, "romance", "story"),
        ({}, "swift", "story"),
        ({}, "romance", "unchanged"),
    ],
)
def test_what_is_no_conflict(tmp_path: Path, changes: dict[str, Any], style: str, outcome: str) -> None:
    place = str(tmp_path)
    early, late = a_run(place, "early"), a_run(place, "late", **changes)
    commit(early, files_of(early, {"a": "story"}))
    assert commit(late, files_of(late, {"a": outcome}, style))["number"] == 2


def test_a_run_gives_up_after_many_lost_races(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "put_manifest", lambda output, manifest: False)
    with pytest.raises(CommitConflictError, match="3 other runs"):
        commit(a_run(str(tmp_path), "night"), [], attempts=3)


@pytest.mark.parametrize(
    ("dead", "told", "limit", "refused"),
    [
        (49, 0, 0.0, False),
        (49, 0, 0.25, False),
        (50, 0, 0.25, True),
        (50, 150, 0.25, False),
        (51, 150, 0.25, True),
        (500, 1500, 0.25, False),
        (50, 0, 1.0, False),
        (0, 0, 0.0, False),
    ],
)
def test_the_ratio(dead: int, told: int, limit: float, refused: bool) -> None:
    counts = {"dead_letter": dead, "story": told, "unchanged": 7, "ignored": 1000}
    if not refused:
        check_ratio(counts, counts["dead_letter"], limit)
        return
    with pytest.raises(TooManyDeadLettersError, match=f"{dead} of {dead + told}"):
        check_ratio(counts, counts["dead_letter"], limit)


def test_a_photo_of_two_styles_is_one_dead_letter() -> None:
    check_ratio({"dead_letter": 50}, 25, 0.25)
    with pytest.raises(TooManyDeadLettersError, match="50 dead letters: 100 of 100 stories"):
        check_ratio({"dead_letter": 100}, 50, 0.25)


def test_too_many_dead_letters_leave_no_manifest(tmp_path: Path) -> None:
    run = a_run(str(tmp_path), "bad night")
    with pytest.raises(TooManyDeadLettersError):
        commit(run, files_of(run, {f"photo {place}": "dead_letter" for place in range(60)}))
    assert read_manifests(run.output) == []


@pytest.mark.parametrize(("retryable", "done"), [(False, {"a", "b"}), (True, {"a"})])
def test_what_is_done(tmp_path: Path, retryable: bool, done: set[str]) -> None:
    run = a_run(str(tmp_path), "night")
    outcomes = {"a": "story", "b": "dead_letter", "c": "unchanged", "d": "repeated", "e": "ignored"}
    manifest = commit(run, files_of(run, outcomes, retryable=retryable))
    assert set(done_in(run.output, manifest)) == {(uri, "1", "romance") for uri in done}


def test_what_was_tried(tmp_path: Path) -> None:
    run = a_run(str(tmp_path), "night")
    outcomes = {"a": "story", "b": "dead_letter", "c": "unchanged", "d": "deferred"}
    for number, result in ((1, FAILED), (2, MAY_PASS)):
        one = replace(run, run_id=f"night {number}", after=number)
        manifest = commit(one, files_of(one, outcomes, retryable=result == MAY_PASS))
        found = {attempt.uri: attempt for attempt in attempts_in(run.output, manifest)}
        assert found == {
            "a": Attempt("a", "1", "romance", TOLD, number),
            "b": Attempt("b", "1", "romance", result, number),
        }


def test_what_failed_before_is_no_reason_to_refuse(tmp_path: Path) -> None:
    first = a_run(str(tmp_path), "first")
    broken = {f"broken {place}": "dead_letter" for place in range(60)}
    commit(first, files_of(first, broken | {f"good {place}": "story" for place in range(200)}, retryable=True))
    again = a_run(str(tmp_path), "again", after=1)
    assert commit(again, files_of(again, broken, retryable=True))["counts"] == {"dead_letter": 60}
    more = a_run(str(tmp_path), "more", after=2)
    with pytest.raises(TooManyDeadLettersError, match="55 of 55"):
        commit(more, files_of(more, broken | {f"new {place}": "dead_letter" for place in range(55)}))
    other = a_run(str(tmp_path), "other", settings_digest="other")
    with pytest.raises(TooManyDeadLettersError, match="60 of 60"):
        commit(other, files_of(other, broken))


def test_comparable_runs() -> None:
    run = a_run("x", "night")
    manifest = {"pack": {"digest": "pack", "name": "renamed"}, "settings_digest": "settings"}
    assert comparable(run, manifest)
    assert not comparable(run, manifest | {"settings_digest": "other"})
    assert not comparable(run, manifest | {"pack": {"digest": "other"}})


def test_a_started_run_says_so(place: str) -> None:
    run = a_run(place, "night")
    start(run)
    filesystem, path = fsspec.core.url_to_fs(f"{place}/runs/night/started.json")
    assert json.loads(filesystem.cat_file(path))["started"] == run.started
