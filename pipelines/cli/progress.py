"""Progress and results of a run for people: a progress line during the run, a summary at the end."""

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

SHOWN = 3  # stories in the summary


class Report(Protocol):
    """Receiver of a run's progress."""

    def advance(self, photos: int, counts: dict[str, int]) -> None:
        """Adds a wave's photos and its outcomes."""

    def close(self) -> None:
        """Ends the report."""


def show_progress(total: int, log_format: str) -> Report:
    """Returns a progress line, or a report as log lines if the log format is `json`."""
    return LoggedProgress(total) if log_format == "json" else Progress(total)


class LoggedProgress:
    """Report of one log line for each wave.

    Args:
        total: number of photos to process.
    """

    def __init__(self, total: int) -> None:
        self._total, self._photos, self._begun = total, 0, time.monotonic()
        self._counts: Counter[str] = Counter()

    def advance(self, photos: int, counts: dict[str, int]) -> None:
        """Logs the totals of the waves so far."""
        self._photos += photos
        self._counts.update(counts)
        pace = self._photos / max(1e-9, time.monotonic() - self._begun)
        told = describe_counts(dict(sorted(self._counts.items())))
        LOG.info("%s of %s photos, %.2f a second: %s", f"{self._photos:,}", f"{self._total:,}", pace, told)

    def close(self) -> None:
        """Does nothing: each line is complete."""


class Progress:
    """Report as a progress line: photos, stories, dead letters, photos a second, and a clock that also runs in a wave.

    Args:
        total: number of photos to process.
        stream: output of the line; if it is not a terminal, each wave writes a new line.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self._counts: Counter[str] = Counter()
        self._line = tqdm(total=total, unit="photo", desc="Stories", file=stream, dynamic_ncols=True, mininterval=0)
        self._closed = threading.Event()
        if stream.isatty():
            threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while not self._closed.wait(1.0):
            self._line.refresh()

    def advance(self, photos: int, counts: dict[str, int]) -> None:
        """Advances the line by a wave's photos and its outcomes."""
        self._counts.update(counts)
        stories, dead = self._counts["story"], self._counts["dead_letter"]
        self._line.set_postfix_str(f"{stories:,} stories, {dead:,} dead letters", refresh=False)
        self._line.update(photos)

    def close(self) -> None:
        """Ends the line."""
        self._closed.set()
        self._line.close()


def log_dead_letters(output: str, files: Iterable[StoredFile]) -> None:
    """Logs each dead letter among the files of a run, if the log is one that includes a run's progress."""
    if not LOG.isEnabledFor(logging.INFO):
        return
    columns = ["uri", "stage", "error", "message"]
    for file in files:
        if file["table"] == "dead_letters":
            for row in (row for batch in read_batches(output, file, columns) for row in batch.to_pylist()):
                LOG.info("%s: %s", row["error"], row["message"], extra={"stage": row["stage"], "uri": row["uri"]})


def describe_counts(counts: dict[str, int]) -> str:
    """Returns counts by outcome as a readable text."""
    plurals = {"story": "stories", "dead_letter": "dead letters"}
    singulars = {"story": "story", "dead_letter": "dead letter"}
    parts = []
    for outcome, count in counts.items():
        names = singulars if count == 1 else plurals
        parts.append(f"{count:,} {names.get(outcome, outcome)}")
    return ", ".join(parts) or "nothing was listed"


def report_end(output: str, manifest: dict[str, Any]) -> None:
    """Logs that a run is published, and prints its summary."""
    LOG.info("Published as %s: %s", manifest["number"], describe_counts(manifest["counts"]))
    print(summary(output, manifest))


def summary(output: str, manifest: dict[str, Any]) -> str:
    """Returns the summary of a run: counts by outcome, the places of its files, and three of its stories."""
    lines = [f"Run {manifest['run_id']}: {describe_counts(manifest['counts'])}."]
    if deferred := manifest["counts"].get(DEFERRED):
        lines.append(f"  {deferred:,} deferred: left for a later run, which finds them still new")
    tables = sorted({file["table"] for file in manifest["files"]})
    for table in tables:
        lines.append(f"  {table}: {posixpath.join(output, 'runs', manifest['run_id'], table)}")
    lines.append(f"  manifest: {manifest_uri(output, manifest['number'])}")
    for row in _examples(output, manifest):
        name = posixpath.basename(row["uri"])
        caption = row["captions"][0]["caption"] if row["captions"] else ""
        lines += ["", f"{name} ({row['style']}; nearest caption: {caption})", row["story"]]
    return "\n".join(lines)


def _examples(output: str, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns rows of three different photos, or of all photos if there are fewer."""
    rows: dict[str, dict[str, Any]] = {}
    for row in read_rows(output, manifest, "stories", ["uri", "style", "story", "captions"]):
        rows.setdefault(row["uri"], row)
        if len(rows) == SHOWN:
            break
    return list(rows.values())
