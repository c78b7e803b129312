"""Deadlines of runs: a wave that would end too late is not started, and its photos are left for the next run."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

from pipelines.cli.commands import duration
from pipelines.nightly.selection import Task, count_photos
from pipelines.tables.commits import Run
from pipelines.tables.manifests import read_all_manifests
from transforms.lateness import defer
from transforms.rows import ledger_row
from transforms.write import FileRecord, write_shard

PIPELINE_SECONDS = 1.0  # a wave takes at least this long
DOUBT = 1.1  # safety factor of a wave's estimate: photos differ
LAST_WAVES = 3  # number of waves that an estimate is made from
COMMIT_SECONDS, READINGS = 1.0, 4  # time of a commit, and how often it reads the manifests
OUTCOME_SECONDS = 2e-5  # time to write the outcome of one late photo


def deadline_of(text: str, started: datetime) -> datetime:
    """Returns the time of a deadline: `5h` after the start, or the next `06:30` by this machine's clock.

    Args:
        text: deadline as in the configuration.
        started: start of the run.
    """
    if not re.fullmatch(r"\d\d:\d\d", text):
        return started.astimezone(UTC) + duration(text)
    local = started.astimezone().replace(tzinfo=None)
    hour, minute = map(int, text.split(":"))
    due = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if due <= local:
        due += timedelta(days=1)
    return due.astimezone(UTC)  # a time without a zone is local time, with or without daylight saving


def end_of_processing(run: Run, outcomes: int = 0) -> datetime | None:
    """Returns when processing must end so that the run is committed by its deadline; None without a deadline.

    Args:
        run: the run; its manifests are read to measure how long that takes.
        outcomes: number of outcomes to write if no photo is processed.
    """
    if not run.deadline:
        return None
    begun = time.monotonic()
    read_all_manifests(run.output)
    seconds = COMMIT_SECONDS + READINGS * (time.monotonic() - begun) + OUTCOME_SECONDS * outcomes
    return datetime.fromisoformat(run.deadline) - timedelta(seconds=seconds)


def waves_in_time(waves: Iterable[list[Task]], end: datetime | None, late: list[Task]) -> Iterator[list[Task]]:
    """Yields the waves that will end in time, judged by the pace of earlier ones; at least one empty wave.

    A wave lasts until the next one is requested. Nothing is known about the first one: it starts unless the end has
    passed.

    Args:
        waves: waves of tasks.
        end: when processing must end; None for no limit.
        late: receives the tasks of the waves that do not fit.
    """
    paces: list[float] = []
    remaining = iter(waves)
    for number, wave in enumerate(remaining):
        if end is not None and wave and datetime.now(UTC) + estimate(count_photos(wave), paces) >= end:
            late += chain(wave, *remaining)
            if number == 0:
                yield []
            return
        begun = time.monotonic()
        yield wave
        paces.append((time.monotonic() - begun) / max(1, count_photos(wave)))


def estimate(photos: int, paces: Sequence[float]) -> timedelta:
    """Returns how long a wave will take, by the slowest of the last waves.

    The first wave, which loads the networks, counts only if there is no other.

    Args:
        photos: number of photos of the wave.
        paces: seconds a photo of the earlier waves.
    """
    known = paces[1:][-LAST_WAVES:] or paces
    return timedelta(seconds=PIPELINE_SECONDS + DOUBT * max(known) * photos if known else 0.0)


def write_deferred(run: Run, late: Sequence[Task]) -> list[FileRecord]:
    """Writes the outcome `deferred` of each task and style; returns the file's record, or none if nothing is late."""
    outcomes = [outcome for listing, _ in late for outcome in defer(listing)]
    rows = [ledger_row(outcome, run.pack["digest"], run.settings_digest) for outcome in outcomes]
    return [write_shard((0, rows), run.output, f"{run.folder}/deferred-", "ledger", 1)] if rows else []
