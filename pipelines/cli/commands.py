"""What the commands that look after an OUTPUT share."""

import argparse
import logging
import re
from collections.abc import Callable
from datetime import timedelta

import fsspec

from configs.schema import ConfigError
from model_handlers.pack_card import PackError
from pipelines.cli.logs import log_without_secrets, say, say_problems
from pipelines.cli.options import StrictParser
from pipelines.tables.commits import CommitConflictError

AGE = re.compile(r"(\d{1,6})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Returns the time that `7d`, `26h`, `90m` or `30s` stands for.

    Raises:
        ArgumentTypeError: it stands for none.
    """
    match = AGE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 7d, 26h, 90m or 30s")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def check_output(output: str) -> None:
    """Raises ConfigError where no run has been."""
    filesystem, path = fsspec.core.url_to_fs(output)
    if not any(filesystem.exists(f"{path.rstrip('/')}/{folder}") for folder in ("runs", "manifests")):
        raise ConfigError([f"{output}: no run has been there; name the --output of the main job"])


def output_parser(command: str, description: str, epilog: str) -> StrictParser:
    """Returns a parser whose first argument is an OUTPUT."""
    parser = StrictParser(
        prog=f"python -m pipelines.{command}", description=description, epilog=epilog, allow_abbrev=False
    )
    parser.add_argument("output", metavar="OUTPUT", help="--output of the main job, a folder or URI")
    return parser


def run_command(
    job: Callable[[list[str]], int],
    argv: list[str],
    refused: str = "Nothing was done:",
    stopped: str = "Stopped",
    failed: str = "The command failed",
) -> int:
    """Returns a command's exit code: what the job returns, 2 where options or a pack are wrong, 4 where something else
    is in its way, 1 where it failed or was stopped.

    Args:
        job: does the work.
        argv: its command line.
        refused: said before what is wrong.
        stopped: said at Ctrl-C.
        failed: said with the error.
    """
    log_without_secrets()
    try:
        return job(argv)
    except (ConfigError, PackError) as error:
        say_problems(refused, error.problems)
        return 2
    except CommitConflictError as error:
        say(error, logging.ERROR)
        return 4
    except KeyboardInterrupt:
        say(stopped, logging.ERROR)
        return 1
    except Exception:  # each store's client raises errors of its own
        logging.exception(failed)
        return 1
