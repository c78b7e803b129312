"""Reasons of failed runs, in words for people who can solve the problem."""

import re
from collections.abc import Iterator

from model_handlers.pack_card import PackError
from model_handlers.run_errors import DeviceError, OutOfMemory
from transforms.write_whole import StorageFullError


class WorkerDiedError(Exception):
    """A worker process ended in the middle of its work; the message says how, and what to do."""

    code = "worker_died"


FORESEEN = (DeviceError, OutOfMemory, PackError, StorageFullError, WorkerDiedError)
"""Errors that are not bugs; their messages say what is wrong, where, and what to do."""

STEP = re.compile(r" \[while running '[^']*'\]$")
"""What Beam adds to the message of an error that a step raises."""


def reason(error: BaseException) -> str | None:
    """Returns the reason why a run ended, or None if the error was not foreseen.

    It is the message of the outermost foreseen error among the error and its causes. From another process a runner gets
    only the text of a traceback, which it puts in the message of an error of its own. In such a message the last line
    of the traceback is searched for.
    """
    quoted = _quotes()
    for one in _with_causes(error):
        if isinstance(one, FORESEEN):
            return STEP.sub("", str(one))
        if found := quoted.findall(str(one)):
            return STEP.sub("", found[-1])
    return None


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error and its chain of causes, as tracebacks show them."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _quotes() -> re.Pattern[str]:
    """Returns the pattern of the line, and in it the message, that ends the traceback of a foreseen error."""
    names = "|".join(re.escape(name) for kind in FORESEEN for name in _names(kind))
    return re.compile(rf"^(?:.*\s)?(?:{names}): (.*)$", re.MULTILINE)


def _names(kind: type[BaseException]) -> Iterator[str]:
    """Yields the names of an error class and its subclasses in tracebacks, with and without their modules."""
    yield from (f"{kind.__module__}.{kind.__qualname__}", kind.__qualname__)
    for below in kind.__subclasses__():
        yield from _names(below)
