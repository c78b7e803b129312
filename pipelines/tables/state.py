"""The state of an OUTPUT: the age of its newest commit, and the outcome of each run."""

import json
import posixpath
from datetime import UTC, datetime, timedelta
from typing import Any

import fsspec

from pipelines.tables.leases import has_ended, read_leases
from pipelines.tables.manifests import read_if_there, read_manifests

FRESH, STALE, LAST_RUN_FAILED = "fresh", "stale", "last run failed"

Report = dict[str, Any]


def look(output: str, max_age: timedelta, moment: datetime) -> Report:
    """Returns the state of an OUTPUT at a moment, with its runs, newest first."""
    started = _started_runs(output)  # before the manifests are read: a run that is committed in between counts as such
    leased = {lease.run_id for lease in read_leases(output) if not has_ended(lease.process)}
    committed = [_committed_run(manifest) for manifest in read_manifests(output)]
    names = {run["run_id"] for run in committed}
    oldest = moment - max_age
    others = [_open_run(output, name, name in leased, oldest) for name in started if name not in names]
    runs = sorted([*committed, *(run for run in others if run)], key=_start, reverse=True)
    newest = max((datetime.fromisoformat(run["committed"]) for run in committed), default=None)
    age = None if newest is None else moment - newest
    state = FRESH if age is not None and age <= max_age else STALE
    if runs and runs[0]["state"] == "failed":
        state = LAST_RUN_FAILED
    return {
        "state": state,
        "newest_commit": newest and newest.isoformat(),
        "age_hours": age and round(age / timedelta(hours=1), 2),
        "max_age_hours": max_age / timedelta(hours=1),
        "runs": runs,
    }


def _started_runs(output: str) -> list[str]:
    filesystem, path = fsspec.core.url_to_fs(posixpath.join(output, "runs"))
    try:
        return [posixpath.basename(name.rstrip("/")) for name in filesystem.ls(path, detail=False, refresh=True)]
    except FileNotFoundError:
        return []


def _committed_run(manifest: dict[str, Any]) -> Report:
    names = ("run_id", "started", "committed", "number", "counts")
    return {"state": "committed"} | {name: manifest[name] for name in names}


def _open_run(output: str, name: str, leased: bool, oldest: datetime) -> Report | None:
    """Returns a run without a manifest; it has failed if its lease or process is gone, or if it is too old."""
    content = read_if_there(posixpath.join(output, "runs", name, "started.json"))
    if content is None:
        return None
    try:
        started = json.loads(content)["started"]
    except ValueError:  # truncated because the disk was full
        moment = datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return {"state": "failed", "run_id": name, "started": moment.isoformat()}
    going = leased and datetime.fromisoformat(started) >= oldest
    return {"state": "going" if going else "failed", "run_id": name, "started": started}


def _start(run: Report) -> str:
    return str(run["started"])
