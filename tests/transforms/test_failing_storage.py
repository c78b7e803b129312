"""Storage that fails by seed: errors now and then, no answer, half a file, and failures that no retry repairs."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from fsspec.asyn import AsyncFileSystem

from transforms import read_errors, storage
from transforms.folders import ListingError
from transforms.load_images import read_batch
from transforms.read_errors import PAUSES, ReadError, ask_again, tries
from transforms.read_photos import list_photos
from transforms.records import Listing
from transforms.storage import stat_all

FILES = {f"b/photo{number:03d}.jpg": bytes([number % 251]) * (number % 90 + 10) for number in range(200)}
FAULTS = ("error", "client", "timeout", "half")


class FailingFileSystem(AsyncFileSystem):
    """Files that can be read, but for a share of the calls, which fails by seed in one of FAULTS."""

    protocol = "obs"
    cachable = True
    share = 0.0
    faults: tuple[str, ...] = FAULTS
    draw = random.Random(0)
    calls: Counter[str] = Counter()

    async def _fail(self, path: str) -> bool:
        """Tells whether half a file is to come back, unless it raises or hangs."""
        self.calls[path] += 1
        if self.draw.random() >= self.share:
            return False
        fault = self.draw.choice(self.faults)
        if fault == "error":
            raise OSError(f"connection reset; https://store.example/{path}?X-Sig=SECRET1 token=SECRET2")
        if fault == "client":
            raise type("HttpError", (Exception,), {"__module__": "gcsfs.retry", "code": 503})("slow down")
        if fault == "denied":
            raise PermissionError("no")
        if fault == "bug":
            raise TypeError("a bug")
        if fault == "timeout":
            await asyncio.sleep(1000)
        return True

    async def _cat_file(self, path: str, start: Any = None, end: Any = None, **_: Any) -> bytes:
        half = await self._fail(path)
        data = FILES[path] if path in FILES else _missing(path)
        return data[: len(data) // 2] if half else data[start:end]

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        await self._fail(path)
        if path == "b":
            return {"name": "b", "size": 0, "type": "directory"}
        return {
            "name": path,
            "size": len(FILES[path] if path in FILES else _missing(path)),
            "type": "file",
            "etag": "v",
        }

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        await self._fail(path)
        return [{"name": name, "size": len(data), "type": "file", "etag": "v"} for name, data in FILES.items()]


def _missing(path: str) -> bytes:
    raise FileNotFoundError(path)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FailingFileSystem]]:
    """Returns the class of a failing storage, of which the scheme obs:// is made; what it does is set on the class."""
    fsspec.register_implementation("obs", FailingFileSystem, clobber=True)
    monkeypatch.setattr(read_errors, "PAUSES", (0.0, 0.001, 0.002, 0.003, 0.004))
    monkeypatch.setattr(storage, "READ_SECONDS", 0.2)
    monkeypatch.setattr(FailingFileSystem, "draw", random.Random(7))
    monkeypatch.setattr(FailingFileSystem, "calls", Counter())
    for name in ("share", "faults"):
        monkeypatch.setattr(FailingFileSystem, name, getattr(FailingFileSystem, name))
    yield FailingFileSystem


def listings() -> list[Listing]:
    return [Listing(f"obs://{name}", len(data), "v") for name, data in FILES.items()]


def test_one_call_in_twenty_fails_and_nothing_is_lost(failing: Any) -> None:
    failing.share = 0.05
    found = list(list_photos(["obs://b/**"]))
    assert found == listings()
    assert [content for _, content in read_batch(found, 1000)] == list(FILES.values())
    assert len(stat_all([listing.uri for listing in found])) == 200
    again = [count for path, count in failing.calls.items() if count > 2 and path != "b"]
    assert 5 < len(again) < 60  # only what failed was asked for again


@pytest.mark.parametrize(
    ("fault", "error"),
    [("error", "ReadError"), ("client", "ReadError"), ("timeout", "ReadTimeout"), ("half", "SizeMismatch")],
)
def test_storage_that_fails_each_time_is_a_retryable_dead_letter(failing: Any, fault: str, error: str) -> None:
    failing.share, failing.faults = 1.0, (fault,)
    (found,) = [content for _, content in read_batch(listings()[:1], 1000)]
    assert isinstance(found, ReadError)
    assert type(found).__name__ == error and found.retryable
    assert failing.calls["b/photo000.jpg"] == 6
    assert "SECRET" not in str(found)


def test_what_will_not_pass_is_asked_for_once(failing: Any) -> None:
    failing.share, failing.faults = 1.0, ("denied",)
    (found,) = [content for _, content in read_batch(listings()[:1], 1000)]
    assert type(found).__name__ == "AccessDenied"
    failing.share = 0.0
    (gone,) = stat_all(["obs://b/gone.jpg"])
    assert type(gone).__name__ == "MissingFile"
    assert set(failing.calls.values()) == {1}
    failing.share, failing.faults = 1.0, ("bug",)
    with pytest.raises(TypeError, match="a bug"):
        list(read_batch(listings()[:1], 1000))


def test_a_folder_that_cannot_be_listed_fails_the_run_without_secrets(failing: Any) -> None:
    failing.share, failing.faults = 1.0, ("error",)
    with pytest.raises(ListingError, match="connection reset") as raised:
        list(list_photos(["obs://b/**"]))
    assert set(failing.calls.values()) == {6}
    assert "SECRET" not in str(raised.value)


def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(read_errors.time, "sleep", slept.append)
    for _ in range(2):
        assert len(list(tries())) == len(PAUSES) + 1
    first, second = slept[: len(PAUSES)], slept[len(PAUSES) :]
    assert first == sorted(first) and first != second
    assert all(longest / 2 <= pause <= longest for pause, longest in zip(first, PAUSES, strict=True))


def test_answers_come_in_order_and_once_for_the_same() -> None:
    asked: list[list[str]] = []

    def ask(items: list[str]) -> list[str]:
        asked.append(items)
        return [item.upper() for item in items]

    assert ask_again(ask, ["b", "a", "b"], lambda item, answer: item == answer) == ["B", "A", "B"]
    assert asked == [["b", "a"]]
