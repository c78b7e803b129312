"""Errors of storage; those that may pass are retried, after growing pauses of random length."""

import asyncio
import errno
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, TypeVar

from transforms.metrics import count
from transforms.photo_failure import PhotoFailure
from transforms.redaction import without_secrets

CLIENTS = ("adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "paramiko", "requests")
IO_ERRORS = (OSError, EOFError, TimeoutError, asyncio.TimeoutError)
PAUSES = (0.1, 0.4, 1.6, 6.4)  # maximum seconds before each retry; clients have retries of their own


class ReadError(PhotoFailure):
    """An object could not be read; a later run may succeed. The message contains no secrets.

    Attributes:
        again: a retry after a moment may succeed.
    """

    code = "read_error"
    retryable = True
    again: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


class MissingFile(ReadError):
    """The object does not exist, or not any more."""

    code = "missing_file"
    again = False


class AccessDenied(ReadError):
    """The job has no permission to read the object."""

    code = "access_denied"
    again = False


class ReadTimeout(ReadError):
    """The storage did not answer in time."""

    code = "read_timeout"


class LinkLoop(ReadError):
    """A symbolic link leads back to itself."""

    code = "link_loop"
    again = False


class NotAFile(ReadError):
    """The name belongs to a folder, a pipe or a device."""

    code = "not_a_file"
    again = False
    retryable = False


class RefusedUri(ReadError):
    """The URI's scheme or place is not allowed."""

    code = "refused_uri"
    again = False
    retryable = False


def read_error(uri: str, error: BaseException) -> ReadError:
    """Returns the ReadError for an error that a file system raised.

    Raises:
        BaseException: the error itself if it is a bug and not an error of storage.
    """
    if isinstance(error, ReadError):
        return error
    client = type(error).__module__.split(".")[0] in CLIENTS
    if not isinstance(error, IO_ERRORS) and not client:
        raise error
    text = str(error) or type(error).__name__
    code = getattr(error, "code", None) or getattr(error, "status", None)
    number = getattr(error, "errno", None)
    if number == errno.ELOOP:
        return LinkLoop(f"{uri} is a symbolic link that leads back to itself")
    if isinstance(error, FileNotFoundError | NotADirectoryError) or str(code) == "404" or number == errno.ENAMETOOLONG:
        return MissingFile(f"{uri} does not exist, or not any more")
    if isinstance(error, PermissionError) or str(code) in ("401", "403"):
        return AccessDenied(f"{uri} may not be read: {text}")
    if isinstance(error, IsADirectoryError):
        return NotAFile(f"{uri} is not a file: {text}")
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return ReadTimeout(f"{uri}: storage did not answer in time ({text})")
    return ReadError(f"{uri} could not be read: {type(error).__name__}: {text}")


def may_pass(error: object) -> bool:
    """Returns whether the answer is an error of storage that may soon pass."""
    return isinstance(error, ReadError) and error.again


def tries() -> Iterator[None]:
    """Yields for each try, after a pause before all but the first."""
    yield
    for longest in PAUSES:
        time.sleep(random.uniform(longest / 2, longest))
        yield


Item = TypeVar("Item")
Answer = TypeVar("Answer")


def ask_again(
    ask: Callable[[list[Item]], Sequence[Answer]], items: Sequence[Item], failed: Callable[[Item, Answer], bool]
) -> list[Answer]:
    """Returns an answer for each item, in order; failed items are asked for again together.

    Args:
        ask: returns one answer for each item.
        items: items, which may be repeated.
        failed: returns whether a retry may succeed.
    """
    answers: dict[Item, Answer] = {}
    waiting = list(dict.fromkeys(items))
    for number, _ in enumerate(tries()):
        count("read_retries", len(waiting) if number else 0)
        answers.update(zip(waiting, ask(waiting), strict=True))
        waiting = [item for item in waiting if failed(item, answers[item])]
        if not waiting:
            break
    return [answers[item] for item in items]


def call_again(uri: str, call: Callable[..., Answer], *arguments: object, **options: object) -> Answer:
    """Returns the result of a call, which is retried after errors of storage that may pass.

    Raises:
        ReadError: the call failed each time, or with an error that will not pass.
    """

    def ask(_: list[str]) -> list[Answer | ReadError]:
        try:
            return [call(*arguments, **options)]
        except Exception as error:
            return [read_error(uri, error)]

    (answer,) = ask_again(ask, [uri], _failed)
    if isinstance(answer, ReadError):
        raise answer
    return answer


def _failed(_: str, answer: object) -> bool:
    return may_pass(answer)
