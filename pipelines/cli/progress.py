"""What a person sees of a run: a progress line while it goes, a summary at the end."""

import logging
import posixpath
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol, TextIO

from tqdm import tqdm

from pipelines.cli.logs import LOG
from pipelines.tables.manifests import StoredFile, manifest_uri, read_batches, read_rows
from transforms.records import DEFERRED

TASTE = 3  # stories shown


class Report(Protocol):
    """Where a run tells how far it is."""

    def advance(self, photos: int, counts: dict[str, int]) -> None:
        """Adds a wave's photos and its outcomes."""

    def close(self) -> None:
        """Ends the report."""


def show_progress(total: int, log_format: str) -> Report:
    """Returns a progress line, or lines of the log where that is for machines."""
    return LoggedProgress(total) if log_format == "json" else Progress(total)


class LoggedProgress:
    """A line of the log a wave.

    Args:
        total: photos to tell.
    """

    def __init__(self, total: int) -> None:
        self._total, self._photos, self._begun = total, 0, time.monotonic()
        self._counts: Counter[str] = Counter()

    def advance(self, photos: int, counts: dict[str, int]) -> None:
        """Logs what the waves so far make together."""
        self._photos += photos
        self._counts.update(counts)
        pace = self._photos / max(1e-9, time.monotonic() - self._begun)
        told = describe_counts(dict(sorted(self._counts.items())))
        LOG.info("%s of %s photos, %.2f a second: %s", f"{self._photos:,}", f"{self._total:,}", pace, told)

    def close(self) -> None:
        """Logs nothing more."""


class Progress:
    """A progress line: photos, stories, dead letters, photos a second, and the time, which goes on within a wave.

    Args:
        total: photos to tell.
        stream: where the line goes; one that is no terminal gets a line a wave.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self._counts: Counter[str] = Counter()
        self._line = tqdm(total=total, unit="photo", desc="Telling", file=stream, dynamic_ncols=True, mininterval=0)
        self._closed = threading.Event()
        if stream.isatty():
            threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while not self._closed.wait(1.0):
            self._line.refresh()

    def advance(self, photos: int, counts: dict[str, int]) -> None:
        """Moves the line on by a wave's photos and its outcomes."""
        self._counts.update(counts)
        stories, dead = self._counts["story"], self._counts["dead_letter"]
        self._line.set_postfix_str(f"{stories:,} stories, {dead:,} dead letters", refresh=False)
        self._line.update(photos)

    def close(self) -> None:
        """Ends the line."""
        self._closed.set()
        self._line.close()


def log_dead_letters(output: str, files: Iterable[StoredFile]) -> None:
    """Logs each dead letter among the files of a run, where the log is one that tells how a run goes."""
    if not LOG.isEnabledFor(logging.INFO):
        return
    columns = ["uri", "stage", "error", "message"]
    for file in files:
        if file["table"] == "dead_letters":
            for row in (row for batch in read_batches(output, file, columns) for row in batch.to_pylist()):
                LOG.info("%s: %s", row["error"], row["message"], extra={"stage": row["stage"], "uri": row["uri"]})


def describe_counts(counts: dict[str, int]) -> str:
    """Returns counts by outcome as a person reads them."""
    plurals = {"story": "stories", "dead_letter": "dead letters"}
    singulars = {"story": "story", "dead_letter": "dead letter"}
    parts = []
    for outcome, count in counts.items():
        names = singulars if count == 1 else plurals
        parts.append(f"{count:,} {names.get(outcome, outcome)}")
    return ", ".join(parts) or "nothing was listed"


def tell_end(output: str, manifest: dict[str, Any]) -> None:
    """Logs that a run is published, and prints its summary."""
    LOG.info("Published as %s: %s", manifest["number"], describe_counts(manifest["counts"]))
    print(summary(output, manifest))


def summary(output: str, manifest: dict[str, Any]) -> str:
    """Returns the end of a run in words: counts by outcome, where the files are, and three stories as a taste."""
    lines = [f"Run {manifest['run_id']}: {describe_counts(manifest['counts'])}."]
    if deferred := manifest["counts"].get(DEFERRED):
        lines.append(f"  {deferred:,} deferred: left for a later run, which finds them as new as they were")
    tables = sorted({file["table"] for file in manifest["files"]})
    for table in tables:
        lines.append(f"  {table}: {posixpath.join(output, 'runs', manifest['run_id'], table)}")
    lines.append(f"  manifest: {manifest_uri(output, manifest['number'])}")
    for row in _taste(output, manifest):
        name = posixpath.basename(row["uri"])
        caption = row["captions"][0]["caption"] if row["captions"] else ""
        lines += ["", f"{name} ({row['style']}; nearest caption: {caption})", row["story"]]
    return "\n".join(lines)


def _taste(output: str, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns rows of three different photos, or of as many as there are."""
    rows: dict[str, dict[str, Any]] = {}
    for row in read_rows(output, manifest, "stories", ["uri", "style", "story", "captions"]):
        rows.setdefault(row["uri"], row)
        if len(rows) == TASTE:
            break
    return list(rows.values())
