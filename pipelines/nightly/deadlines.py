"""The time that a run may take: no wave is begun that will not fit, and what is late is left for the next run."""

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

PIPELINE_SECONDS = 1.0  # of a wave, however small it is
DOUBT = 1.1  # of a wave's estimate: photos differ
LAST_WAVES = 3  # that an estimate looks at
COMMIT_SECONDS, READINGS = 1.0, 4  # of a commit, which reads the manifests so many times
OUTCOME_SECONDS = 2e-5  # of one outcome, when all that is late is written down


def deadline_of(text: str, started: datetime) -> datetime:
    """Returns the time that an age from the start such as `5h` stands for, or the next `06:30` by this machine's clock.

    Args:
        text: as the configuration has it.
        started: when the run did.
    """
    if not re.fullmatch(r"\d\d:\d\d", text):
        return started.astimezone(UTC) + duration(text)
    local = started.astimezone().replace(tzinfo=None)
    hour, minute = map(int, text.split(":"))
    due = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if due <= local:
        due += timedelta(days=1)
    return due.astimezone(UTC)  # what has no zone is local, in summer and in winter


def end_of_telling(run: Run, outcomes: int = 0) -> datetime | None:
    """Returns when the telling must end so that the commit is over by the run's deadline; None where there is none.

    Args:
        run: whose manifests are read, to see how long that takes.
        outcomes: that are written where nothing is told.
    """
    if not run.deadline:
        return None
    begun = time.monotonic()
    read_all_manifests(run.output)
    seconds = COMMIT_SECONDS + READINGS * (time.monotonic() - begun) + OUTCOME_SECONDS * outcomes
    return datetime.fromisoformat(run.deadline) - timedelta(seconds=seconds)


def waves_in_time(waves: Iterable[list[Task]], end: datetime | None, late: list[Task]) -> Iterator[list[Task]]:
    """Yields the waves that will be told before the end, by those before them, and at least an empty one.

    A wave lasts until the next one is asked for. Of the first nothing is known: it is begun unless the end is over.

    Args:
        waves: of tasks.
        end: of the telling; None lets all pass.
        late: gets the tasks of the waves that will not fit.
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
    """Returns how long a wave will take: by the slowest of the last ones, without the first, which loads the networks,
    unless there is no other.

    Args:
        photos: of the wave.
        paces: seconds a photo of the waves before.
    """
    known = paces[1:][-LAST_WAVES:] or paces
    return timedelta(seconds=PIPELINE_SECONDS + DOUBT * max(known) * photos if known else 0.0)


def write_deferred(run: Run, late: Sequence[Task]) -> list[FileRecord]:
    """Returns the record of a ledger file with the outcome `deferred` of each task and style; none where nothing is
    late."""
    outcomes = [outcome for listing, _ in late for outcome in defer(listing)]
    rows = [ledger_row(outcome, run.pack["digest"], run.settings_digest) for outcome in outcomes]
    return [write_shard((0, rows), run.output, f"{run.folder}/deferred-", "ledger", 1)] if rows else []
