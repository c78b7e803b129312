"""Decodes photos in separate processes, so that no file can crash, hang or exhaust the process of the pipeline.

A process decodes one photo after the other; starting it costs as much as about fifty photos. There are as many
processes as photos are decoded at once, up to the limit. They end when their Decoders are no longer referenced.
"""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from transforms.cores import cores
from transforms.metrics import count
from transforms.per_process import PerProcess
from transforms.photo_decoder_process import receive, send
from transforms.photo_errors import PhotoError
from transforms.preprocessing import Recipe

COMMAND = (sys.executable, "-m", "transforms.photo_decoder_process")
ROOT = Path(__file__).parents[1]  # folder from which the command imports this code
SECONDS = 60.0  # time limit for one photo
PIPE_BYTES = 1 << 20  # large enough for all pixels of a photo


class DecoderCrashed(PhotoError):
    """Decoding the photo crashes the decoder process, even a fresh one."""

    code = "decoder_crashed"


class DecoderKilled(PhotoError):
    """The decoder process was killed from outside, as the system does when memory is short."""

    code = "decoder_killed"
    retryable = True


class DecoderTimeout(PhotoError):
    """The photo was not decoded in time; the machine may have been busy."""

    code = "decoder_timeout"
    retryable = True


class _Process:
    """One decoder process."""

    def __init__(self, settings: str) -> None:
        pipe = subprocess.PIPE
        command = [*COMMAND, settings]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT, pipesize=PIPE_BYTES)
        assert self._process.stdin and self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout
        if receive(self._answers) is None:
            raise RuntimeError(f"the decoder process does not start: {command} ends with {self.end()}")

    def ask(self, data: bytes) -> tuple[bytearray, bytearray] | None:
        """Returns the answer's head and pixels, None if the process has ended."""
        try:
            send(self._requests, data)
        except BrokenPipeError:
            return None
        head = receive(self._answers)
        pixels = receive(self._answers)
        return None if head is None or pixels is None else (head, pixels)

    def end(self) -> int:
        """Ends the process if it is still running, and returns its exit code."""
        for stream in (self._requests, self._answers):
            with contextlib.suppress(BrokenPipeError):  # data that was not sent yet
                stream.close()
        return self._process.wait()


class Decoders:
    """Decoder processes, started when needed.

    Args:
        settings: see `decoder_settings`.

    Attributes:
        recipe: preprocessing that makes pixels ready for the feature network.
        most: maximum number of processes at a time.
        threads: threads that wait for the processes. Beam does not know these threads, so they must not count anything.
    """

    def __init__(self, settings: str) -> None:
        choices = json.loads(settings)
        self.recipe: Recipe = choices["recipe"]
        self.most: int = choices["processes"] or cores()
        self.threads = ThreadPoolExecutor(self.most, "decode")
        self._settings = settings
        self._idle: list[_Process] = []
        weakref.finalize(self, _end_all, self._idle)
        self._slots = threading.BoundedSemaphore(self.most)

    def decode(self, data: bytes, note: Callable[[str], None] = count) -> tuple[np.ndarray, int, int]:
        """Returns a file's pixels as the feature handler takes them (see `cut`), and the photo's width and height.

        Args:
            data: the file's bytes.
            note: called with the name of each counter to increase.

        Raises:
            PhotoError: something is wrong with the file.
            RuntimeError: a bug, or the process cannot be started.
        """
        code = 0
        with self._slots:
            for process in self._processes(note):
                found = process.ask(data)
                if found is not None:
                    self._idle.append(process)
                    return _unpack(*found)
                code = process.end()
                if code == -signal.SIGALRM:
                    break
        raise _reason(code, json.loads(self._settings)["seconds"])

    def _processes(self, note: Callable[[str], None]) -> Iterator[_Process]:
        """Yields a process that may have decoded other photos, and then a new one in case these broke the first."""
        if self._idle:
            with contextlib.suppress(IndexError):  # another thread has taken it
                yield self._idle.pop()
                note("decoder_restarts")
        note("decoder_starts")
        yield _Process(self._settings)

    def close(self) -> None:
        """Ends the processes; others are started when needed."""
        _end_all(self._idle)


def _end_all(idle: list[_Process]) -> None:
    while idle:
        idle.pop().end()


class SharedDecoders(PerProcess[Decoders]):
    """Handle on the decoders for given settings (see `decoder_settings`); each process has its own decoders."""

    def __init__(self, settings: str) -> None:
        super().__init__(partial(Decoders, settings))


def _unpack(head: bytearray, pixels: bytearray) -> tuple[np.ndarray, int, int]:
    answer = json.loads(head)
    if "bug" in answer:
        raise RuntimeError(f"decoding failed, which is not the photo's fault:\n{answer['bug']}")
    if "error" in answer:
        raise {kind.code: kind for kind in PhotoError.__subclasses__()}[answer["error"]](answer["message"])
    values = np.frombuffer(pixels, answer["dtype"]).reshape(answer["shape"])  # [crop, crop, 3] or [3, crop, crop]
    return values, answer["width"], answer["height"]


def _reason(code: int, seconds: float) -> PhotoError:
    if code == -signal.SIGALRM:
        return DecoderTimeout(f"it was not decoded within {seconds:g} seconds")
    if code == -signal.SIGKILL:
        return DecoderKilled("the decoder process was killed, as the system does when memory is short")
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return DecoderCrashed(f"decoding it crashes the decoder process ({how}), even a fresh one")


def decoder_settings(
    recipe: Recipe,
    decoding: str,
    max_pixels: int,
    max_bytes: int,
    seconds: float = SECONDS,
    preprocessing: str = "pack",
    processes: int | None = None,
) -> str:
    """Returns the settings of decoding as one text.

    Args:
        recipe: the model pack's preprocessing.
        decoding: `strict` or `original`.
        max_pixels: larger photos are refused.
        max_bytes: largest size of a file; together with max_pixels it limits the memory of a process.
        seconds: time limit for one photo.
        preprocessing: `pack`, or `fast` (see `decode_fast`), which requires decoding `strict`.
        processes: maximum number of decoder processes; None is one for each core.
    """
    return json.dumps(locals(), sort_keys=True)
