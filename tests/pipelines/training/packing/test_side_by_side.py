"""Jobs side by side: their order, what goes wrong, and that none outlives the process that began it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from pipelines.training.packing.side_by_side import run_side_by_side

BEGUN = """
from functools import partial
from pipelines.training.packing.side_by_side import run_side_by_side
code = "import os, pathlib, time; pathlib.Path({path!r}).write_text(str(os.getpid())); time.sleep(600)"
run_side_by_side({{"job": partial(exec, code, {{}})}}, {{"job": []}}, 2)
"""


def within(seconds: float, path: Path) -> str:
    """Returns what a file holds as soon as it holds something."""
    end = time.monotonic() + seconds
    while not path.exists() or not path.read_text():
        assert time.monotonic() < end, f"no {path.name} after {seconds} seconds"
        time.sleep(0.05)
    return path.read_text()


def test_a_job_waits_for_those_that_it_needs(tmp_path: Path) -> None:
    names = [tmp_path / name for name in "abcd"]
    jobs = {"third": partial(os.rename, names[2], names[3]), "second": partial(os.rename, names[1], names[2])}
    jobs |= {"first": partial(os.rename, names[0], names[1])}
    names[0].touch()
    run_side_by_side(jobs, {"third": ["second"], "second": ["first"], "first": []}, 2)
    assert list(tmp_path.iterdir()) == [names[3]]


def test_two_jobs_run_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "both")
    jobs = {
        "writes": partial(Path.write_text, tmp_path / "both", "met"),
        "reads": partial(Path.read_text, tmp_path / "both"),
    }
    run_side_by_side(jobs, {"writes": [], "reads": []}, 2)  # each waits for the other to open its end


def test_an_error_comes_through_and_ends_the_others(tmp_path: Path) -> None:
    jobs = {
        "long": partial(time.sleep, 600),
        "fails": partial(int, "seven"),
        "later": partial(Path.touch, tmp_path / "l"),
    }
    with pytest.raises(ValueError, match="seven"):
        run_side_by_side(jobs, {"long": [], "fails": [], "later": ["fails"]}, 2)
    assert not multiprocessing.active_children()
    assert not (tmp_path / "l").exists()


def test_a_job_ends_with_the_process_that_began_it(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    first = subprocess.Popen([sys.executable, "-c", BEGUN.format(path=str(path))])
    job = int(within(60, path))
    first.send_signal(signal.SIGKILL)
    first.wait()
    end = time.monotonic() + 30
    while Path(f"/proc/{job}").exists() and "zombie" not in Path(f"/proc/{job}/status").read_text():
        assert time.monotonic() < end, "the job outlives it"
        time.sleep(0.05)
