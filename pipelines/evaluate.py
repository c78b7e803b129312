"""What a model pack is worth: `python -m pipelines.evaluate TASK --pack PACK ...`."""

import contextlib
import json
import sys

from pipelines.cli.commands import ExitCode, Texts, command_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser
from pipelines.evaluation.table import make_table
from pipelines.evaluation.task import EvaluationTask, add_common_options
from pipelines.evaluation.tasks import TASKS

DESCRIPTION = "Measures a model pack, and prints the figures beside published ones."


def parser(tasks: dict[str, EvaluationTask]) -> StrictParser:
    """Returns the command line's options, those of each task behind its name."""
    options = command_parser("evaluate", DESCRIPTION)
    named = options.add_subparsers(dest="task", required=True, metavar="TASK", title="tasks")
    for name, task in tasks.items():
        own = named.add_parser(name, help=task.help, description=task.help, allow_abbrev=False)
        add_common_options(own)
        task.add_options(own)
    return options


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 measured, 2 where options, data or pack are wrong, 1 where anything else failed."""
    return run_command(_run, argv, Texts("Nothing was measured:", failed="The evaluation failed"))


def _run(argv: list[str]) -> int:
    flags = parser(TASKS).parse_args(argv)
    task = TASKS[flags.task]
    with contextlib.redirect_stdout(sys.stderr):  # stdout is only for the figures
        figures = task.run(flags)
    print(json.dumps(figures, allow_nan=False) if flags.json else make_table(figures, task.published))
    return ExitCode.DONE


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
