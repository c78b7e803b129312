"""The one way that commands begin and end: their parsers, their errors and their exit codes.

A command's module loads Beam, torch and what does its work only when it begins: help, mistakes and completion come at
once.
"""

import argparse
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from configs.schema import ConfigError
from configs.values import at_home
from model_handlers.pack_card import PackError
from pipelines.cli.failures import reason
from pipelines.cli.flags import DEVICES, StrictParser, a_pack, program
from pipelines.cli.logs import logging_as, say, say_problems
from pipelines.tables.refusals import CommitConflictError, TooManyDeadLettersError

AGE = re.compile(r"(\d{1,6})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class ExitCode(IntEnum):
    """What a command's exit code says; a command's help has its own words for those that it gives.

    Attributes:
        DONE: the work is done.
        FAILED: the command failed or was stopped, or what it compares or checks is not as it should be.
        WRONG: options, configuration, inputs or a pack are wrong.
        TOO_MANY_DEAD_LETTERS: more photos failed than the main job may publish with.
        LAST_RUN_FAILED: `pipelines.status` says so.
        CONFLICT: another run or command is in the way.
    """

    DONE = 0
    FAILED = 1
    WRONG = 2
    TOO_MANY_DEAD_LETTERS = 3
    LAST_RUN_FAILED = 3
    CONFLICT = 4


CODES: dict[type[Exception], ExitCode] = {
    ConfigError: ExitCode.WRONG,
    PackError: ExitCode.WRONG,
    TooManyDeadLettersError: ExitCode.TOO_MANY_DEAD_LETTERS,
    CommitConflictError: ExitCode.CONFLICT,
}
"""The errors that say what is wrong by themselves, and their exit codes; any other is FAILED."""


@dataclass(frozen=True)
class Texts:
    """What a command says where it does not end well.

    Attributes:
        refused: before the list of what is wrong with options, inputs or pack.
        stopped: at Ctrl-C.
        failed: before the reason, or with the traceback, of any other error.
    """

    refused: str = "Nothing was done:"
    stopped: str = "Stopped"
    failed: str = "The command failed"


def nothing_made(thing: str) -> Texts:
    """Returns what a command says that makes a thing whole or not at all."""
    ends = (f"No {thing} was made:", f"Stopped; no {thing} was made", f"The command failed; no {thing} was made")
    return Texts(*ends)


def run_command(
    job: Callable[[list[str]], int], argv: list[str], texts: Texts = Texts(), log_format: str = "text"
) -> int:
    """Returns a command's exit code: what the job returns, or that of the error which ended it.

    Args:
        job: does the work.
        argv: its command line.
        texts: what it says of its errors.
        log_format: `text` or `json`.
    """
    with logging_as(log_format):
        try:
            return job(argv)
        except tuple(CODES) as error:
            _say_error(error, texts.refused)
            return next(code for kind, code in CODES.items() if isinstance(error, kind))
        except KeyboardInterrupt:
            say(texts.stopped, logging.ERROR)
        except Exception as error:  # a bug, or what no retry helps; each store's client raises errors of its own
            _say_failure(error, texts.failed)
        return ExitCode.FAILED


def _say_error(error: Exception, refused: str) -> None:
    """Says what is wrong: the list of all problems where the error has one."""
    if isinstance(error, ConfigError | PackError):
        say_problems(refused, error.problems)
    else:
        say(error, logging.ERROR)


def _say_failure(error: Exception, failed: str) -> None:
    """Says why a command failed: with a traceback where nobody foresaw it."""
    known = reason(error)
    if known is None:
        logging.exception(failed)
    else:
        say(f"{failed}: {known}", logging.ERROR)


def command_parser(command: str, description: str, epilog: str = "") -> StrictParser:
    """Returns the parser of a command's flags, without any yet."""
    return StrictParser(prog=program(command), description=description, epilog=epilog, allow_abbrev=False)


def output_parser(command: str, description: str, epilog: str) -> StrictParser:
    """Returns a parser whose first argument is an OUTPUT."""
    parser = command_parser(command, description, epilog)
    parser.add_argument("output", type=at_home, metavar="OUTPUT", help="--output of the main job, a folder or URI")
    return parser


def pack_parser(command: str, description: str, runs_networks: bool = True) -> StrictParser:
    """Returns a parser of the flags of all commands that make a new pack from an old one.

    Args:
        command: name.
        description: what it does.
        runs_networks: there is a flag `--device`.
    """
    parser = command_parser(command, description)
    parser.add_argument(
        "--pack",
        required=True,
        type=a_pack,
        metavar="PACK",
        help="model pack to start from, a folder, a URI or a name; it stays as it is",
    )
    parser.add_argument("--output", required=True, type=at_home, metavar="DIR", help="new folder for the new pack")
    if runs_networks:
        parser.add_argument("--device", choices=DEVICES, default="auto", help="where the network runs (default: auto)")
    return parser


def check_output(output: str) -> None:
    """Raises ConfigError where no run has been."""
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(output)
    if not any(filesystem.exists(f"{path.rstrip('/')}/{folder}") for folder in ("runs", "manifests")):
        raise ConfigError([f"{output}: no run has been there; name the --output of the main job"])


def duration(text: str) -> timedelta:
    """Returns the time that `7d`, `26h`, `90m` or `30s` stands for.

    Raises:
        ArgumentTypeError: it stands for none.
    """
    match = AGE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 7d, 26h, 90m or 30s")
    return timedelta(**{UNITS[match[2]]: int(match[1])})
