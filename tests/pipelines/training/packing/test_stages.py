"""Stages in parallel: their order, their errors, and that none outlives the process that started it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from tqdm import tqdm

from configs.schema import ConfigError
from pipelines.training.packing import stages
from pipelines.training.packing.stages import run_beside

BEGUN = """
from functools import partial
from pipelines.training.packing.stages import run_beside
code = "import os, pathlib, time; pathlib.Path({path!r}).write_text(str(os.getpid())); time.sleep(600)"
run_beside({{"job": partial(exec, code, {{}})}}, {{"job": []}}, 2)
"""
THREADS = "import pathlib, torch; pathlib.Path({path!r}).write_text(str(torch.get_num_threads()))"


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
    run_beside(jobs, {"third": ["second"], "second": ["first"], "first": []}, 2)
    assert list(tmp_path.iterdir()) == [names[3]]


def test_two_jobs_run_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "both")
    jobs = {
        "writes": partial(Path.write_text, tmp_path / "both", "met"),
        "reads": partial(Path.read_text, tmp_path / "both"),
    }
    run_beside(jobs, {"writes": [], "reads": []}, 2)  # each waits for the other to open its end


def test_processes_share_the_cores_and_this_one_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "cores", lambda: 6)
    before = torch.get_num_threads(), tqdm.get_lock()
    run_beside({"job": partial(exec, THREADS.format(path=str(tmp_path / "threads")))}, {"job": []}, 2)
    assert (tmp_path / "threads").read_text() == "3"
    assert (torch.get_num_threads(), tqdm.get_lock()) == before


def test_an_error_comes_through_and_ends_the_others(tmp_path: Path) -> None:
    jobs = {
        "long": partial(time.sleep, 600),
        "fails": partial(int, "seven"),
        "later": partial(Path.touch, tmp_path / "l"),
    }
    with pytest.raises(ValueError, match="seven") as caught:
        run_beside(jobs, {"long": [], "fails": [], "later": ["fails"]}, 2)
    (note,) = caught.value.__notes__
    assert note == "fails failed; the other trainings were stopped, and a second call resumes them"
    assert not multiprocessing.active_children()
    assert not (tmp_path / "l").exists()


def test_all_problems_come_through(tmp_path: Path) -> None:
    code = "from configs.schema import ConfigError; raise ConfigError(['one: is wrong', 'two: too'])"
    with pytest.raises(ConfigError) as caught:
        run_beside({"job": partial(exec, code)}, {"job": []}, 2)
    assert caught.value.problems == ["one: is wrong", "two: too"] and str(caught.value) == "one: is wrong; two: too"


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
