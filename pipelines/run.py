"""Runs the main job: `python -m pipelines.run --input 'gs://photos/2026/**' --output gs://stories --style romance`."""

import sys

from pipelines.cli.ending import end_process
from pipelines.cli.flags import DESCRIPTION, StrictParser, asks_for_help, flag_parser, program


def main(argv: list[str]) -> int:
    """Returns the exit code.

    0 published, 1 failed, 2 wrong configuration, 3 too many dead letters, 4 another run processed the same photos.
    """
    if asks_for_help(argv):
        command_line().parse_args(["--help"])
    from pipelines.nightly.main_job import main as run_job

    return run_job(argv)


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    return flag_parser(program("run"), DESCRIPTION)


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
