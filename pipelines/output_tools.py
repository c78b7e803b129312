"""What the commands that look after an OUTPUT share."""

import argparse
import logging
import re
import sys
from collections.abc import Callable
from datetime import timedelta

import fsspec

from configs.schema import ConfigError
from pipelines.commits import CommitConflictError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Returns the time that `7d`, `26h`, `90m` or `30s` stands for.

    Raises:
        ArgumentTypeError: it stands for none.
    """
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 7d, 26h, 90m or 30s")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def check_output(output: str) -> None:
    """Raises ConfigError where no run has been."""
    filesystem, path = fsspec.core.url_to_fs(output)
    if not any(filesystem.exists(f"{path.rstrip('/')}/{folder}") for folder in ("runs", "manifests")):
        raise ConfigError([f"{output}: no run has been there; name the --output of the main job"])


def run_command(job: Callable[[list[str]], int], argv: list[str]) -> int:
    """Returns a command's exit code: what the job returns, 2 where options are wrong, 4 where something else is in its
    way, 1 where it failed."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        return job(argv)
    except ConfigError as error:
        print("Nothing was done:", *(f"  - {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return 2
    except CommitConflictError as error:
        print(error, file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("Stopped", file=sys.stderr)
        return 1
    except Exception:  # each store's client raises errors of its own
        logging.exception("The command failed")
        return 1
