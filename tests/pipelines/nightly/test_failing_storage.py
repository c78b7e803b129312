"""Photos in storage that sometimes fails, hangs, or returns half a file: they are processed anyway, or tried again."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import pytest
from fsspec.asyn import AsyncFileSystem

from model_handlers.pack import Pack
from transforms import read_errors, storage

pytestmark = pytest.mark.slow

FLAGS = ("--captions-per-photo=3", "--beam-width=3", "--device=cpu")
PHOTOS = 40
EACH = 12  # so that of few photos' reads one fails in each way; one in twenty would be two
KINDS = ("error", "hang", "half")


class UnsteadyFileSystem(AsyncFileSystem):
    """Photos of a bucket; one call in EACH fails, and reads of some names always do."""

    protocol = "oss"
    cachable = True
    files: dict[str, bytes] = {}
    broken: dict[str, str] = {}
    calls = itertools.count()
    turns = itertools.cycle(KINDS)
    faults: Counter[str] = Counter()

    async def _fails(self, path: str, reads: bool = False) -> bool:
        """Tells whether half a file is to come back, unless it raises or hangs."""
        fault = self.broken.get(path, "") if reads else ""
        if not fault and next(self.calls) % EACH == EACH - 1:
            fault = next(self.turns) if reads else "error"
        self.faults[fault] += 1
        if fault == "error":
            raise OSError("connection reset")
        if fault == "hang":
            await asyncio.sleep(1000)
        return fault == "half"

    async def _cat_file(self, path: str, start: Any = None, end: Any = None, **_: Any) -> bytes:
        data = self.files[path]
        return data[: len(data) // 2] if await self._fails(path, True) else data[start:end]

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        await self._fails(path)
        if path not in self.files:
            return {"name": path, "size": 0, "type": "directory"}
        return {"name": path, "size": len(self.files[path]), "type": "file", "etag": "v"}

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        await self._fails(path)
        return [{"name": name, "size": len(data), "type": "file", "etag": "v"} for name, data in self.files.items()]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, make_photo: Any) -> Iterator[type[UnsteadyFileSystem]]:
    """Returns the class of an unsteady storage that holds photos, of which the scheme oss:// is made."""
    known = fsspec.registry.get("oss")
    fsspec.register_implementation("oss", UnsteadyFileSystem, clobber=True)
    photos = [make_photo(number) for number in range(PHOTOS)]
    files = {f"b/{number:02d}.{photo.ending}": photo.data for number, photo in enumerate(photos)}
    monkeypatch.setattr(UnsteadyFileSystem, "files", files)
    monkeypatch.setattr(UnsteadyFileSystem, "broken", {})
    monkeypatch.setattr(UnsteadyFileSystem, "calls", itertools.count())
    monkeypatch.setattr(UnsteadyFileSystem, "faults", Counter())
    monkeypatch.setattr(read_errors, "PAUSES", (0.001, 0.002, 0.003, 0.004))
    monkeypatch.setattr(storage, "READ_SECONDS", 0.3)
    yield UnsteadyFileSystem
    if known is not None:
        fsspec.register_implementation("oss", known, clobber=True)


@pytest.fixture
def tell(run_job: Any, photo_pack: Pack, output: Any) -> Callable[[], tuple[int, str]]:
    """Returns a function that tells the bucket's photos, and returns exit code and error output."""

    def run() -> tuple[int, str]:
        code, _, errors = run_job(
            "--input=oss://b/**", f"--output={output.location}", f"--pack={photo_pack.location}", *FLAGS
        )
        return code, errors

    return run


def test_some_reads_fail_and_no_photo_is_lost(bucket: type[UnsteadyFileSystem], tell: Any, output: Any) -> None:
    code, errors = tell()
    assert code == 0, errors
    assert output.outcomes() == {"story": PHOTOS}
    assert all(bucket.faults[fault] for fault in KINDS), bucket.faults


def test_what_fails_each_time_is_tried_another_night(bucket: type[UnsteadyFileSystem], tell: Any, output: Any) -> None:
    names = sorted(bucket.files)[:3]
    bucket.broken = dict(zip(names, KINDS, strict=True))
    assert tell()[0] == 0
    assert output.outcomes() == {"story": PHOTOS - 3, "dead_letter": 3}
    letters = [(row["uri"], row["stage"], row["error"], row["retryable"]) for row in output.rows("dead_letters")]
    errors = ("ReadError", "ReadTimeout", "SizeMismatch")
    assert letters == [(f"oss://{name}", "read", error, True) for name, error in zip(names, errors, strict=True)]
    bucket.broken = {}
    assert tell()[0] == 0
    assert output.outcomes(2) == {"story": 3, "unchanged": PHOTOS - 3}
