"""Why a run failed: found in the error, in its causes, and in the text that a runner makes of it."""

import pytest

from model_handlers.memory import OutOfMemory
from model_handlers.pack_card import PackError
from pipelines.cli.failures import reason
from pipelines.nightly.workers import WorkerDiedError
from transforms.write_whole import StorageFullError

QUOTED = """Traceback (most recent call last):
  File "x.py", line 1, in write
    raise StorageFullError(f"{uri} is full")
transforms.write_whole.StorageFullError: /a/b: is full. Make room [while running 'Write stories/Write shards']

"""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OutOfMemory("no memory"), "no memory"),
        (PackError(["a: missing", "b: missing"]), "a: missing; b: missing"),
        (WorkerDiedError("worker process 3 died"), "worker process 3 died"),
        (StorageFullError("/a is full [while running 'Write']"), "/a is full"),
        (RuntimeError(QUOTED), "/a/b: is full. Make room"),
        (RuntimeError("StorageFullError: /a is full [while running 'Write']"), "/a is full"),
        (RuntimeError("a bug"), None),
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
