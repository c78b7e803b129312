"""How commands end: one exit code and one text for each kind of error."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from configs.schema import ConfigError
from model_handlers.pack_card import PackError
from pipelines.cli.commands import CODES, EndingTexts, ExitCode, nothing_made, run_command
from pipelines.tables.leases import LeaseHeldError
from pipelines.tables.refusals import CommitConflictError, TooManyDeadLettersError
from transforms.write_whole import StorageFullError

ROOT = Path(__file__).parents[3]
TEXTS = EndingTexts("Refused:", "Halted", "Broken")
ENDINGS: dict[str, tuple[BaseException, int, str]] = {
    "wrong options": (ConfigError(["--a: wrong", "--b: wrong"]), 2, "Refused:\n  - --a: wrong\n  - --b: wrong\n"),
    "wrong pack": (PackError(["p: no pack"]), 2, "Refused:\n  - p: no pack\n"),
    "too many dead letters": (TooManyDeadLettersError("60 of 80"), 3, "60 of 80\n"),
    "conflict": (CommitConflictError("another run"), 4, "another run\n"),
    "lease": (LeaseHeldError("leased"), 4, "leased\n"),
    "Ctrl-C": (KeyboardInterrupt(), 1, "Halted\n"),
    "foreseen": (StorageFullError("/a is full"), 1, "Broken: /a is full\n"),
}


@pytest.mark.parametrize(("error", "code", "printed"), ENDINGS.values(), ids=ENDINGS)
def test_each_error_has_its_code_and_text(error: BaseException, code: int, printed: str, capsys: Any) -> None:
    def fail(argv: list[str]) -> int:
        assert argv == ["--x"]
        raise error

    assert run_command(fail, ["--x"], TEXTS) == code
    assert capsys.readouterr() == ("", printed)


def test_a_bug_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: list[str]) -> int:
        raise KeyError("a bug")

    assert run_command(fail, [], TEXTS) == ExitCode.FAILED
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "Broken" and record.exc_info


def test_what_a_job_returns_is_the_code() -> None:
    assert [run_command(lambda argv: len(argv), ["x"] * count) for count in range(3)] == [0, 1, 2]


def test_help_ends_as_ever(capsys: Any) -> None:
    def leave(_: list[str]) -> int:
        raise SystemExit(0)

    with pytest.raises(SystemExit):
        run_command(leave, [])


def test_the_codes_are_those_that_schedulers_know() -> None:
    assert {code.name: code.value for code in ExitCode.__members__.values()} == {
        "DONE": 0,
        "FAILED": 1,
        "WRONG": 2,
        "TOO_MANY_DEAD_LETTERS": 3,
        "CONFLICT": 4,
    }
    assert ExitCode.LAST_RUN_FAILED == 3 and set(CODES.values()) == {2, 3, 4}


def test_what_makes_a_thing_says_that_there_is_none() -> None:
    made = nothing_made("pack")
    assert (made.refused, made.stopped, made.failed) == (
        "No pack was made:",
        "Stopped; no pack was made",
        "The command failed; no pack was made",
    )


def test_a_reader_that_has_gone_is_no_failure() -> None:
    program = (
        "import sys; from pipelines.cli.commands import run_command; from pipelines.cli.ending import end_process\n"
        "end_process(run_command(lambda argv: [print('line ' * 20) for _ in range(5000)] and 0, []))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(60) == 1


def test_a_broken_pipe_elsewhere_is_one(caplog: pytest.LogCaptureFixture) -> None:
    def fail(argv: list[str]) -> int:
        raise BrokenPipeError("a store hung up")

    assert run_command(fail, [], TEXTS) == 1 and "a store hung up" in caplog.text
