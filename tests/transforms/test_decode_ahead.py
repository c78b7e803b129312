"""Decoding ahead: several photos at once, in order, no more than may wait, and nothing left behind."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from transforms import decode_ahead as module
from transforms.decode_ahead import Decoded, decode_ahead
from transforms.photo_errors import DamagedImage
from transforms.read_errors import MissingFile

Work = Callable[[bytes], None]


class FakeDecoders:
    """Two threads that decode as a function says."""

    def __init__(self, work: Work) -> None:
        self.recipe, self.most, self.threads = {"name": "original"}, 2, ThreadPoolExecutor(2)
        self.begun: list[bytes] = []
        self.ended: list[bytes] = []
        self._work = work

    def decode(self, data: bytes, note: Callable[[str], None]) -> tuple[np.ndarray, int, int]:
        self.begun.append(data)
        try:
            self._work(data)
        finally:
            self.ended.append(data)
        note("decoder_starts")
        return np.zeros((3, 2, 2), np.float32), data[0], 7


@pytest.fixture
def fake() -> Iterator[Callable[[Work], Any]]:
    """Returns a function that makes decoders of a function."""
    made: list[FakeDecoders] = []

    def make(work: Work) -> FakeDecoders:
        made.append(FakeDecoders(work))
        return made[-1]

    yield make
    for one in made:
        one.threads.shutdown()


def files(count: int) -> list[tuple[int, Any]]:
    return [(number, bytes([number])) for number in range(count)]


def wait_until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def test_two_at_once_and_in_order(fake: Any) -> None:
    meet = threading.Barrier(2)

    def work(data: bytes) -> None:
        meet.wait(20)  # broken, and so an error, where only one is decoded at a time
        time.sleep(0.02 if data[0] % 2 == 0 else 0)

    decoders = fake(work)
    found = list(decode_ahead(files(8), decoders))
    assert [key for key, _ in found] == list(range(8)) and len(decoders.ended) == 8
    for key, decoded in found:
        assert isinstance(decoded, Decoded) and isinstance(decoded.found, tuple)
        assert decoded.found[1:] == (key, 7) and decoded.size == 1 and decoded.counted == ("decoder_starts",)
        assert decoded.photo_id == hashlib.sha256(bytes([key])).hexdigest()
    assert sum(decoded.msecs > 15 for _, decoded in found) >= 4


@pytest.mark.parametrize(("pixels", "most"), [(0, 2), (5 * 224 * 224, 5), (10**9, 9)])
def test_so_many_are_decoded_while_one_is_worked_on(
    fake: Any, monkeypatch: pytest.MonkeyPatch, pixels: int, most: int
) -> None:
    monkeypatch.setattr(module, "AHEAD_PIXELS", pixels)
    decoders, taken = fake(lambda data: None), []

    def contents() -> Iterator[tuple[int, bytes]]:
        for key, content in files(10):
            taken.append(key)
            yield key, content

    with closing(decode_ahead(contents(), decoders)) as found:
        for number in range(3):
            assert next(found)[0] == number
            ahead = min(10, number + 1 + most)
            wait_until(lambda ahead=ahead: len(decoders.ended) == ahead)
            assert len(taken) == len(decoders.begun) == ahead


def test_files_that_are_not_there_and_bad_ones_stand_in_their_places(fake: Any) -> None:
    def work(data: bytes) -> None:
        if data == b"\2":
            raise DamagedImage("bad")

    decoders = fake(work)
    gone = MissingFile("gone")
    contents = files(5)
    contents[1] = (1, gone)
    found = list(decode_ahead(contents, decoders))
    assert [key for key, _ in found] == list(range(5)) and found[1][1] is gone
    assert isinstance(found[2][1], Decoded) and type(found[2][1].found) is DamagedImage
    assert list(decode_ahead([], decoders)) == []


def test_a_bug_is_raised_in_its_place_and_ends_all(fake: Any) -> None:
    def work(data: bytes) -> None:
        if data == b"\3":
            raise RuntimeError("a bug")
        time.sleep(0.01)

    decoders = fake(work)
    seen = []
    with pytest.raises(RuntimeError, match="a bug"):
        for key, _ in decode_ahead(files(50), decoders):
            seen.append(key)
    assert seen == [0, 1, 2]
    assert len(decoders.begun) == len(decoders.ended) < 50


def test_a_bug_in_reading_ends_all(fake: Any) -> None:
    decoders = fake(lambda data: time.sleep(0.01))

    def contents() -> Iterator[tuple[int, bytes]]:
        yield from files(20)
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        list(decode_ahead(contents(), decoders))
    assert len(decoders.begun) == len(decoders.ended) < 20


def test_nothing_goes_on_when_nobody_wants_more(fake: Any) -> None:
    go = threading.Event()
    decoders = fake(lambda data: None if data == b"\0" else bool(go.wait(20)) or None)
    found = decode_ahead(files(50), decoders)
    assert next(found)[0] == 0
    wait_until(lambda: len(decoders.begun) == 3)
    closing_thread = threading.Thread(target=found.close)
    closing_thread.start()
    closing_thread.join(0.1)
    assert closing_thread.is_alive()  # two are at work
    go.set()
    closing_thread.join(20)
    assert not closing_thread.is_alive()
    assert len(decoders.ended) == len(decoders.begun) == 3
    time.sleep(0.05)
    assert len(decoders.begun) == 3
