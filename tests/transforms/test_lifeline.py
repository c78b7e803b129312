"""Lifelines: a process ends with the one that holds the other end of its pipe, even in the midst of work."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START = "import sys, time; from transforms.lifeline import tie, untie"
WORK = {"Python": "while True: pass", "a wait": "time.sleep(1000)", "C that keeps Python's lock": "pow(7, 1 << 30)"}


def start(program: str) -> subprocess.Popen:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", f"{START}\n{program}"], stdin=pipe, stdout=pipe, cwd=ROOT)


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_the_process_ends_when_the_pipe_is_closed(work: str) -> None:
    process = start(f"tie(0); print(flush=True)\n{work}")
    assert process.stdin and process.stdout and process.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.stdin.close()
    assert process.wait(10) != 0
    process.stdout.close()


def test_a_pipe_that_was_closed_before_ends_it_too() -> None:
    process = start("sys.stdin.read(); tie(0); print('still here')")
    assert process.communicate()[0] == b"" and process.returncode != 0


def test_messages_may_come_when_it_is_untied() -> None:
    process = start("tie(0); untie(0); print(flush=True); print(sys.stdin.read())")
    assert process.stdout and process.stdout.readline()
    assert process.communicate(b"a message") == (b"a message\n", None)
    assert process.returncode == 0


def test_a_process_whose_starter_is_killed_ends() -> None:
    child = f"{START}\ntie(0); print(flush=True); time.sleep(1000)"
    starts = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}], stdin=-1).wait()"
    starter = subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, cwd=ROOT)
    assert starter.stdout and starter.stdout.readline()
    starter.kill()
    assert starter.stdout.read() == b""  # which ends when the last process that has it does
    starter.wait()
    starter.stdout.close()
