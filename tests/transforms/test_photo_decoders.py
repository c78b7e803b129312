"""Decoding in other processes: the same pixels, and photos that crash, hang, fill memory or poison a process."""

import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from transforms import photo_decoders as decoders
from transforms.photo_decoder_process import answer
from transforms.photo_decoders import DecoderCrashed, DecoderKilled, Decoders, DecoderTimeout, decoder_settings
from transforms.photo_errors import DecoderOutOfMemory, EmptyFile, PhotoError

ROOT = Path(__file__).parents[2]
IMAGES = sorted((ROOT / "tests" / "golden" / "images").iterdir())
ORIGINAL = {"name": "original"}
RESIZE = {"name": "resize", "resize": 40, "crop": 32, "channels": "RGB", "mean": [1, 2, 3], "scale": [1, 2, 3]}


def picture(word: bytes = b"") -> bytes:
    """Returns a photo; a word behind it, where decoders do not look, tells the tampered process what to do."""
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), (90, 20, 30)).save(stream, "JPEG")
    return stream.getvalue() + word


def settings(seconds: float = 60.0, decoding: str = "strict", recipe: Any = RESIZE) -> str:
    return decoder_settings(recipe, decoding, 1_000_000, 1_000_000, seconds)


@pytest.fixture
def start() -> Iterator[Callable[..., Decoders]]:
    """Returns a function that makes decoders, whose processes end with the test."""
    made: list[Decoders] = []

    def make(**options: Any) -> Decoders:
        made.append(Decoders(settings(**options)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def pids(made: Decoders) -> list[int]:
    return [process._process.pid for process in made._idle]


def is_alive(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(pid: int) -> None:
    end = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < end, f"process {pid} is left"
        time.sleep(0.05)


def test_processes_end_with_the_last_who_holds_them() -> None:
    made = Decoders(settings())
    made.decode(picture())
    (process,) = (process._process for process in made._idle)
    assert process.poll() is None
    del made
    gc.collect()
    assert process.poll() == 0


@pytest.mark.parametrize("decoding", ["strict", "original"])
@pytest.mark.parametrize("recipe", [ORIGINAL, RESIZE], ids=["original", "resize"])
def test_the_same_bits_as_in_this_process(start: Any, decoding: str, recipe: Any) -> None:
    made = start(decoding=decoding, recipe=recipe)
    good = 0
    for path in IMAGES:
        data = path.read_bytes()
        head, expected = answer(data, recipe, decoding, 1_000_000)
        if "error" in head:
            with pytest.raises(PhotoError) as raised:
                made.decode(data)
            assert (raised.value.code, str(raised.value)) == (head["error"], head["message"])
            continue
        pixels, width, height = made.decode(data)
        assert (width, height) == (head["width"], head["height"])
        assert (pixels.dtype, pixels.shape) == (expected.dtype, expected.shape)
        assert pixels.tobytes() == expected.tobytes() and pixels.flags.writeable
        good += 1
    assert good > 5 and len(pids(made)) == 1


@pytest.mark.parametrize(
    ("word", "error", "retryable", "part"),
    [
        (b"CRASH", DecoderCrashed, False, "SIGSEGV"),
        (b"EXIT", DecoderCrashed, False, "exit code 3"),
        (b"KILL", DecoderKilled, True, "was killed"),
        (b"SLEEP", DecoderTimeout, True, "within 0.7 seconds"),
        (b"SPIN", DecoderTimeout, True, "within 0.7 seconds"),
        (b"FILL", DecoderOutOfMemory, False, "more memory"),
    ],
)
def test_what_a_photo_can_do(
    tampered: None, start: Any, word: bytes, error: type[PhotoError], retryable: bool, part: str
) -> None:
    made = start(seconds=0.7 if error is DecoderTimeout else 60)
    expected, _, _ = made.decode(picture())
    (first,) = pids(made)
    with pytest.raises(error, match=part) as raised:
        made.decode(picture(word))
    assert raised.value.retryable is retryable
    pixels, width, height = made.decode(picture())
    assert (width, height) == (40, 30) and pixels.tobytes() == expected.tobytes()
    (now,) = pids(made)
    assert (now == first) is is_alive(first) is (error is DecoderOutOfMemory)


def test_a_photo_after_one_that_broke_the_process_is_decoded(tampered: None, start: Any) -> None:
    made = start()
    made.decode(picture(b"POISON"))
    (first,) = pids(made)
    assert made.decode(picture())[1:] == (40, 30)
    assert pids(made) != [first]


def test_a_process_that_was_killed_between_photos(start: Any) -> None:
    made = start()
    made.decode(picture())
    (first,) = pids(made)
    os.kill(first, signal.SIGKILL)
    assert made.decode(picture())[1:] == (40, 30)
    assert pids(made) != [first]


def test_a_bug_is_no_photos_fault(tampered: None, start: Any) -> None:
    made = start()
    with pytest.raises(RuntimeError, match="(?s)not the photo's fault.*Traceback.*KeyError: 'a bug'"):
        made.decode(picture(b"BUG"))


def test_a_process_that_does_not_start(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "COMMAND", (sys.executable, "-c", "raise SystemExit(5)"))
    with pytest.raises(RuntimeError, match="does not start.*ends with 5"):
        start().decode(picture())


def test_what_libraries_print_is_no_answer(tampered: None, start: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert start().decode(picture(b"PRINT"))[1:] == (40, 30)
    assert capfd.readouterr().out == ""


def test_memory_is_limited_by_the_largest_photo(start: Any) -> None:
    made = start()
    made.decode(picture())
    limits = Path(f"/proc/{pids(made)[0]}/limits").read_text().splitlines()
    (most,) = [int(line.split()[3]) for line in limits if line.startswith("Max address space")]
    mapped = int(Path(f"/proc/{pids(made)[0]}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    assert mapped < most < mapped + (200 << 20)
    with pytest.raises(EmptyFile):
        made.decode(b"")


def test_threads_share_processes(start: Any) -> None:
    made, most = start(), 2
    made._slots = threading.BoundedSemaphore(most)
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.extend(made.decode(picture())[0].tobytes() for _ in range(10)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 50 and len(set(found)) == 1
    assert 1 <= len(set(pids(made))) == len(pids(made)) <= most


ORPHAN = """
import sys, threading
from transforms import photo_decoders as decoders
decoders.COMMAND = tuple(sys.argv[2:]) or decoders.COMMAND
made = decoders.Decoders(sys.argv[1])
good, bad = sys.stdin.buffer.read().split(b"----")
made.decode(good)
print(made._idle[0]._process.pid, flush=True)
made.decode(bad)
print("done", flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("word", [b"", b"SLEEP"], ids=["idle", "at work"])
def test_no_process_outlives_the_run(tampered: None, word: bytes) -> None:
    command = [sys.executable, "-c", ORPHAN, settings(60.0), *decoders.COMMAND]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as run:
        assert run.stdin and run.stdout
        run.stdin.write(picture() + b"----" + picture(word))
        run.stdin.close()
        pid = int(run.stdout.readline())
        if not word:
            assert run.stdout.readline() == b"done\n"
        assert is_alive(pid)
        run.kill()
    wait_for_end(pid)
