"""Why a run failed: found in the error, in its causes, and in the text that a runner makes of it."""

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineRunner

from model_handlers.handler import resolve_device
from model_handlers.pack_card import PackError
from model_handlers.run_errors import DeviceError, OutOfMemory
from pipelines.cli.failures import WorkerDiedError, reason
from pipelines.nightly.workers import run_watched
from transforms.write_whole import StorageFullError

QUOTED = """Traceback (most recent call last):
  File "x.py", line 1, in write
    raise StorageFullError(f"{uri} is full")
transforms.write_whole.StorageFullError: /a/b: is full. Make room [while running 'Write stories/Write shards']

"""


class BrokenPack(PackError):
    """A class of errors below a foreseen one."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OutOfMemory("no memory"), "no memory"),
        (PackError(["a: missing", "b: missing"]), "a: missing; b: missing"),
        (WorkerDiedError("worker process 3 died"), "worker process 3 died"),
        (StorageFullError("/a is full [while running 'Write']"), "/a is full"),
        (RuntimeError(QUOTED), "/a/b: is full. Make room"),
        (RuntimeError("StorageFullError: /a is full [while running 'Write']"), "/a is full"),
        (BrokenPack("a: no card"), "a: no card"),
        (RuntimeError(f"{BrokenPack.__module__}.BrokenPack: a: no card"), "a: no card"),
        (RuntimeError(f"{PackError.__module__}.PackError: a: missing; b: missing\n"), "a: missing; b: missing"),
        (RuntimeError("a bug"), None),
        (RuntimeError("other.StorageFullErrors: no such class"), None),
        (KeyError("StorageFullErrors"), None),
        (MemoryError(), None),
    ],
)
def test_reasons(error: Exception, told: str | None) -> None:
    assert reason(error) == told


def test_the_reason_of_a_cause() -> None:
    with pytest.raises(RuntimeError) as raised:
        try:
            raise PackError(["the pack is gone"])
        except PackError as error:
            raise RuntimeError("stage 3 failed") from error
    assert reason(raised.value) == "the pack is gone"


def test_the_outermost_reason_counts() -> None:
    with pytest.raises(RuntimeError) as raised:
        try:
            try:
                raise StorageFullError("/a is full")
            except StorageFullError:
                raise PackError(["the pack cannot be copied"])  # noqa: B904 (it happened while the other was handled)
        except PackError as error:
            raise RuntimeError("stage 3 failed") from error
    assert reason(raised.value) == "the pack cannot be copied"


def test_what_was_left_out_of_the_traceback_is_no_reason() -> None:
    with pytest.raises(RuntimeError) as raised:
        try:
            raise StorageFullError("/a is full")
        except StorageFullError:
            raise RuntimeError("a bug") from None
    assert reason(raised.value) is None


@pytest.mark.parametrize("mode", ["in_memory", pytest.param("multi_processing", marks=pytest.mark.slow)])
def test_the_reason_of_a_worker(mode: str) -> None:
    """In another process Beam makes a text of the error, and a RuntimeError of the text."""
    options = PipelineOptions([f"--direct_running_mode={mode}", "--direct_num_workers=1"])

    def run(runner: PipelineRunner | None) -> None:
        with beam.Pipeline(runner or "FnApiRunner", options) as root:
            _ = root | beam.Create(["tpu"]) | "Resolve device" >> beam.Map(resolve_device)

    with pytest.raises(Exception) as raised:  # noqa: PT011 (its class is the runner's)
        run_watched(options, run)
    assert isinstance(raised.value, DeviceError) == (mode == "in_memory")
    assert reason(raised.value) == "device 'tpu' is unknown; it can be auto, cpu, cuda"
