"""Removes files that no reader can see: `python -m pipelines.vacuum OUTPUT [--older-than 7d] [--dry-run]`.

These are leftovers of crashed runs, and files that `pipelines.catalog forget` or `compact` replaced.
"""

import sys

from pipelines.cli.commands import ExitCode, check_output, duration, output_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser

DESCRIPTION = (
    "Removes leftovers of runs that were never committed, and replaced files; never files that a manifest names."
)
EPILOG = "Exit codes: 0 done; 1 the command failed; 2 options are wrong."


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 done, 1 failed, 2 wrong options."""
    return run_command(vacuum, argv)


def vacuum(argv: list[str]) -> int:
    """Returns 0, after removing or listing the files that are not needed."""
    flags = command_line().parse_args(argv)
    from pipelines.tables.maintain import find_leftovers, remove
    from pipelines.tables.manifests import refresh_current

    check_output(flags.output)
    if not flags.dry_run:
        refresh_current(flags.output)
    paths = find_leftovers(flags.output, flags.older_than)
    for path in paths:
        print(path)
    if not flags.dry_run:
        remove(flags.output, paths)
    print(f"{len(paths):,} files {'would be' if flags.dry_run else 'were'} removed", file=sys.stderr)
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = output_parser("vacuum", DESCRIPTION, EPILOG)
    parser.add_argument(
        "--older-than",
        type=duration,
        default=duration("7d"),
        metavar="AGE",
        help="keep younger leftovers, which an active run or reader may still need (default: 7d)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only list what would be removed")
    return parser


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
