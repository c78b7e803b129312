"""Leases: one holder in any order of takers; renewed, lost and released leases; and their use in the main job."""

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.nightly import main_job
from pipelines.tables import leases
from pipelines.tables.leases import (
    LeaseHeldError,
    has_ended,
    hold,
    process_name,
    read_leases,
    release,
    release_run,
    renew,
    take,
)

HOUR, PAST = timedelta(hours=1), timedelta(seconds=-1)
PHOTOS = ["gs://photos/**"]


def holders(output: str) -> list[str]:
    return [lease.run_id for lease in read_leases(output)]


def test_a_second_taker_is_told_who_and_until_when(place: str) -> None:
    lease = take(place, "first", PHOTOS, HOUR)
    with pytest.raises(LeaseHeldError) as refused:
        take(place, "second", PHOTOS, HOUR)
    for part in ("run first is processing gs://photos/**", place, lease.path, lease.expires):
        assert part in str(refused.value)
    assert read_leases(place) == [lease]
    release(lease)
    release(lease)  # is content
    assert take(place, "second", PHOTOS, HOUR).run_id == "second"


def test_other_photos_are_free(place: str) -> None:
    take(place, "first", ["a", "b"], HOUR)
    with pytest.raises(LeaseHeldError):
        take(place, "second", ["b", "a"], HOUR)
    take(place, "third", ["a"], HOUR)
    assert sorted(holders(place)) == ["first", "third"]
    release_run(place, "first")
    assert holders(place) == ["third"]


def test_an_expired_lease_is_taken_over(place: str) -> None:
    take(place, "dead", PHOTOS, PAST)
    lease = take(place, "next", PHOTOS, HOUR)
    assert read_leases(place) == [lease]


def test_the_lease_of_a_killed_process_is_taken_over(place: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    take(place, "killed", PHOTOS, HOUR, process_name(child.pid))
    with pytest.raises(LeaseHeldError):
        take(place, "next", PHOTOS, HOUR)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # whoever started it has not noted its end yet
    take(place, "next", PHOTOS, HOUR)
    assert holders(place) == ["next"]
    child.communicate()
    assert process_name(child.pid) == ""


def test_processes_of_other_machines_are_not_judged() -> None:
    mine = process_name(os.getpid())
    boot, space, started, pid = mine.split()
    assert not has_ended("") and not has_ended(mine)
    assert has_ended(f"{boot} {space} {started} {2**22 + 1}")
    assert not has_ended(f"another-boot {space} {started} {2**22 + 1}")
    assert not has_ended(f"{boot} pid:[1] {started} {2**22 + 1}")


def test_a_process_that_got_the_number_of_a_killed_one_is_another() -> None:
    """A container's first process has number 1, each time."""
    boot, space, started, pid = process_name(os.getpid()).split()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        *_, later, _ = process_name(child.pid).split()
        child.communicate()
    assert int(later) > int(started)
    assert has_ended(f"{boot} {space} {int(started) - 1} {pid}")


@pytest.mark.parametrize("before", [[], ["dead"]], ids=["free", "expired"])
def test_of_takers_at_once_one_wins(place: str, before: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All have looked before any of them puts its file."""
    for name in before:
        take(place, name, PHOTOS, PAST)
    count = 4
    barrier, put, seen = threading.Barrier(count), leases.put_if_absent, threading.local()

    def wait_and_put(uri: str, data: bytes) -> None:
        if not getattr(seen, "waited", False):
            seen.waited = True
            barrier.wait(10)
        with lock if place.startswith("memory") else threading.Lock():  # the store in memory is not safe in threads
            put(uri, data)

    lock = threading.Lock()
    monkeypatch.setattr(leases, "put_if_absent", wait_and_put)
    results: list[Any] = []

    def run(name: str) -> None:
        try:
            results.append(take(place, name, PHOTOS, HOUR))
        except LeaseHeldError as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(f"taker {number}",)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    won = [result for result in results if isinstance(result, leases.Lease)]
    assert len(results) == count and len(won) == 1
    assert read_leases(place) == won


def test_a_taker_that_looked_long_ago_gives_way(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It saw an expired lease; before it puts its own, others came and went, and the number is free again."""
    old = take(place, "dead", PHOTOS, PAST)
    put = leases.put_if_absent

    def late(uri: str, data: bytes) -> None:
        monkeypatch.setattr(leases, "put_if_absent", put)
        release(old)
        take(place, "holder", PHOTOS, HOUR)  # number 1 again
        put(uri, data)  # number 2

    monkeypatch.setattr(leases, "put_if_absent", late)
    with pytest.raises(LeaseHeldError, match="run holder"):
        take(place, "late", PHOTOS, HOUR)
    assert holders(place) == ["holder"]


def test_renewing_moves_the_end(place: str) -> None:
    lease = take(place, "run", PHOTOS, timedelta(minutes=1))
    later = renew(lease, HOUR)
    assert datetime.fromisoformat(later.expires) - datetime.now(UTC) > timedelta(minutes=59)
    assert read_leases(place) == [later]


def test_a_lease_that_was_taken_over_is_lost(place: str) -> None:
    lease = take(place, "slow", PHOTOS, PAST)
    take(place, "next", PHOTOS, HOUR)
    with pytest.raises(LeaseHeldError, match="run next"):
        renew(lease, HOUR)
    assert holders(place) == ["next"]


def test_it_is_held_while_the_run_goes_and_removed_when_it_fails(place: str) -> None:
    with pytest.raises(ValueError), hold(place, "run", PHOTOS, timedelta(seconds=2)):
        (first,) = read_leases(place)
        for _ in range(100):
            time.sleep(0.1)
            (lease,) = read_leases(place)
            if lease != first:
                break
        assert lease.expires > first.expires and lease.run_id == "run"
        raise ValueError
    assert read_leases(place) == []


def test_a_renewal_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    tried = threading.Event()

    def fail(uri: str, data: bytes) -> None:
        monkeypatch.undo()
        tried.set()
        raise OSError("no answer")

    with hold(str(tmp_path), "run", PHOTOS, timedelta(seconds=1)):
        (first,) = read_leases(str(tmp_path))
        monkeypatch.setattr(leases, "write_whole", fail)
        assert tried.wait(10)
        for _ in range(100):
            time.sleep(0.05)
            if read_leases(str(tmp_path)) != [first]:
                break
        assert read_leases(str(tmp_path)) != [first]
    assert "could not be renewed" in caplog.text


# The main job


@pytest.fixture
def tell(run_job: Any, write_features: Any, output: Any, story_pack: Any) -> Any:
    features = write_features([("a", np.ones(4096, "f4"))])
    places = (f"--features={features}", f"--output={output.location}", f"--pack={story_pack.location}")
    return lambda: run_job(*places, "--captions-per-photo=5", "--beam-width=5")


def test_a_second_job_on_the_same_photos_ends_with_4(tell: Any, output: Any, tmp_path: Path) -> None:
    lease = take(output.location, "tonight", [str(tmp_path / "features.parquet")], HOUR)
    code, _, errors = tell()
    assert code == 4 and "run tonight is processing" in errors and lease.expires in errors
    assert output.manifests == [] and not (Path(output.location) / "runs").exists()
    release(lease)
    assert tell()[0] == 0
    assert read_leases(output.location) == []


def test_a_job_holds_its_lease_till_after_the_commit(tell: Any, output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = main_job.commit
    held = []

    def note(*arguments: Any) -> Any:
        held.extend(holders(output.location))
        return commit(*arguments)

    monkeypatch.setattr(main_job, "commit", note)
    assert tell()[0] == 0
    assert held == [output.manifests[0]["run_id"]] and holders(output.location) == []


def test_a_job_that_fails_gives_its_lease_back(tell: Any, output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(main_job, "run_waves", fail)
    assert tell()[0] == 1
    assert holders(output.location) == [] and output.manifests == []
