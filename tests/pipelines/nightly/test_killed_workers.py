"""Worker processes that die at any moment end the run soon, and leave nothing: no commit and no process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model_handlers.pack import Pack

ROOT = Path(__file__).parents[3]
SECONDS = 30  # in which a run has to end
PHOTOS = 12
FLAGS = ("--captions-per-photo=5", "--beam-width=10", "--device=cpu", "--batch-size=2", "--wave-size=6")
TWO_PROCESSES = ("--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, make_photo: Any) -> Path:
    """Returns a folder of photos."""
    folder = tmp_path_factory.mktemp("album")
    for number in range(PHOTOS):
        photo = make_photo(number)
        (folder / f"{number:02d}.{photo.ending}").write_bytes(photo.data)
    return folder


def processes(session: int, module: str = "") -> list[int]:
    """Returns the processes of a session that have not ended, of a Python module or of all."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, *numbers = (folder / "stat").read_text().rpartition(")")[2].split()
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:  # it has ended meanwhile
            continue
        if int(numbers[2]) == session and state not in "ZX" and (not module or module in words):
            found.append(int(folder.name))
    return sorted(found)


def wait_for(what: Callable[[], Any], seconds: float = 200.0) -> Any:
    """Returns what a function returns as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)
    return found


def worker_of(session: int, output: Path) -> list[int]:
    return processes(session, "pipelines.nightly.worker_process")


def worker_that_decodes(session: int, output: Path) -> list[int]:
    """Returns the parent of a process that decodes photos."""
    parents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in
               processes(session, "transforms.photo_decoder_process")}  # fmt: skip
    return [pid for pid in worker_of(session, output) if pid in parents]


def worker_after_captions(session: int, output: Path) -> list[int]:
    """Returns the workers when the first wave's captions are encoded, and stories are being told."""
    return worker_of(session, output) if list(output.glob("runs/*/scratch/*sentences*.json")) else []


def worker_of_the_second_wave(session: int, output: Path) -> list[int]:
    return worker_of(session, output) if list(output.glob("runs/*/scratch/*00000-files.json")) else []


@pytest.fixture
def start_run(album: Path, photo_pack: Pack, output: Any) -> Iterator[Callable[[], subprocess.Popen]]:
    """Returns a function that starts the main job with two worker processes, in a session of its own."""
    started: list[subprocess.Popen] = []

    def start() -> subprocess.Popen:
        places = (f"--input={album}", f"--output={output.location}", f"--pack={photo_pack.location}")
        command = [sys.executable, "-m", "pipelines.run", *places, *FLAGS, *TWO_PROCESSES]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        pipe = subprocess.PIPE
        run = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
        started.append(run)
        return run

    yield start
    for run in started:
        for pid in processes(run.pid):
            os.kill(pid, signal.SIGKILL)
        run.wait()


@pytest.mark.runners
@pytest.mark.parametrize(
    "find",
    [worker_of, worker_that_decodes, worker_after_captions, worker_of_the_second_wave],
    ids=lambda find: find.__name__,
)
def test_a_worker_that_is_killed_ends_the_run(
    start_run: Any, output: Any, find: Any, album: Path, photo_pack: Pack, run_job: Any
) -> None:
    run = start_run()
    victim = wait_for(lambda: find(run.pid, Path(output.location)))[0]
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    printed, errors = run.communicate(timeout=SECONDS)
    assert time.monotonic() - killed < SECONDS
    assert run.returncode == 1 and printed == ""
    told = f"The run failed; nothing was published: worker process {victim} was killed (SIGKILL)"
    assert any(line.startswith(told) for line in errors.splitlines()), errors
    wait_for(lambda: not processes(run.pid), seconds=10)  # a decoder ends by itself, when it finds its worker gone
    assert output.manifests == []
    assert not list(Path(output.location).glob("runs/*/scratch"))  # nor what only the run needed
    places = (f"--input={album}", f"--output={output.location}", f"--pack={photo_pack.location}")
    code, _, errors = run_job(*places, *FLAGS, "--runner=FnApiRunner")
    assert code == 0, errors
    assert output.outcomes() == {"story": PHOTOS}


@pytest.mark.runners
def test_workers_end_with_the_run(start_run: Any, output: Any) -> None:
    run = start_run()
    wait_for(lambda: worker_that_decodes(run.pid, Path(output.location)))
    os.kill(run.pid, signal.SIGKILL)
    wait_for(lambda: processes(run.pid) == [], 5)
    again = start_run()
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    assert output.outcomes() == {"story": PHOTOS}
