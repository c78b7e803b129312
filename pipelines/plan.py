"""Plans a night: `python -m pipelines.plan`, with the options of the main job."""

import argparse
import json
import sys

from configs.values import at_home
from pipelines.cli.commands import EndingTexts, ExitCode, duration, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser, asks_for_help, at_least_one, flag_parser, program
from pipelines.cli.options import parse

DESCRIPTION = (
    "Estimates what the main job would need with the same options: lists the photos, leaves out what is done, measures "
    "each step on a sample of the rest on this machine, and estimates hours, workers and, from your prices, cost. "
    "Writes nothing and takes no lease."
)
EPILOG = (
    "All of Apache Beam's options can follow; they are checked as in the main job. Exit codes: 0 planned; 1 the "
    "command failed; 2 options, config, prices or pack are wrong."
)


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 planned, 1 failed, 2 wrong configuration."""
    return run_command(plan, argv, EndingTexts("Nothing was planned:"))


def command_line() -> StrictParser:
    """Returns the parser of the options: those of the main job, and the plan's own."""
    return flag_parser(program("plan"), DESCRIPTION, [own_flags()], EPILOG)


def own_flags() -> argparse.ArgumentParser:
    """Returns the parser of the flags that the main job does not have."""
    parser = StrictParser(add_help=False, allow_abbrev=False)
    group = parser.add_argument_group("options of the plan")
    group.add_argument(
        "--photos", type=at_least_one, default=50, metavar="N", help="number of photos to measure (default: 50)"
    )
    group.add_argument(
        "--workers",
        type=at_least_one,
        metavar="N",
        help="workers that share the work (default: 10, or as many as --within needs)",
    )
    group.add_argument(
        "--within",
        type=duration,
        metavar="TIME",
        help="show how many workers finish within this time, such as 5h or 90m",
    )
    group.add_argument(
        "--prices",
        type=at_home,
        metavar="FILE",
        help="YAML file with your prices and a worker's size; copy configs/prices.yaml",
    )
    group.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def plan(argv: list[str]) -> int:
    """Returns 0, after printing what the main job would need.

    Raises:
        ConfigError: options, configuration, prices or pack are wrong.
    """
    if asks_for_help(argv):
        command_line().parse_args(["--help"])
    flags, rest = own_flags().parse_known_args(argv)
    from configs.prices import load_prices
    from pipelines.cli.runners import is_local
    from pipelines.nightly.main_job import check
    from pipelines.planning.plan_figures import Wanted
    from pipelines.planning.plan_report import as_text
    from pipelines.planning.planned_night import plan_night

    prices = load_prices(flags.prices) if flags.prices else None
    config, options = parse(rest, program("plan"), DESCRIPTION)
    settings = check(config, options)
    wanted = Wanted(flags.workers, flags.within and flags.within.total_seconds(), prices, flags.prices or "")
    report = plan_night(settings, flags.photos, wanted, is_local(options))
    print(json.dumps(report) if flags.json else as_text(report))
    return ExitCode.DONE


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
