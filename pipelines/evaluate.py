"""Measures a model pack's quality: `python -m pipelines.evaluate TASK --pack PACK ...`."""

import contextlib
import json
import sys

from pipelines.cli.commands import EndingTexts, ExitCode, command_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser
from pipelines.evaluation.task_options import TASK_OPTIONS, add_common_options

DESCRIPTION = "Measures the quality of a model pack, and prints the figures beside published ones."
EPILOG = "Exit codes: 0 measured; 1 the evaluation failed; 2 options, data or pack are wrong."


def command_line() -> StrictParser:
    """Returns the parser of the options; each task has options of its own."""
    parser = command_parser("evaluate", DESCRIPTION, EPILOG)
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK", title="tasks")
    for name, (text, add_own_options) in TASK_OPTIONS.items():
        task = tasks.add_parser(name, help=text, description=f"Measures {text}.", allow_abbrev=False)
        add_common_options(task)
        add_own_options(task)
    return parser


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 measured, 2 options, data or pack are wrong, 1 any other failure."""
    return run_command(_run, argv, EndingTexts("Nothing was measured:", failed="The evaluation failed"))


def _run(argv: list[str]) -> int:
    flags = command_line().parse_args(argv)
    from pipelines.evaluation.table import make_table
    from pipelines.evaluation.tasks import TASKS

    task = TASKS[flags.task]
    with contextlib.redirect_stdout(sys.stderr):  # stdout is only for the figures
        figures = task.run(flags)
    print(json.dumps(figures, allow_nan=False) if flags.json else make_table(figures, task.published))
    return ExitCode.DONE


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
