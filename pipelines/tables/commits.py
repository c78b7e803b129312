"""Committing a run by one manifest, written whole or not at all; reading the ledgers of committed runs."""

import json
import posixpath
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipelines.tables.manifests import (
    as_they_stand,
    last_number,
    put_manifest,
    read_all_manifests,
    read_rows,
    refresh_after_commit,
)
from pipelines.tables.refusals import CommitConflictError, TooManyDeadLettersError
from transforms.due_rules import FAILED, MAY_PASS, TOLD, Attempt
from transforms.write import FileRecord
from transforms.write_whole import write_whole

SMALLEST_REFUSAL = 50  # dead letters below which no ratio stops a run


@dataclass(frozen=True)
class Run:
    """One run, as its manifest will describe it.

    Attributes:
        output: OUTPUT, a folder or URI.
        run_id: id of the run, and name of its folder.
        started: start of the run, UTC, ISO 8601.
        settings: full configuration.
        settings_digest: digest of the settings that can change a text.
        pack: location, name and digest of the pack.
        max_dead_letter_ratio: highest share of dead letters among the photos attempted.
        after: number of the last manifest when the run started; later ones may hold stories of the same photos.
        networks: digests of the networks whose feature vectors and captions the run keeps, as in Networks.
        deadline: when the run must be over, UTC, ISO 8601; empty without a deadline.
    """

    output: str
    run_id: str
    started: str
    settings: dict[str, Any]
    settings_digest: str
    pack: dict[str, str]
    max_dead_letter_ratio: float
    after: int = 0
    networks: dict[str, str] = field(default_factory=dict)
    deadline: str = ""

    @property
    def folder(self) -> str:
        """Path of the run's own files below OUTPUT."""
        return f"runs/{self.run_id}"

    @property
    def scratch(self) -> str:
        """URI of the files that are needed only during the run."""
        return posixpath.join(self.output, self.folder, "scratch")


def now() -> str:
    """Returns the current time, UTC, ISO 8601 with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_id() -> str:
    """Returns a unique name that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def start(run: Run) -> None:
    """Writes `started.json` into the run's folder."""
    uri = posixpath.join(run.output, run.folder, "started.json")
    write_whole(uri, json.dumps(asdict(run), indent=1).encode())


def commit(
    run: Run, files: Sequence[FileRecord], metrics: dict[str, Any] | None = None, attempts: int = 20
) -> dict[str, Any]:
    """Returns the run's manifest, written under the next free number; a second call finds that of the first.

    Args:
        run: the run to commit.
        files: all files that the run wrote.
        metrics: sums of the run's counters, if the runner leaves them to the driver.
        attempts: how many numbers are tried.

    Raises:
        TooManyDeadLettersError: the ratio is over the limit.
        CommitConflictError: a run that was committed in the meantime processed some of the same photos.
    """
    for _ in range(attempts):
        known = read_all_manifests(run.output)
        mine = [manifest for manifest in known if manifest["run_id"] == run.run_id]
        manifest = mine[0] if mine else _put_next(run, files, known, metrics)
        if manifest is not None:
            refresh_after_commit(run.output)
            return manifest
    raise CommitConflictError(f"{run.output}: {attempts} other runs took the next number first; run again")


def _put_next(
    run: Run, files: Sequence[FileRecord], known: Sequence[dict[str, Any]], metrics: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Returns the run's manifest, written under the next number; None if another run took it first."""
    manifest = _manifest(run, files, last_number(known) + 1) | ({"metrics": metrics} if metrics is not None else {})
    letters = sum(file.rows for file in files if file.table == "dead_letters")
    earlier = as_they_stand(known)
    try:
        check_ratio(manifest["counts"], letters, run.max_dead_letter_ratio)
    except TooManyDeadLettersError:
        again, letters_again = _failed_before(run, manifest, earlier)
        if not again:
            raise
        counts = manifest["counts"] | {"dead_letter": manifest["counts"]["dead_letter"] - again}
        check_ratio(counts, letters - letters_again, run.max_dead_letter_ratio)
    _refuse_overlap(run, manifest, earlier)
    return manifest if put_manifest(run.output, manifest) else None


def _manifest(run: Run, files: Sequence[FileRecord], number: int) -> dict[str, Any]:
    described = [asdict(file) for file in sorted(files, key=_path)]
    counts = count_outcomes(files)
    return {"number": number, "committed": now(), **asdict(run), "counts": counts, "files": described}


def _path(file: FileRecord) -> str:
    return file.path


def count_outcomes(files: Sequence[FileRecord]) -> dict[str, int]:
    """Returns the number of a run's ledger rows by outcome."""
    counts: Counter[str] = Counter()
    for file in files:
        counts.update(dict(file.counts))
    return dict(sorted(counts.items()))


def check_ratio(counts: dict[str, int], letters: int, limit: float) -> None:
    """Raises TooManyDeadLettersError if the share of dead letters among the photos attempted is above the limit.

    Args:
        counts: number of outcomes, one for each photo and style.
        letters: number of dead letters; a photo that fails in every style has one.
        limit: highest share allowed, from 50 dead letters on.
    """
    dead, stories = counts.get("dead_letter", 0), counts.get("story", 0)
    if letters >= SMALLEST_REFUSAL and dead > limit * (dead + stories):
        raise TooManyDeadLettersError(
            f"{letters} dead letters: {dead} of {dead + stories} stories are missing, more than "
            f"--max-dead-letter-ratio {limit} allows; nothing is published"
        )


def _failed_before(run: Run, ours: dict[str, Any], others: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Returns how many dead letters, of the ledger and of photos, also failed in an earlier run.

    A night that mostly repeats earlier failures is no worse than the one that published them.
    """
    names = ["uri", "version"]
    mine = Counter(
        (row["uri"], row["version"])
        for row in read_rows(run.output, ours, "ledger", [*names, "outcome"])
        if row["outcome"] == FAILED
    )
    known = {
        (row["uri"], row["version"])
        for manifest in others
        if comparable(run, manifest)
        for row in read_rows(run.output, manifest, "dead_letters", names)
    }
    letters = Counter((row["uri"], row["version"]) for row in read_rows(run.output, ours, "dead_letters", names))
    return sum(mine[name] for name in known), sum(letters[name] for name in known)


def _refuse_overlap(run: Run, ours: dict[str, Any], others: Sequence[dict[str, Any]]) -> None:
    """Raises CommitConflictError if a run committed since this one started settled some of the same stories."""
    others = [manifest for manifest in others if manifest["number"] > run.after and comparable(run, manifest)]
    mine = set(done_in(run.output, ours)) if others else set()
    for manifest in others:
        shared = mine.intersection(done_in(run.output, manifest))
        if shared:
            uri, _, style = min(shared)
            raise CommitConflictError(
                f"run {manifest['run_id']} committed {len(shared)} of the same stories meanwhile, such as {uri} "
                f"({style}); nothing is published. Run again: finished stories will be left as they are"
            )


def done_in(output: str, manifest: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yields (uri, version, style) of what a committed run has settled.

    These are stories, and dead letters that another try would not change.
    """
    for attempt in attempts_in(output, manifest):
        if attempt.result != MAY_PASS:
            yield attempt.uri, attempt.version, attempt.style


def attempts_in(output: str, manifest: dict[str, Any]) -> Iterator[Attempt]:
    """Yields the attempts of a committed run, with their results."""
    retryable = {
        (row["uri"], row["version"])
        for row in read_rows(output, manifest, "dead_letters", ["uri", "version", "retryable"])
        if row["retryable"]
    }
    for row in read_rows(output, manifest, "ledger", ["uri", "version", "style", "outcome"]):
        result = row["outcome"]
        if result == FAILED and (row["uri"], row["version"]) in retryable:
            result = MAY_PASS
        if result in (TOLD, FAILED, MAY_PASS):
            yield Attempt(row["uri"], row["version"], row["style"], result, manifest["number"])


def comparable(run: Run, manifest: dict[str, Any]) -> bool:
    """Returns whether a committed run used the same pack and the same settings that can change a text."""
    same_pack = manifest["pack"]["digest"] == run.pack["digest"]
    return bool(same_pack and manifest["settings_digest"] == run.settings_digest)
