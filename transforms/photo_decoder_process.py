"""The decoder process for photos: `python -m transforms.photo_decoder_process SETTINGS`.

transforms/photo_decoders.py starts it. A file may crash a decoder, keep it busy for ever or use up the memory: that
ends only this process. It takes files on its input and answers with what the feature network takes, never with the
raster. It ends when its input ends, even in the middle of a photo.
"""

import contextlib
import json
import os
import resource
import signal
import struct
import sys
import traceback
import warnings
from typing import IO, Any

import numpy as np
from PIL import AvifImagePlugin

from transforms import lifeline
from transforms.decoding import decode_fast, decode_original, decode_strict
from transforms.photo_errors import DecoderOutOfMemory, PhotoError
from transforms.preprocessing import Recipe, cut, least_side, whole

DECODERS = {"strict": decode_strict, "original": decode_original}
BASE_BYTES = 64 << 20  # bytes at work, apart from those mapped at the start, the file and its pixels
FILE_COPIES = 4  # maximum number at once
PIXEL_BYTES = 40  # maximum in all copies: a pixel of deep grey needs 32, as it goes through float64
LENGTH = struct.Struct(">Q")


def send(stream: IO[bytes], message: bytes | memoryview) -> None:
    """Writes a message after its length."""
    stream.write(LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytearray | None:
    """Returns the next message, None if the other side has ended."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    message = bytearray(LENGTH.unpack(head)[0])
    return message if stream.readinto(message) == len(message) else None  # type: ignore[attr-defined]


def answer(
    data: bytes, recipe: Recipe, decoding: str, max_pixels: int, preprocessing: str = "pack"
) -> tuple[dict[str, Any], np.ndarray]:
    """Returns a photo's sides and its pixels (see `cut`), or the error and no pixels.

    An error that is not the photo's fault is reported under `bug`.
    """
    nothing = np.empty(0, np.float32)
    try:
        if preprocessing == "fast":
            raster, frame = decode_fast(data, max_pixels, least_side(recipe))  # [height, width, 3]
        else:
            raster = DECODERS[decoding](data, max_pixels)  # [height, width, 3] or [height, width]
            frame = whole(raster)
        return {"width": frame.width, "height": frame.height}, cut(raster, recipe, frame)
    except PhotoError as error:
        return {"error": error.code, "message": str(error)}, nothing
    except MemoryError:
        return {"error": DecoderOutOfMemory.code, "message": str(DecoderOutOfMemory())}, nothing
    except Exception:  # reported to the run, which then fails with it
        return {"bug": traceback.format_exc()}, nothing


def serve(requests: IO[bytes], answers: IO[bytes], settings: dict[str, Any]) -> None:
    """Answers each file until there are no more; an alarm ends the process if a photo takes too long."""
    send(answers, b"ready")
    while (data := receive(requests)) is not None:
        lifeline.tie(requests.fileno())  # the other side sends nothing before the answer
        signal.setitimer(signal.ITIMER_REAL, settings["seconds"])
        how = [settings[name] for name in ("recipe", "decoding", "max_pixels", "preprocessing")]
        head, pixels = answer(bytes(data), *how)
        signal.setitimer(signal.ITIMER_REAL, 0)
        lifeline.untie(requests.fileno())
        send(answers, json.dumps(head | {"shape": pixels.shape, "dtype": str(pixels.dtype)}).encode())
        send(answers, pixels.data.cast("B"))


def limit_process(max_pixels: int, max_bytes: int) -> None:
    """Limits the process to the memory that the largest photo needs, one thread and no core dump."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    most = mapped + BASE_BYTES + FILE_COPIES * max_bytes + PIXEL_BYTES * max_pixels
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(settings: dict[str, Any]) -> None:
    """Serves on standard input and output; libraries' output goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which then ends this process
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limit_process(settings["max_pixels"], settings["max_bytes"])
    with contextlib.suppress(BrokenPipeError):  # the run has ended
        serve(sys.stdin.buffer, answers, settings)
    os._exit(0)  # at once: there is nothing to clean up


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
