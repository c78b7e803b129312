"""What a model pack is worth: `python -m pipelines.evaluate TASK --pack PACK ...`."""

import contextlib
import json
import logging
import sys

from configs.schema import ConfigError
from model_handlers.pack_card import PackError
from pipelines.cli.ending import end_process
from pipelines.cli.logs import log_without_secrets, say_problems
from pipelines.cli.options import StrictParser
from pipelines.evaluation.table import make_table
from pipelines.evaluation.task import EvaluationTask, add_common_options
from pipelines.evaluation.tasks import TASKS

DESCRIPTION = "Measures a model pack, and prints the figures beside published ones."


def parser(tasks: dict[str, EvaluationTask]) -> StrictParser:
    """Returns the command line's options, those of each task behind its name."""
    options = StrictParser(prog="python -m pipelines.evaluate", description=DESCRIPTION, allow_abbrev=False)
    named = options.add_subparsers(dest="task", required=True, metavar="TASK", title="tasks")
    for name, task in tasks.items():
        own = named.add_parser(name, help=task.help, description=task.help, allow_abbrev=False)
        add_common_options(own)
        task.add_options(own)
    return options


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 measured, 2 where options, data or pack are wrong, 1 where anything else failed."""
    log_without_secrets()
    try:
        flags = parser(TASKS).parse_args(argv)
        task = TASKS[flags.task]
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the figures alone
            figures = task.run(flags)
        print(json.dumps(figures, allow_nan=False) if flags.json else make_table(figures, task.published))
    except (ConfigError, PackError) as error:
        say_problems("Nothing was measured:", error.problems)
        return 2
    except Exception:
        logging.exception("The evaluation failed")
        return 1
    return 0


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
