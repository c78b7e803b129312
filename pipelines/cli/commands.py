"""What all commands share: parsers, errors and exit codes.

A command's module imports Beam, torch and the code of its work only when the work starts, so that help, error messages
and completion are fast.
"""

import argparse
import logging
import os
import re
import select
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
BEAM = "Apache Beam's options can follow, such as --direct_num_workers=4. "
MADE = "Exit codes: 0 it is made; 1 the command failed, and nothing was made; 2 options, inputs or a pack are wrong."
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class ExitCode(IntEnum):
    """Meaning of a command's exit code; the help of each command describes the codes that it returns.

    Attributes:
        DONE: the work is done.
        FAILED: the command failed or was stopped, or a check or comparison found a difference.
        WRONG: options, configuration, inputs or a pack are wrong.
        TOO_MANY_DEAD_LETTERS: too many photos failed for the main job to publish anything.
        LAST_RUN_FAILED: `pipelines.status` found that the last run failed.
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
"""Errors whose messages say what is wrong, and their exit codes; the code of all other errors is FAILED."""


@dataclass(frozen=True)
class EndingTexts:
    """EndingTexts that a command prints when it does not succeed.

    Attributes:
        refused: heading of the list of problems with options, inputs or pack.
        stopped: message after Ctrl-C.
        failed: text before the reason or the traceback of any other error.
    """

    refused: str = "Nothing was done:"
    stopped: str = "Stopped"
    failed: str = "The command failed"


def nothing_made(thing: str) -> EndingTexts:
    """Returns the texts of a command that makes something completely or not at all."""
    ends = (f"No {thing} was made:", f"Stopped; no {thing} was made", f"The command failed; no {thing} was made")
    return EndingTexts(*ends)


def run_command(
    job: Callable[[list[str]], int], argv: list[str], texts: EndingTexts = EndingTexts(), log_format: str = "text"
) -> int:
    """Returns a command's exit code: that of the job, or that of the error which ended it.

    Args:
        job: function that does the work and returns an exit code.
        argv: command line of the job.
        texts: texts for its errors.
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
        except BrokenPipeError as error:
            if not _nobody_reads():
                _say_failure(error, texts.failed)
        except Exception as error:  # a bug, or what no retry helps; each store's client raises errors of its own
            _say_failure(error, texts.failed)
        return ExitCode.FAILED


def _nobody_reads() -> bool:
    """Says whether the reader of our output has gone, such as `head`; what is left of the output is dropped then."""
    output = select.poll()
    output.register(1)
    if not any(events & select.POLLERR for _, events in output.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return True


def _say_error(error: Exception, refused: str) -> None:
    """Prints what is wrong: the list of all problems if the error has one."""
    if isinstance(error, ConfigError | PackError):
        say_problems(refused, error.problems)
    else:
        say(error, logging.ERROR)


def _say_failure(error: Exception, failed: str) -> None:
    """Prints why a command failed, with a traceback if the error was not expected."""
    known = reason(error)
    if known is None:
        logging.exception(failed)
    else:
        say(f"{failed}: {known}", logging.ERROR)


def command_parser(command: str, description: str, epilog: str = "") -> StrictParser:
    """Returns a command's parser, which has no flags yet."""
    return StrictParser(prog=program(command), description=description, epilog=epilog, allow_abbrev=False)


def output_parser(command: str, description: str, epilog: str) -> StrictParser:
    """Returns a parser whose first argument is an OUTPUT."""
    parser = command_parser(command, description, epilog)
    parser.add_argument("output", type=at_home, metavar="OUTPUT", help="--output of the main job, a folder or URI")
    return parser


def pack_parser(command: str, description: str, runs_networks: bool = True) -> StrictParser:
    """Returns a parser with the flags that all commands share which make a new pack from an old one.

    Args:
        command: name of the command.
        description: description of the command.
        runs_networks: whether the command is a Beam job, with a flag `--device`.
    """
    parser = command_parser(command, description, (BEAM if runs_networks else "") + MADE)
    parser.add_argument(
        "--pack",
        required=True,
        type=a_pack,
        metavar="PACK",
        help="model pack to start from: a folder, a URI or a name; it is not changed",
    )
    parser.add_argument("--output", required=True, type=at_home, metavar="DIR", help="new folder for the new pack")
    if runs_networks:
        parser.add_argument("--device", choices=DEVICES, default="auto", help="where the network runs (default: auto)")
    return parser


def check_output(output: str) -> None:
    """Raises ConfigError if no run has written to this place."""
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(output)
    if not any(filesystem.exists(f"{path.rstrip('/')}/{folder}") for folder in ("runs", "manifests")):
        why = "no run has written there" if filesystem.exists(path) else "no such folder"
        raise ConfigError([f"{output}: {why}; name the --output of the main job"])


def duration(text: str) -> timedelta:
    """Returns the duration that a text such as `7d`, `26h`, `90m` or `30s` stands for.

    Raises:
        ArgumentTypeError: the text has another form.
    """
    match = AGE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write 7d, 26h, 90m or 30s")
    return timedelta(**{UNITS[match[2]]: int(match[1])})
