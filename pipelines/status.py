"""Shows the state of the nightly job: `python -m pipelines.status OUTPUT --max-age 26h`."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

from pipelines.cli.commands import ExitCode, check_output, duration, output_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser

DESCRIPTION = "Shows the results of the last runs and the age of the newest commit."
EPILOG = (
    "Exit codes: 0 fresh; 1 no commit is recent enough, or the command failed; 2 options are wrong; "
    "3 the last run failed."
)


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 fresh, 1 stale, 2 wrong options, 3 the last run failed."""
    return run_command(status, argv)


def status(argv: list[str]) -> int:
    """Returns 0, 1 or 3, after printing the state of an OUTPUT."""
    flags = command_line().parse_args(argv)
    from pipelines.tables.state import FRESH, LAST_RUN_FAILED, STALE, look

    check_output(flags.output)
    report = look(flags.output, flags.max_age, datetime.now(UTC))
    codes = {FRESH: ExitCode.DONE, STALE: ExitCode.FAILED, LAST_RUN_FAILED: ExitCode.LAST_RUN_FAILED}
    code = codes[report["state"]]
    shown = {"state": report["state"], "code": code} | report | {"runs": report["runs"][: flags.runs]}
    print(json.dumps(shown) if flags.json else as_text(shown))
    return code


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = output_parser("status", DESCRIPTION, EPILOG)
    parser.add_argument(
        "--max-age",
        type=duration,
        default=duration("26h"),
        metavar="AGE",
        help="maximum age of the newest commit, and maximum time of an uncommitted run (default: 26h)",
    )
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="number of runs to show (default: 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def as_text(report: dict[str, Any]) -> str:
    """Returns a report as readable text."""
    from pipelines.cli.progress import describe_counts

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
