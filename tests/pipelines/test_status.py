"""The state of an OUTPUT: fresh, stale, or the last run failed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.status import main
from pipelines.tables.commits import Run, start
from pipelines.tables.leases import release, take
from pipelines.tables.state import FRESH, LAST_RUN_FAILED, STALE, look

LIMIT = timedelta(hours=26)
MOMENT = datetime(2026, 1, 10, 8, tzinfo=UTC)


def hours_ago(hours: float, moment: datetime = MOMENT) -> str:
    return (moment - timedelta(hours=hours)).isoformat(timespec="seconds")


def leave_started(output: str, name: str, started: str) -> None:
    start(Run(output, name, started, {}, "s", {"digest": "p"}, 0.25))


@pytest.mark.parametrize(("hours", "state"), [(1, FRESH), (26, FRESH), (26.1, STALE), (500, STALE)])
def test_the_newest_commit_decides(place: str, publish: Any, hours: float, state: str) -> None:
    publish(place, "old", {"a": "One."}, committed=hours_ago(600))
    publish(place, "new", {"b": "Two."}, committed=hours_ago(hours), dead={"bad": False})
    report = look(place, LIMIT, MOMENT)
    assert report["state"] == state and report["age_hours"] == hours
    assert [run["run_id"] for run in report["runs"]] == ["new", "old"]
    assert report["runs"][0]["counts"] == {"dead_letter": 1, "story": 1}


@pytest.mark.parametrize(
    ("committed", "started", "state", "run_state"),
    [
        (20, 2, FRESH, "going"),
        (30, 2, STALE, "going"),
        (40, 27, LAST_RUN_FAILED, "failed"),
        (20, 27, FRESH, "committed"),  # a later run made it good
    ],
)
def test_a_run_without_manifest(
    place: str, publish: Any, committed: float, started: float, state: str, run_state: str
) -> None:
    publish(place, "good", {"a": "One."}, committed=hours_ago(committed))
    leave_started(place, "other", hours_ago(started))
    take(place, "other", ["photos"], LIMIT)
    report = look(place, LIMIT, MOMENT)
    assert (report["state"], report["runs"][0]["state"]) == (state, run_state)


def test_a_run_that_gave_its_lease_back_has_failed(place: str, publish: Any) -> None:
    publish(place, "good", {"a": "One."}, committed=hours_ago(20))
    leave_started(place, "other", hours_ago(2))
    lease = take(place, "other", ["photos"], LIMIT)
    assert look(place, LIMIT, MOMENT)["state"] == FRESH
    release(lease)
    assert look(place, LIMIT, MOMENT)["state"] == LAST_RUN_FAILED


def test_a_committed_run_is_told_once(place: str, publish: Any) -> None:
    publish(place, "good", {"a": "One."}, committed=hours_ago(1))
    leave_started(place, "good", hours_ago(1))
    assert [run["run_id"] for run in look(place, LIMIT, MOMENT)["runs"]] == ["good"]


def test_the_command(place: str, publish: Any, capsys: Any) -> None:
    now = datetime.now(UTC)
    leave_started(place, "first", hours_ago(1, now))
    take(place, "first", ["photos"], LIMIT)
    assert main([place]) == 1
    assert "stale: nothing was ever committed" in capsys.readouterr().out
    publish(place, "good", {"a": "One."}, committed=hours_ago(0.5, now))
    assert main([place, "--max-age=2h"]) == 0
    printed = capsys.readouterr().out
    assert "fresh: newest commit 0.5 hours ago; 2 hours are allowed" in printed and "committed: 1 story" in printed
    leave_started(place, "last", hours_ago(0.25, now))
    assert main([place, "--max-age=1m", "--json", "--runs=1"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert (report["state"], report["code"], len(report["runs"])) == ("last run failed", 3, 1)
    assert main([place, "--max-age=yesterday"]) == main([f"{place}/nowhere"]) == 2
