"""Committing a run: its manifest appears whole or not at all, and what the ledgers of committed runs say."""

import json
import posixpath
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pipelines.manifests import (
    as_they_stand,
    last_number,
    put_manifest,
    read_all_manifests,
    read_rows,
    refresh_after_commit,
)
from transforms.storage import write_whole
from transforms.write import FileRecord

SMALLEST_REFUSAL = 50  # dead letters below which no ratio stops a run


class TooManyDeadLettersError(Exception):
    """More photos failed than `max_dead_letter_ratio` allows; nothing is published."""


class CommitConflictError(Exception):
    """Another run committed the same photos meanwhile; nothing is published."""


@dataclass(frozen=True)
class Run:
    """One run, as its manifest will tell it.

    Attributes:
        output: OUTPUT, a folder or URI.
        run_id: names the run's folder.
        started: UTC, ISO 8601.
        settings: the full configuration.
        settings_digest: of what can change a text.
        pack: location, name and digest of the pack.
        max_dead_letter_ratio: dead letters over photos attempted.
        after: number of the last manifest when the run began; later ones may have told the same photos.
    """

    output: str
    run_id: str
    started: str
    settings: dict[str, Any]
    settings_digest: str
    pack: dict[str, str]
    max_dead_letter_ratio: float
    after: int = 0

    @property
    def folder(self) -> str:
        return f"runs/{self.run_id}"

    @property
    def scratch(self) -> str:
        """URI of the files that the run needs only while it goes."""
        return posixpath.join(self.output, self.folder, "scratch")


def now() -> str:
    """Returns the time, UTC, ISO 8601 with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_id() -> str:
    """Returns a name that nothing else has, and that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def start(run: Run) -> None:
    """Leaves `started.json` in the run's folder."""
    uri = posixpath.join(run.output, run.folder, "started.json")
    write_whole(uri, json.dumps(asdict(run), indent=1).encode())


def commit(run: Run, files: Sequence[FileRecord], attempts: int = 20) -> dict[str, Any]:
    """Returns the run's manifest, written under the next free number; a second call finds the first one's.

    Raises:
        TooManyDeadLettersError: the ratio is over the limit.
        CommitConflictError: a run that was committed meanwhile told some of the same photos.
    """
    for _ in range(attempts):
        known = read_all_manifests(run.output)
        mine = [manifest for manifest in known if manifest["run_id"] == run.run_id]
        manifest = mine[0] if mine else _put_next(run, files, known)
        if manifest is not None:
            refresh_after_commit(run.output)
            return manifest
    raise CommitConflictError(f"{run.output}: {attempts} other runs took the next number first; run again")


def _put_next(run: Run, files: Sequence[FileRecord], known: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Returns the run's manifest, written under the number after the known ones; None where another took it first."""
    manifest = _manifest(run, files, last_number(known) + 1)
    letters = sum(file.rows for file in files if file.table == "dead_letters")
    check_ratio(manifest["counts"], letters, run.max_dead_letter_ratio)
    _refuse_overlap(run, manifest, as_they_stand(known))
    return manifest if put_manifest(run.output, manifest) else None


def _manifest(run: Run, files: Sequence[FileRecord], number: int) -> dict[str, Any]:
    described = [asdict(file) for file in sorted(files, key=_path)]
    counts = count_outcomes(files)
    return {"number": number, "committed": now(), **asdict(run), "counts": counts, "files": described}


def _path(file: FileRecord) -> str:
    return file.path


def count_outcomes(files: Sequence[FileRecord]) -> dict[str, int]:
    """Returns the ledger rows of a run by outcome."""
    counts: Counter[str] = Counter()
    for file in files:
        counts.update(dict(file.counts))
    return dict(sorted(counts.items()))


def check_ratio(counts: dict[str, int], letters: int, limit: float) -> None:
    """Raises TooManyDeadLettersError where dead letters over photos attempted are above the limit.

    Args:
        counts: outcomes, one a photo and style.
        letters: dead letters, one a photo where no style could be told.
        limit: the highest share allowed, from 50 dead letters on.
    """
    dead, told = counts.get("dead_letter", 0), counts.get("story", 0)
    if letters >= SMALLEST_REFUSAL and dead > limit * (dead + told):
        raise TooManyDeadLettersError(
            f"{letters} dead letters: {dead} of {dead + told} stories are missing, more than --max-dead-letter-ratio "
            f"{limit} allows; nothing is published"
        )


def _refuse_overlap(run: Run, ours: dict[str, Any], others: Sequence[dict[str, Any]]) -> None:
    """Raises CommitConflictError where a run that was committed since this one began settled the same as this one."""
    others = [manifest for manifest in others if manifest["number"] > run.after and comparable(run, manifest)]
    mine = set(done_in(run.output, ours)) if others else set()
    for manifest in others:
        shared = mine.intersection(done_in(run.output, manifest))
        if shared:
            uri, _, style = min(shared)
            raise CommitConflictError(
                f"run {manifest['run_id']} committed {len(shared)} of the same stories meanwhile, such as {uri} "
                f"({style}); nothing is published. Run again: what is done will be left alone"
            )


def done_in(output: str, manifest: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yields (uri, version, style) of what a committed run has settled: stories, and dead letters that no other night
    would change."""
    retryable = {
        (row["uri"], row["version"])
        for row in read_rows(output, manifest, "dead_letters", ["uri", "version", "retryable"])
        if row["retryable"]
    }
    for row in read_rows(output, manifest, "ledger", ["uri", "version", "style", "outcome"]):
        settled = row["outcome"] == "story" or (
            row["outcome"] == "dead_letter" and (row["uri"], row["version"]) not in retryable
        )
        if settled:
            yield row["uri"], row["version"], row["style"]


def comparable(run: Run, manifest: dict[str, Any]) -> bool:
    """Tells whether a committed run used the same pack and the settings that decide a text."""
    same_pack = manifest["pack"]["digest"] == run.pack["digest"]
    return same_pack and manifest["settings_digest"] == run.settings_digest
