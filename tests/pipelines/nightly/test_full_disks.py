"""Disks that are full: a run that cannot write ends with exit code 1 and a reason, and commits nothing."""

import errno
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from model_handlers.pack import Pack
from pipelines.catalog import open_stories
from pipelines.status import main as status
from pipelines.tables.manifests import read_manifests

FLAGS = ("--captions-per-photo=3", "--beam-width=3", "--device=cpu", "--wave-size=2")
PHOTOS = 4


@pytest.fixture
def tell(run_job: Any, write_features: Any, story_pack: Pack) -> Callable[[str], tuple[int, str]]:
    """Returns a function that tells some photos into an OUTPUT, and returns exit code and error output."""
    draw = np.random.RandomState(1)
    features = write_features([(f"photo {place}", draw.rand(4096).astype("f4")) for place in range(PHOTOS)])

    def run(output: str) -> tuple[int, str]:
        code, _, errors = run_job(
            f"--features={features}", f"--output={output}", f"--pack={story_pack.location}", *FLAGS
        )
        return code, errors

    return run


class FullFileSystem(MemoryFileSystem):
    """Keeps half of a file whose path holds a word, and then has no more room."""

    protocol = "full"
    store: dict[str, Any] = {}
    pseudo_dirs = [""]
    word = ""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("full://", "memory://"))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        if self.word and self.word in path:
            super().pipe_file(path, value[: len(value) // 2], mode, **options)
            raise OSError(errno.ENOSPC, "No space left on device")
        super().pipe_file(path, value, mode, **options)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FullFileSystem]]:
    """Returns the class of a store that may be full, of which the scheme full:// is made."""
    fsspec.register_implementation("full", FullFileSystem, clobber=True)
    monkeypatch.setattr(FullFileSystem, "word", "")
    yield FullFileSystem
    FullFileSystem.store.clear()


def assert_told(code: int, errors: str, words: str) -> None:
    """The run says in its last line which file found no room, and what to do."""
    last = errors.strip().splitlines()[-1]
    assert code == 1 and last.startswith("The run failed; nothing was published: ")
    assert words in last and last.endswith("No space left on device. Make room there and run again")


FILES = ("leases/", "started.json", "/stories/wave-00001", "/ledger/wave-00001", "manifests/")


@pytest.mark.slow
def test_each_file_of_a_run_finds_a_full_store(
    full: type[FullFileSystem], tell: Any, output_at: Any, publish: Any, capsys: Any
) -> None:
    output = output_at("full://stories")
    publish(output.location, "earlier", {"a": "One."})
    for name in FILES:
        full.word = name
        code, errors = tell(output.location)
        assert_told(code, errors, name)
        assert open_stories(output.location).to_table().num_rows == 1
        status([output.location])
        assert "Traceback" not in capsys.readouterr().err
    full.word = ""
    assert tell(output.location)[0] == 0
    assert open_stories(output.location, history=True).to_table().num_rows == PHOTOS + 1
    assert [path for path in full.store if path.endswith(".json") and "/manifests/" in path] == [
        f"/stories/manifests/0000000{number}.json" for number in (1, 2, 3)
    ]
    assert len(read_manifests(output.location)) == 2


def test_half_a_manifest_commits_nothing(full: type[FullFileSystem], tell: Any, output_at: Any) -> None:
    full.word = "manifests/"
    code, errors = tell("full://stories")
    assert_told(code, errors, "full://stories/manifests/00000001.json")
    assert full.store["/stories/manifests/00000001.json"].getvalue().startswith(b'{\n "number": 1')
    assert read_manifests("full://stories") == []
    assert open_stories("full://stories").to_table().num_rows == 0


def test_a_store_that_is_full_after_the_commit(full: type[FullFileSystem], tell: Any, caplog: Any) -> None:
    full.word = "current.files"
    code, _ = tell("full://stories")
    assert code == 0 and "committed, but current.files could not be written" in caplog.text
    assert open_stories("full://stories").to_table().num_rows == PHOTOS


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Returns a function that gives a disk of some kilobytes, or makes it larger."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    if subprocess.run([*mount, "size=4k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")

    def resize(size: int) -> Path:
        subprocess.run(["mount", "-o", f"remount,size={size}k", place], check=True)
        return place

    yield resize
    subprocess.run(["umount", "--lazy", place], check=True)  # chunks are mapped still


KINDS = ("leases/", "started.json", "scratch/", "/stories/wave", "/ledger/wave", "manifests/")


@pytest.mark.slow
def test_a_disk_that_is_too_small_by_ever_less(small_disk: Any, tell: Any, output_at: Any) -> None:
    """Every file of a run is once the one that finds no room."""
    output = output_at(str(small_disk(4) / "stories"))
    unwritten = set()
    for size in range(4, 400, 4):
        code, errors = tell(str(small_disk(size) / "stories"))
        left = [path for path in Path(output.location).rglob("*") if path.is_file()]
        assert not [path for path in left if path.suffix == ".part" or "scratch" in path.parts]
        if code == 0:  # if need be without current.files
            break
        assert_told(code, errors, output.location)
        assert output.manifests == []
        unwritten.add(next(part for part in KINDS if part in errors.splitlines()[-1]))
        for path in left:
            path.unlink()
    assert output.outcomes() == {"story": PHOTOS}
    assert open_stories(output.location).to_table().num_rows == PHOTOS
    assert len(unwritten) >= 4, unwritten
