"""The main job on every runner that may run it: the same rows on all."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from model_handlers.pack import Pack

pytestmark = pytest.mark.runners

ROOT = Path(__file__).parents[3]
FLAGS = ("--captions-per-photo=5", "--beam-width=5", "--device=cpu", "--batch-size=4")
GOOD, BAD = 9, 3


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, make_photo: Any) -> Path:
    """Returns a folder of photos, three of them bad."""
    folder = tmp_path_factory.mktemp("album") / "photos"
    folder.mkdir()
    for number in range(GOOD):
        photo = make_photo(number)
        (folder / f"é #{number}.{photo.ending}").write_bytes(photo.data)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"no photo")
    (folder / "cut.jpg").write_bytes(make_photo(0).data[:-500])
    return folder


def environment() -> dict[str, str]:
    """Returns an environment whose `python`, which worker pools start, is this one."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PATH": path}


@pytest.fixture
def run_on(album: Path, photo_pack: Pack) -> Callable[..., subprocess.CompletedProcess]:
    """Returns a function that runs the main job in a process of its own, on the runner that flags name."""

    def run(output: str, *flags: str) -> subprocess.CompletedProcess:
        places = (f"--input={album}", f"--output={output}", f"--pack={photo_pack.location}")
        command = [sys.executable, "-m", "pipelines.run", *places, *FLAGS, *flags]
        return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture(scope="module")
def expected(album: Path, photo_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Returns the OUTPUT of the job in this process, on FnApiRunner."""
    from pipelines.nightly.main_job import main

    output = str(tmp_path_factory.mktemp("expected") / "stories")
    assert main([f"--input={album}", f"--output={output}", f"--pack={photo_pack.location}", *FLAGS]) == 0
    return output


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(port: int, *words: str) -> Iterator[None]:
    """Keeps a Python module running that serves a port, and ends it."""
    with open(os.devnull, "w") as null:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=environment(),
            stdout=null,
            stderr=null,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 60
            while True:
                assert process.poll() is None, f"{words[0]} ended with {process.returncode}"
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, f"{words[0]} does not answer"
                    time.sleep(0.2)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


@contextmanager
def fn_api() -> Iterator[list[str]]:
    yield ["--runner=FnApiRunner", "--wave-size=4"]


@contextmanager
def direct() -> Iterator[list[str]]:
    yield ["--runner=DirectRunner"]


@contextmanager
def two_processes() -> Iterator[list[str]]:
    two = ["--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    yield [*two, "--shards=3", "--log-format=json"]


@contextmanager
def loopback() -> Iterator[list[str]]:
    yield [
        "--runner=PortableRunner",
        "--job_endpoint=embed",
        "--environment_type=LOOPBACK",
        "--shards=2",
        "--log-format=json",
    ]


@contextmanager
def external() -> Iterator[list[str]]:
    jobs, workers = free_port(), free_port()
    pool = ("apache_beam.runners.worker.worker_pool_main", f"--service_port={workers}")
    service = ("apache_beam.runners.portability.local_job_service_main", f"--job_port={jobs}")
    with serving(workers, *pool), serving(jobs, *service):
        where = ["--environment_type=EXTERNAL", f"--environment_config=localhost:{workers}"]
        yield ["--runner=PortableRunner", f"--job_endpoint=localhost:{jobs}", *where]


RUNNERS = {runner.__name__: runner for runner in (fn_api, direct, two_processes, loopback, external)}


def without_decoders(counters: dict[str, int]) -> dict[str, int]:
    """Returns the counters but for those of processes that decode, of which each worker has its own."""
    return {name: number for name, number in counters.items() if not name.startswith("decoder_")}


@pytest.mark.parametrize("name", RUNNERS)
def test_rows_are_the_same_on_every_runner(
    name: str, run_on: Any, expected: str, output: Any, output_at: Any, same_stories: Any
) -> None:
    with RUNNERS[name]() as flags:
        ended = run_on(output.location, *flags)
        assert ended.returncode == 0, ended.stderr
        assert "3 dead letters, 9 stories." in ended.stdout
        if "--log-format=json" in flags:  # of worker processes too
            lines = [json.loads(line) for line in ended.stderr.splitlines()]
            assert sorted(line["uri"] for line in lines if "uri" in line) == sorted(
                row["uri"] for row in output.rows("dead_letters")
            )
        known = output_at(expected)
        same_stories(output.rows("stories"), known.rows("stories"))
        for table in ("dead_letters", "ledger"):
            assert output.rows(table) == known.rows(table)
        if "metrics" in output.manifests[0]:
            ours, theirs = output.manifests[0]["metrics"], known.manifests[0]["metrics"]
            assert without_decoders(ours["counters"]) == without_decoders(theirs["counters"])
            assert ours["distributions"].keys() == theirs["distributions"].keys()
            assert ours["distributions"]["pixels"] == theirs["distributions"]["pixels"]
        if name == "two_processes":  # both have photos to decode
            assert output.manifests[0]["metrics"]["counters"]["decoder_starts"] == 2
        assert ("metrics" in output.manifests[0]) == (name not in ("loopback", "external"))
        again = run_on(output.location, *flags)
        assert again.returncode == 0, again.stderr
        assert output.outcomes(2) == {"unchanged": 12}


def test_refusals_keep_their_codes_on_a_portable_runner(run_on: Any, album: Path, output: Any, tmp_path: Path) -> None:
    for place in range(60):
        (tmp_path / f"bad {place}.jpg").write_bytes(b"no photo")
    with loopback() as flags:
        ended = run_on(output.location, *flags, f"--input={tmp_path}")
    assert ended.returncode == 3, ended.stderr
    assert "63 of 72 stories are missing" in ended.stderr
    assert output.manifests == []


@pytest.mark.parametrize("name", ["DaskRunner", "BundleBasedDirectRunner", "RayRunner", "InteractiveRunner"])
def test_runners_that_lose_photos_are_refused(name: str, run_job: Any, output: Any, photo_pack: Pack) -> None:
    code, _, errors = run_job(f"--runner={name}", f"--output={output.location}", f"--pack={photo_pack.location}")
    assert code == 2 and f"--runner={name} is refused" in errors
    assert not Path(output.location).exists()


def test_local_paths_are_refused_on_dataflow(run_job: Any, output: Any, photo_pack: Pack, album: Path) -> None:
    code, _, errors = run_job(
        "--runner=DataflowRunner", f"--input={album}", "--uris=list.txt", f"--output={output.location}",
        f"--pack={photo_pack.location}", "--setup_file=./setup.py",
    )  # fmt: skip
    assert code == 2
    for flag, path in (("--input", album), ("--uris", "list.txt"), ("--output", output.location)):
        assert f"{flag} {path}: a local path" in errors
    assert f"--pack {photo_pack.location}: a local path" in errors
    assert not Path(output.location).exists()
