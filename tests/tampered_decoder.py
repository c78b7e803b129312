"""The process that decodes photos, tampered with: it obeys the last bytes of a photo. Run as a program by tests."""

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from transforms import photo_decoder_process as decoder_process  # noqa: E402  (the repository's root must be on the path first)

decode = decoder_process.DECODERS["strict"]
poisoned = False


def spin() -> None:
    while True:
        pass


def raise_bug() -> None:
    raise KeyError("a bug")


def poison() -> None:
    global poisoned
    poisoned = True


ACTS = {
    b"CRASH": lambda: ctypes.string_at(0),
    b"EXIT": lambda: os._exit(3),
    b"KILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    b"SLEEP": lambda: time.sleep(1000),
    b"SPIN": spin,
    b"FILL": lambda: [bytes(1 << 20) for _ in range(1 << 20)],
    b"BUG": raise_bug,
    b"POISON": poison,
    b"PRINT": lambda: os.write(1, b"libtiff: a warning\n"),
}


def tampered(data: bytes, max_pixels: int) -> Any:
    if poisoned:
        ctypes.string_at(0)
    for word, act in ACTS.items():
        if data.endswith(word):
            act()
    return decode(data, max_pixels)


if __name__ == "__main__":
    decoder_process.DECODERS["strict"] = tampered
    decoder_process.main(json.loads(sys.argv[1]))
