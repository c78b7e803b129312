"""Decodes files in several processes at once, ahead of their consumer."""

import hashlib
import time
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from transforms.photo_decoders import Decoders
from transforms.photo_errors import PhotoError
from transforms.preprocessing import crop_side
from transforms.read_errors import ReadError

AHEAD_PIXELS = 4_000_000  # photos waiting for the network, 12 MB as grey levels; at least one for each process

Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class Decoded:
    """Result of decoding a file.

    Attributes:
        photo_id: sha256 of its bytes.
        size: number of bytes.
        found: pixels as the feature handler takes them, width and height; or the error.
        msecs: milliseconds that decoding took.
        counted: names of the counters to increase.
    """

    photo_id: str
    size: int
    found: tuple[np.ndarray, int, int] | PhotoError
    msecs: float
    counted: tuple[str, ...]


def decode_file(content: bytes, decoders: Decoders) -> Decoded:
    """Returns the decoded file; counts nothing itself, since Beam counts only on its own threads."""
    photo_id = hashlib.sha256(content).hexdigest()
    counted: list[str] = []
    found: tuple[np.ndarray, int, int] | PhotoError
    begun = time.monotonic()
    try:
        found = decoders.decode(content, counted.append)
    except PhotoError as error:
        found = error
    return Decoded(photo_id, len(content), found, 1000 * (time.monotonic() - begun), tuple(counted))


def decode_ahead(
    contents: Iterable[tuple[Key, bytes | ReadError]], decoders: Decoders
) -> Generator[tuple[Key, Decoded | ReadError], None, None]:
    """Yields each decoded file, or the error if its bytes could not be read, in the order of the files.

    While the consumer works on one file, the next ones are decoded. When the generator ends or is closed, all decoding
    stops.

    Args:
        contents: pairs of a key and the file's bytes.
        decoders: processes that decode the files.

    Raises:
        RuntimeError: a bug, or no process can be started.
    """
    most = max(decoders.most, AHEAD_PIXELS // crop_side(decoders.recipe) ** 2)
    begun: deque[tuple[Key, Future[Decoded] | ReadError]] = deque()
    try:
        for key, content in contents:
            coming = content if isinstance(content, ReadError) else _begin(content, decoders)
            begun.append((key, coming))
            if len(begun) > most:
                yield _first(begun)
        while begun:
            yield _first(begun)
    finally:
        futures = [coming for _, coming in begun if isinstance(coming, Future)]
        wait([future for future in futures if not future.cancel()])


def _begin(content: bytes, decoders: Decoders) -> Future[Decoded]:
    return decoders.threads.submit(decode_file, content, decoders)


def _first(begun: deque[tuple[Key, Future[Decoded] | ReadError]]) -> tuple[Key, Decoded | ReadError]:
    """Waits for the first file, and removes and returns it."""
    key, coming = begun[0]
    decoded = coming.result() if isinstance(coming, Future) else coming
    begun.popleft()
    return key, decoded
