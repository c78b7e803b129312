"""What a person sees of a run: a progress line while it goes, a summary at the end."""

import posixpath
import sys
import threading
from collections import Counter
from typing import Any, TextIO

from tqdm import tqdm

from pipelines.manifests import manifest_uri, read_rows
from transforms.records import DEFERRED

TASTE = 3  # stories shown


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


def describe_counts(counts: dict[str, int]) -> str:
    """Returns counts by outcome as a person reads them."""
    plurals = {"story": "stories", "dead_letter": "dead letters"}
    singulars = {"story": "story", "dead_letter": "dead letter"}
    parts = []
    for outcome, count in counts.items():
        names = singulars if count == 1 else plurals
        parts.append(f"{count:,} {names.get(outcome, outcome)}")
    return ", ".join(parts) or "nothing was listed"


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
