"""Packs that are damaged, replaced or incomplete: no run starts with one or publishes stories made with one."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from model_handlers.machine_cache import cache_folder
from model_handlers.pack import Pack
from model_handlers.pack_card import card_digest
from model_handlers.pack_writer import PackWriter
from model_handlers.process_cache import PROCESS_CACHE
from model_handlers.sentences import SentenceHandler
from pipelines.nightly import main_job, waves

FLAGS = ("--captions-per-photo=3", "--beam-width=3", "--device=cpu", "--wave-size=2")
REMOTE = "memory://bucket/pack"
Harm = Callable[["Place"], None]


class Place:
    """Where a pack lies, on this machine or in a store, for whoever changes it behind a run's back."""

    def __init__(self, location: str) -> None:
        self.location = location
        self._files, self._root = fsspec.core.url_to_fs(location)

    @property
    def card(self) -> dict[str, Any]:
        return json.loads(self._files.cat_file(f"{self._root}/pack.json"))

    def write(self, file: str, data: bytes) -> None:
        """Puts another file in a file's place, as an upload does."""
        with contextlib.suppress(FileNotFoundError):
            self.remove(file)
        self._files.pipe_file(f"{self._root}/{file}", data)

    def upload(self, pack: Pack) -> None:
        """Puts a whole pack here, its card last."""
        for file in [*pack.card["files"], "pack.json"]:
            self._files.makedirs(f"{self._root}/{file}".rpartition("/")[0], exist_ok=True)
            self.write(file, (pack.root / file).read_bytes())

    def remove(self, file: str) -> None:
        self._files.rm_file(f"{self._root}/{file}")

    def file(self, ending: str) -> str:
        """Returns the first file of the pack with some ending."""
        return min(file for file in self.card["files"] if file.endswith(ending))

    def damage(self, file: str) -> None:
        data = bytearray(self._files.cat_file(f"{self._root}/{file}"))
        data[len(data) // 2] ^= 1
        self.write(file, bytes(data))

    def cut(self, file: str) -> None:
        data = self._files.cat_file(f"{self._root}/{file}")
        self.write(file, data[: len(data) // 2])


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    """Lets each test begin as a process does, with no pack and no model open, and with an empty cache."""
    PROCESS_CACHE.clear()
    shutil.rmtree(cache_folder(), ignore_errors=True)


@pytest.fixture(params=["local", "remote"])
def place(request: pytest.FixtureRequest, story_pack: Pack, tmp_path: Path) -> Iterator[Place]:
    """Returns a copy of the golden pack, in a folder and in a store."""
    if request.param == "local":
        shutil.copytree(story_pack.root, tmp_path / "pack")
        yield Place(str(tmp_path / "pack"))
        return
    remote = Place(REMOTE)
    remote.upload(story_pack)
    yield remote
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def tell(run_job: Any, write_features: Any, output: Any, place: Place) -> Callable[..., tuple[int, str]]:
    """Returns a function that tells four photos by the pack, and returns exit code and error output."""
    draw = np.random.RandomState(1)
    features = write_features([(f"photo {number}", draw.rand(4096).astype("f4")) for number in range(4)])

    def run() -> tuple[int, str]:
        code, _, errors = run_job(
            f"--features={features}", f"--output={output.location}", f"--pack={place.location}", *FLAGS
        )
        return code, errors

    return run


@pytest.fixture
def other(story_pack: Pack, tmp_path: Path) -> Pack:
    """Returns another pack with the same files but one."""
    writer = PackWriter(str(tmp_path / "other"), story_pack)
    texts = story_pack.lines(story_pack.component("captions")["texts"])
    writer.components["captions"] = {"texts": writer.add_lines("coco_captions.txt", texts[::-1])}
    return writer.finish()


BEFORE: dict[str, tuple[Harm, str]] = {
    "no card": (lambda pack: pack.remove("pack.json"), "pack.json"),
    "half a card": (lambda pack: pack.cut("pack.json"), "pack"),
    "no weights": (lambda pack: pack.remove(pack.file(".safetensors")), ".safetensors"),
    "half the weights": (lambda pack: pack.cut(pack.file(".safetensors")), ".safetensors"),
    "damaged weights": (lambda pack: pack.damage(pack.file(".safetensors")), "damaged; its sha256 is not the card's"),
    "damaged words": (lambda pack: pack.damage(pack.file(".json")), "damaged; its sha256 is not the card's"),
}


@pytest.mark.parametrize("name", BEFORE)
def test_no_run_starts(name: str, place: Place, tell: Any, output: Any) -> None:
    harm, part = BEFORE[name]
    harm(place)
    code, errors = tell()
    assert code == 2 and f"--pack {place.location}" in errors and part in errors and "Traceback" not in errors
    assert not Path(output.location).exists()
    assert not list((cache_folder() / "packs").glob("*"))  # no half a copy either


@pytest.fixture(params=["before the first wave", "between two waves", "before the commit"])
def meanwhile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Returns a function that lets something happen at a moment of the run."""

    def arrange(happen: Callable[[], None]) -> None:
        if request.param == "before the first wave":
            start = main_job.start
            monkeypatch.setattr(main_job, "start", lambda run: (happen(), start(run)))
            return
        read, calls = waves.read_report, []

        def read_then(report: str) -> Any:
            calls.append(report)
            if len(calls) == (1 if request.param == "between two waves" else 2):
                happen()
            return read(report)

        monkeypatch.setattr(waves, "read_report", read_then)

    return arrange


def copy_here(place: Place) -> Place:
    """Returns where a run reads a pack's files from: the pack's folder, or the cache's."""
    return Place(str(cache_folder() / "packs" / card_digest(place.card))) if "://" in place.location else place


DURING: dict[str, tuple[Callable[[Place, Pack], None], str]] = {
    "replaced": (lambda pack, other: pack.upload(other), "replaced during the run"),
    "its card removed": (lambda pack, other: pack.remove("pack.json"), "pack"),
    "its card half there": (lambda pack, other: pack.cut("pack.json"), "pack"),
    "weights damaged": (lambda pack, other: copy_here(pack).damage(pack.file(".safetensors")), "damaged"),
    "captions missing": (lambda pack, other: copy_here(pack).remove(pack.file(".txt")), "missing"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DURING)
def test_a_pack_that_changes_meanwhile(
    name: str, place: Place, other: Pack, tell: Any, output: Any, meanwhile: Any, story_pack: Pack
) -> None:
    change, part = DURING[name]
    meanwhile(lambda: change(place, other))
    code, errors = tell()
    last = errors.strip().splitlines()[-1]
    assert code == 1 and last.startswith(f"The run failed; nothing was published: {place.location}") and part in last
    assert output.manifests == []


def test_a_file_that_is_replaced_between_two_models(
    place: Place, tell: Any, output: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other models of the pack are loaded already, so that nobody looks at the whole of it again before the commit."""
    build = SentenceHandler.build

    def damage_and_build(self: Any, pack: Pack, device: Any) -> Any:
        copy_here(place).damage(pack.component("sentence_encoder")["words"])
        return build(self, pack, device)

    monkeypatch.setattr(SentenceHandler, "build", damage_and_build)
    code, errors = tell()
    assert code == 1 and ": replaced or damaged since the run began" in errors.strip().splitlines()[-1]
    assert output.manifests == []
