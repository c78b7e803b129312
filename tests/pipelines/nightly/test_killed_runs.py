"""Runs that are killed (-9) at any moment: readers see only committed runs; the next run processes the rest once."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model_handlers.pack import Pack
from pipelines.catalog import open_stories
from pipelines.status import main as status
from pipelines.tables.manifests import read_manifests
from pipelines.vacuum import main as vacuum

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
FLAGS = ("--captions-per-photo=3", "--beam-width=3", "--device=cpu", "--wave-size=4", "--style=romance,swift")
OLD, NEW = 3, 8  # good photos of the first night, and more of the second
BROKEN = {"cut.jpg": b"\xff\xd8\xff\xe0 no more", "text.jpg": b"no photo"}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory, make_photo: Any, photo_pack: Pack) -> tuple[Path, Path]:
    """Returns a folder of photos, some alike and some broken, and an OUTPUT that knows the oldest of them."""
    from pipelines.nightly.main_job import main

    place = tmp_path_factory.mktemp("nights")
    photos = place / "photos"
    photos.mkdir()

    def add(number: int, like: int) -> None:
        photo = make_photo(like)
        (photos / f"{number:02d}.{photo.ending}").write_bytes(photo.data)

    for number in range(OLD):
        add(number, number)
    assert main(flags(photos, place / "first", photo_pack)) == 0
    for number in range(OLD, OLD + NEW):
        add(number, number % 8)  # the last are copies of the first
    for name, data in BROKEN.items():
        (photos / name).write_bytes(data)
    return photos, place / "first"


def flags(photos: Path, output: Path, pack: Pack) -> list[str]:
    return [f"--input={photos}", f"--output={output}", f"--pack={pack.location}", *FLAGS]


@pytest.fixture
def output(nights: tuple[Path, Path], tmp_path: Path) -> Path:
    """Returns an OUTPUT after the first night."""
    return shutil.copytree(nights[1], tmp_path / "stories")


@pytest.fixture
def start(nights: tuple[Path, Path], output: Path, photo_pack: Pack) -> Iterator[Callable[..., subprocess.Popen]]:
    """Returns a function that starts the second night, in a process group of its own."""
    started: list[subprocess.Popen] = []

    def run(*program: str) -> subprocess.Popen:
        command = [sys.executable, *program, *flags(nights[0], output, photo_pack)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        null = subprocess.DEVNULL
        started.append(subprocess.Popen(command, env=environment, stdout=null, stderr=null, start_new_session=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def hashes(output: Path) -> dict[str, str]:
    """Returns the sha256 of each file that a committed run may be read from, and of the manifests."""
    named = [output / file["path"] for manifest in read_manifests(str(output)) for file in manifest["files"]]
    files = [*named, *(output / "manifests").glob("*.json")]
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def stories(output: Path) -> Counter[tuple[str, str]]:
    """Returns how often each photo and style is told, by the name of the photo."""
    rows = open_stories(str(output), history=True).to_table().to_pylist()
    return Counter((Path(row["uri"]).name, row["style"]) for row in rows)


def told(photos: Path, most: int) -> Counter[tuple[str, str]]:
    """Returns the stories of the photos up to a number, each once."""
    names = [path.name for path in photos.iterdir() if path.name[:2].isdigit() and int(path.name[:2]) < most]
    return Counter((name, style) for name in names for style in ("romance", "swift"))


def assert_recovers(
    output: Path, photos: Path, before: dict[str, str], run_job: Any, pack: Pack, committed: bool
) -> None:
    """What a killed run left harms no reader, no later run, and no committed file, and `vacuum` takes it."""
    assert before.items() <= hashes(output).items()
    assert len(read_manifests(str(output))) == 1 + committed
    assert stories(output) == told(photos, OLD + NEW if committed else OLD)
    begun = time.monotonic()
    code, _, errors = run_job(*flags(photos, output, pack))
    assert code == 0, errors
    assert time.monotonic() - begun < 60  # nobody waits for the lease of the dead
    assert before.items() <= hashes(output).items()
    assert stories(output) == told(photos, OLD + NEW)
    runs = read_manifests(str(output))
    outcomes: Counter[str] = Counter()
    for run in runs[1:]:
        outcomes.update(run["counts"])
    assert outcomes["story"] == 2 * NEW and outcomes["dead_letter"] == 2 * len(BROKEN)
    kept = hashes(output)
    assert vacuum([str(output), "--older-than=0d"]) == 0
    assert hashes(output) == kept and status([str(output)]) == 0
    left = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert left == {*kept, "current.files", *(f"runs/{run['run_id']}/started.json" for run in runs)}
    lines = (output / "current.files").read_text().splitlines()
    assert lines == [str(output / path) for path in kept if "/stories/" in path]


MOMENTS: dict[str, tuple[str, str, str, str, bool]] = {
    "before the lease is put": ("os", "link", "before", "1", False),
    "with a lease and nothing else": ("pipelines.nightly.main_job", "start", "before", "1", False),
    "after started.json": ("pipelines.nightly.main_job", "start", "after", "1", False),
    "while the first photos are decoded": ("transforms.load_images", "as_photo", "after", "3", False),
    "with sentence vectors": ("transforms.encode_sentences", "write_chunk", "after", "1", False),
    "before a first table": ("transforms.write", "write_shard", "before", "1", False),
    "in the midst of the first wave's tables": ("transforms.write", "write_shard", "after", "2", False),
    "between two waves": ("pipelines.nightly.waves", "read_report", "after", "1", False),
    "with half a file of the second wave": (
        "transforms.write_whole",
        "write_temporary",
        "after",
        "/stories/wave-00001-",
        False,
    ),
    "when all is told": ("pipelines.nightly.main_job", "commit", "before", "1", False),
    "before the manifest is put": ("os", "link", "before", "2", False),
    "after the manifest is put": ("os", "link", "after", "2", True),
    "before current.files": ("pipelines.tables.manifests", "refresh_current", "before", "1", True),
    "before the scratch files go": ("pipelines.nightly.main_job", "remove_scratch", "before", "1", True),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_is_killed(
    moment: str, start: Any, output: Path, nights: tuple[Path, Path], run_job: Any, photo_pack: Pack
) -> None:
    *trap, committed = MOMENTS[moment]
    before = hashes(output)
    process = start(str(ROOT / "tests/killed_run.py"), *trap)
    assert process.wait(300) == -signal.SIGKILL
    assert_recovers(output, nights[0], before, run_job, photo_pack, committed)


def children(pid: int) -> list[int]:
    """Returns the processes that a process has started and that have not ended."""
    lists = [path.read_text().split() for path in Path("/proc", str(pid), "task").glob("*/children")]
    return [int(child) for found in lists for child in found]


def decodes(process: subprocess.Popen, output: Path) -> bool:
    return bool(children(process.pid))


def writes_the_second_wave(process: subprocess.Popen, output: Path) -> bool:
    return bool(list(output.glob("runs/*/*/wave-00001-*.parquet")))


@pytest.mark.parametrize("moment", [decodes, writes_the_second_wave], ids=lambda moment: moment.__name__)
def test_a_run_that_is_killed_without_its_children(
    moment: Any, start: Any, output: Path, nights: tuple[Path, Path], run_job: Any, photo_pack: Pack
) -> None:
    before = hashes(output)
    process = start("-m", "pipelines.run")
    end = time.monotonic() + 300
    while not moment(process, output):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.002)
    left = children(process.pid)
    process.kill()
    process.wait()
    end = time.monotonic() + 10
    while any(Path("/proc", str(pid)).exists() for pid in left):
        assert time.monotonic() < end, "a process outlives the run"
        time.sleep(0.01)
    committed = len(read_manifests(str(output))) == 2
    assert_recovers(output, nights[0], before, run_job, photo_pack, committed)
