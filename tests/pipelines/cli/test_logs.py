"""Logs: each line of a JSON log is one object, whoever prints it; secrets are hidden in all that commands log."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest

from configs.schema import ConfigError
from model_handlers.pack import Pack
from model_handlers.stories import StoryHandler
from pipelines import evaluate
from pipelines.cli.commands import run_command
from pipelines.cli.logs import JsonFormatter, step_of_thread
from pipelines.cli.options import log_format_of
from pipelines.nightly.main_job import main

ROOT = Path(__file__).parents[3]
PROGRAM = """
import logging, os, subprocess, sys, threading, time, warnings

from pipelines.cli.logs import LOG, log_without_secrets, logging_as, name_run, say

hooks = threading.excepthook, sys.unraisablehook
with logging_as("json"):
    logging.warning("token=SECRET-01 %s", "of nobody", extra={"uri": "https://x/a.jpg?sig=SECRET-02", "stage": "read"})
    name_run("night")
    LOG.info("a wave")
    logging.info("not told")
    warnings.warn("see https://x/?sig=SECRET-03\\nsecond line")
    try:
        raise KeyError("api_key=SECRET-04")
    except KeyError:
        logging.exception("The run failed")
    thread = threading.Thread(target=int, args=("password=SECRET-05",), name="keeper")
    thread.start()
    thread.join()
    logging.warning("bad %d", "format")
    time.sleep(1)
    os.write(2, b"libtiff: pwd=SECRET-06 \\xff\\n")
    time.sleep(1)
    subprocess.run([sys.executable, "-c", "raise ValueError('token=SECRET-07')"])
    time.sleep(1)
    for _ in range(1000):
        print("x" * 99, file=sys.stderr)
    say("Stopped, token=SECRET-08", logging.ERROR)
    print("the last, without an end", end="", file=sys.stderr)
assert hooks == (threading.excepthook, sys.unraisablehook)
print("AFTER", file=sys.stderr)
"""


def parsed(printed: str) -> list[dict[str, str]]:
    """Returns the objects of a log, each of which has its time, severity, message and logger."""
    found = [json.loads(line) for line in printed.splitlines()]
    for entry in found:
        assert {"time", "severity", "message", "logger"} <= entry.keys()
        assert datetime.fromisoformat(entry["time"]).utcoffset() is not None
        assert entry["severity"] in ("INFO", "WARNING", "ERROR", "CRITICAL")
        assert all(isinstance(text, str) and text for text in entry.values())
    return found


@pytest.mark.slow
def test_each_line_is_one_object_whoever_prints_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "SECRET" not in done.stderr
    printed, _, after = done.stderr.rpartition("AFTER")
    assert after == "\n"
    entries = parsed(printed)
    first, wave, warning, failure, thread, form, tiff, child, *flood = entries
    assert first["message"] == "token=*** of nobody" and (first["stage"], first["uri"]) == (
        "read",
        "https://x/a.jpg?***",
    )
    assert "run_id" not in first and {entry["run_id"] for entry in entries[1:]} == {"night"}
    assert (wave["message"], wave["severity"], wave["logger"]) == ("a wave", "INFO", "storyteller")
    assert warning["logger"] == "py.warnings" and "second line" in warning["message"]
    assert failure["message"] == "The run failed" and failure["severity"] == "ERROR"
    assert failure["stack_trace"].startswith("Traceback") and "KeyError" in failure["stack_trace"]
    assert thread["message"] == "keeper failed" and "ValueError" in thread["stack_trace"]
    assert form["logger"] == "stderr" and "not all arguments" in form["message"] or "%d format" in form["message"]
    assert tiff["message"] == "libtiff: pwd=*** \ufffd" and tiff["severity"] == "WARNING"
    assert child["severity"] == "ERROR" and child["message"].count("\n") >= 2 and "ValueError" in child["message"]
    text = "\n".join(entry["message"] for entry in flood if entry["logger"] == "stderr")
    assert text.count("x") >= 1000 * 99 and text.rstrip().endswith("the last, without an end")
    (said,) = [entry for entry in flood if entry["logger"] != "stderr"]
    assert said["message"] == "Stopped, token=***" and said["severity"] == "ERROR"


def formatted(record: logging.LogRecord) -> dict[str, str]:
    (entry,) = parsed(JsonFormatter().format(record))
    return entry


def test_odd_texts_stay_one_line() -> None:
    for text in ("a\nb\r\n\u2028c", "caf\udce9", "\x00\x1b[1m", "-----BEGIN PRIVATE KEY-----\nSECRET\n"):
        record = logging.LogRecord("odd", logging.WARNING, "a.py", 1, text, None, None)
        line = JsonFormatter().format(record)
        assert line.isascii() and len(line.splitlines()) == 1 and "SECRET" not in line
    assert formatted(record)["message"] == "***"


def note_step(_: int) -> dict[str, str]:
    return formatted(logging.LogRecord("x", logging.WARNING, "a.py", 1, "slow", None, None))


def test_a_line_of_a_step_names_it() -> None:
    assert step_of_thread() is None

    def check(found: list[dict[str, str]]) -> None:
        assert [entry["stage"] for entry in found] == ["Decode stories/Note"]

    root = beam.Pipeline("FnApiRunner")
    noted = root | beam.Create([1]) | "Decode stories" >> Noting()
    _ = noted | beam.combiners.ToList() | beam.Map(check)
    root.run()


class Noting(beam.PTransform):
    def expand(self, numbers: Any) -> Any:
        return numbers | "Note" >> beam.Map(note_step)


@pytest.mark.parametrize(
    ("argv", "form"),
    [
        ([], "text"),
        (["--log-format=json"], "json"),
        (["--log_format", "json", "--bogus", "--beam-width"], "json"),
        (["--set", "log_format=json"], "json"),
        (["--config=FILE"], "json"),
        (["--config=FILE", "--log-format=text"], "text"),
        (["--config=FILE", "--set", "log_format=text"], "text"),
        (["--config=/no/such"], "text"),
        (["--config=/no/such", "--log-format=json"], "json"),
        (["--log-format"], "text"),
    ],
)
def test_the_format_is_known_before_all_else(tmp_path: Path, argv: list[str], form: str) -> None:
    (tmp_path / "run.yaml").write_text("log_format: json\nbeam_width: 0\n")
    assert log_format_of([word.replace("FILE", f"{tmp_path}/run.yaml") for word in argv]) == form


@pytest.fixture
def tell(capfd: Any, write_features: Any, output: Any, story_pack: Pack) -> Callable[..., tuple[int, str]]:
    """Returns a function that runs the main job with a JSON log, and returns the exit code and the log."""

    def run(*options: str) -> tuple[int, str]:
        one, other = np.random.RandomState(1).rand(2, 4096)
        features = write_features([("gs://b/a.jpg", one), ("gs://b/bad.jpg?token=SECRET", [1.0]), ("c", other)])
        places = (f"--features={features}", f"--output={output.location}", f"--pack={story_pack.location}")
        capfd.readouterr()
        code = main([*places, "--beam-width=2", "--max-words=10", "--device=cpu", "--log-format=json", *options])
        return code, capfd.readouterr().err

    return run


def test_a_run_logs_waves_dead_letters_and_the_commit(tell: Any, output: Any) -> None:
    before = logging.getLogger().handlers[:]
    code, printed = tell("--wave-size=2")
    assert code == 0 and logging.getLogger().handlers == before
    entries = parsed(printed)
    (manifest,) = output.manifests
    assert {entry["run_id"] for entry in entries} == {manifest["run_id"]}
    waves = [entry["message"] for entry in entries if "photos, " in entry["message"]]
    assert [wave.split(",")[0] for wave in waves] == ["2 of 3 photos", "3 of 3 photos"]
    assert waves[1].endswith("1 dead letter, 2 stories")
    (letter,) = [entry for entry in entries if "uri" in entry]
    assert (letter["uri"], letter["stage"]) == ("gs://b/bad.jpg", "captions")
    assert letter["message"].startswith("ValueError: the feature vector has shape (1,)")
    assert entries[-1]["message"] == "Published as 1: 1 dead letter, 2 stories"


def test_a_run_that_fails_logs_one_object(tell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise TypeError("a bug, password=SECRET")

    monkeypatch.setattr(StoryHandler, "infer", fail)
    code, printed = tell()
    assert code == 1 and "SECRET" not in printed
    by_beam, entry = parsed(printed)
    assert entry["message"] == "The run failed; nothing was published" and entry["severity"] == "ERROR"
    for one in (by_beam, entry):
        assert one["stack_trace"].startswith("Traceback") and "TypeError: a bug, password=***" in one["stack_trace"]
    assert by_beam["logger"].startswith("apache_beam") and by_beam["stage"].startswith("Decode stories/Infer stories/")


def test_what_is_wrong_with_options_is_one_object(tell: Any) -> None:
    code, printed = tell("--style=noir?token=SECRET", "--device=tpu")
    assert code == 2 and "SECRET" not in printed
    (entry,) = parsed(printed)
    assert entry["message"].startswith("The job was not started:\n  - ") and entry["severity"] == "ERROR"


@pytest.mark.parametrize("error", [ConfigError(["gs://b?sig=SECRET is gone"]), OSError("token=SECRET is wrong")])
def test_other_commands_hide_secrets_too(error: Exception, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> Any:
        logging.warning("looking at https://x/?sig=SECRET")
        raise error

    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a process of its own
    assert run_command(fail, []) == (2 if isinstance(error, ConfigError) else 1)
    printed = capsys.readouterr().err
    assert "SECRET" not in printed and printed.count("***") >= 2
    assert "WARNING looking at https://x/?***" in printed


def test_evaluations_hide_secrets_too(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    assert evaluate.main(["retrieval", "--pack=/no/pack?token=SECRET", "--photos=x", "--captions=y"]) == 2
    printed = capsys.readouterr().err
    assert "SECRET" not in printed and "***" in printed
