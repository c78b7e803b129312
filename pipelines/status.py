"""How the nightly job is doing: `python -m pipelines.status OUTPUT --max-age 26h`."""

import json
import posixpath
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import fsspec

from pipelines.cli.commands import check_output, duration, output_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.progress import describe_counts
from pipelines.tables.leases import has_ended, read_leases
from pipelines.tables.manifests import read_if_there, read_manifests

DESCRIPTION = "Says what the last runs did and how old the newest commit is."
EPILOG = (
    "Exit codes: 0 fresh; 1 no commit is young enough, or the command failed; 2 options are wrong; "
    "3 the last run failed."
)
FRESH, STALE, FAILED = 0, 1, 3
STATES = {FRESH: "fresh", STALE: "stale", FAILED: "last run failed"}

Report = dict[str, Any]


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 fresh, 1 stale, 2 wrong options, 3 where the last run failed."""
    return run_command(status, argv)


def status(argv: list[str]) -> int:
    """Returns 0, 1 or 3, after printing the state of an OUTPUT."""
    parser = output_parser("status", DESCRIPTION, EPILOG)
    parser.add_argument(
        "--max-age",
        type=duration,
        default=duration("26h"),
        metavar="AGE",
        help="oldest age of a commit, and longest of a run that is not committed (default: 26h)",
    )
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs shown (default: 5)")
    parser.add_argument("--json", action="store_true", help="prints one JSON object")
    flags = parser.parse_args(argv)
    check_output(flags.output)
    report = look(flags.output, flags.max_age, datetime.now(UTC))
    code = report["code"]
    report["runs"] = report["runs"][: flags.runs]
    print(json.dumps(report) if flags.json else as_text(report))
    return code


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
    code = FRESH if age is not None and age <= max_age else STALE
    if runs and runs[0]["state"] == "failed":
        code = FAILED
    return {
        "state": STATES[code],
        "code": code,
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
    """Returns a run without a manifest; it has failed where its lease or process is gone, or where it is too old."""
    content = read_if_there(posixpath.join(output, "runs", name, "started.json"))
    if content is None:
        return None
    try:
        started = json.loads(content)["started"]
    except ValueError:  # cut short where the disk was full
        moment = datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return {"state": "failed", "run_id": name, "started": moment.isoformat()}
    going = leased and datetime.fromisoformat(started) >= oldest
    return {"state": "going" if going else "failed", "run_id": name, "started": started}


def _start(run: Report) -> str:
    return str(run["started"])


def as_text(report: Report) -> str:
    """Returns a report as a person reads it."""
    limit = f"{report['max_age_hours']:g} hours are allowed"
    if report["newest_commit"] is None:
        lines = [f"{report['state']}: nothing was ever committed; {limit}"]
    else:
        lines = [f"{report['state']}: newest commit {report['age_hours']:.1f} hours ago; {limit}"]
    for run in report["runs"]:
        what = describe_counts(run["counts"]) if "counts" in run else "not committed"
        lines.append(f"  {run['started']}  {run['run_id']}  {run['state']}: {what}")
    return "\n".join(lines)


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
