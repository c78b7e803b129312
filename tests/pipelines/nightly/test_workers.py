"""Watched workers: how a worker's death is reported, and how the pipeline ends."""

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.runners.worker.channel_factory import GRPCChannelFactory

from pipelines.cli.failures import WorkerDiedError, reason
from pipelines.nightly import workers
from pipelines.nightly.workers import (
    Crew,
    WatchedRunner,
    WorkerLogs,
    describe_end,
    killed_for_memory,
    run_watched,
    worker_threads,
)
from transforms.cores import cores

TWO = PipelineOptions(["--direct_running_mode=multi_processing"])


@pytest.mark.parametrize(
    ("code", "for_memory", "words"),
    [
        (-9, False, ["was killed (SIGKILL), by a user or by the system", "--direct_num_workers", "run again"]),
        (-9, True, ["was killed by the system (SIGKILL): memory ran out", "--batch-size", "more memory"]),
        (-11, False, ["was ended by SIGSEGV. Run again"]),
        (-7, False, ["was ended by SIGBUS"]),
        (3, False, ["ended with exit code 3. Run again"]),
        (0, False, ["ended with exit code 0"]),
    ],
)
def test_how_a_worker_ended(code: int, for_memory: bool, words: list[str]) -> None:
    told = describe_end(17, code, for_memory)
    assert told.startswith("worker process 17 ") and all(word in told for word in words), told


def test_the_systems_count_of_killed_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = tmp_path / "vmstat"
    monkeypatch.setattr(workers, "SYSTEM_COUNTS", counts)
    assert killed_for_memory() == 0
    counts.write_text("nr_free_pages 12\noom_kill 4\nfoo_oom_kill 9\n")
    assert killed_for_memory() == 4
    counts.write_text("nr_free_pages 12\n")
    assert killed_for_memory() == 0


@pytest.mark.parametrize("options", [PipelineOptions([]), TWO])
def test_a_pipeline_that_ends_by_itself(options: PipelineOptions) -> None:
    calls: list[Any] = []
    before = threading.excepthook
    run_watched(options, calls.append)
    assert [type(runner) for runner in calls] == [WatchedRunner if options is TWO else type(None)]

    def fail(runner: Any) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        run_watched(options, fail)
    assert threading.excepthook is before


def test_only_threads_that_a_worker_cut_off_fail_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: seen.append(failure.exc_type))

    def fail(error: Exception) -> None:
        raise error

    def run(runner: Any) -> None:
        for error in (grpc.RpcError(), KeyError("a bug")):
            thread = threading.Thread(target=fail, args=(error,))
            thread.start()
            thread.join()

    run_watched(TWO, run)
    assert seen == [KeyError]


def test_a_crew_ends_and_starts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, "-c", "import time; time.sleep(100)"))
    crew = Crew()
    process = crew.start({"NAME": "one"})
    assert process.poll() is None
    crew.end()
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(RuntimeError, match="the pipeline is over"):
        crew.start({})


@pytest.mark.parametrize("first", ["death", "error"])
def test_a_death_explains_an_error(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner may notice that an answer is missing before the system says that a process has ended."""
    crew = Crew()
    monkeypatch.setattr(workers, "Crew", lambda threads: crew)

    def run(runner: Any) -> None:
        if first == "death":
            crew.endings.put(WorkerDiedError("it died"))
            time.sleep(0.2)
        else:
            crew.endings.put(RuntimeError("no answer"))
            crew.endings.put(WorkerDiedError("it died"))
            time.sleep(2)

    with pytest.raises(WorkerDiedError, match="it died") as raised:
        run_watched(TWO, run)
    assert reason(raised.value) == "it died"


@pytest.mark.parametrize(
    ("cores", "flags", "threads"),
    [
        (8, [], None),
        (8, ["--direct_num_workers=2"], None),  # one process all the same
        (8, ["--direct_running_mode=multi_processing", "--direct_num_workers=2"], 4),
        (8, ["--direct_running_mode=multi_processing", "--direct_num_workers=3"], 2),
        (2, ["--direct_running_mode=multi_processing", "--direct_num_workers=4"], 1),
        (8, ["--direct_running_mode=multi_processing", "--direct_num_workers=0"], 1),  # a worker a core
        (8, ["--direct_running_mode=multi_processing", "--direct_num_workers=1"], None),
    ],
)
def test_worker_processes_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, flags: list[str], threads: int | None
) -> None:
    monkeypatch.setattr(workers, "cores", lambda: cores)
    assert worker_threads(PipelineOptions(flags)) == threads


def test_the_networks_of_a_worker_have_its_share_of_the_threads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = "import sys, torch; open(sys.argv[1], 'w').write(str(torch.get_num_threads()))"
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, "-c", program, str(tmp_path / "threads")))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert Crew(1).start({}).wait() == 0
    assert (tmp_path / "threads").read_text() == "1"
    assert Crew().start({}).wait() == 0
    assert (tmp_path / "threads").read_text() == str(min(2, cores())), "torch chooses"


def test_what_workers_log(caplog: pytest.LogCaptureFixture) -> None:
    entry = SimpleNamespace(severity=5, message="out of ink", trace="at line 3")
    with caplog.at_level(logging.INFO):
        list(WorkerLogs().Logging([SimpleNamespace(log_entries=[entry])]))
    assert caplog.messages == ["Worker: out of ink\nat line 3"]


@pytest.mark.slow
def test_workers_may_ping_while_they_log_nothing() -> None:
    def wait() -> Iterator[beam_fn_api_pb2.LogEntry.List]:
        time.sleep(7)
        yield beam_fn_api_pb2.LogEntry.List()

    often = dict(GRPCChannelFactory.DEFAULT_OPTIONS) | {"grpc.keepalive_time_ms": 1000}  # in truth 20 times that
    with workers._serve_logs() as address, grpc.insecure_channel(address, list(often.items())) as channel:
        assert list(beam_fn_api_pb2_grpc.BeamFnLoggingStub(channel).Logging(wait())) == []


def test_a_worker_process_whose_run_is_gone_ends() -> None:
    process = subprocess.Popen(workers.COMMAND, stdin=subprocess.PIPE, cwd=workers.ROOT)
    process.communicate()
    assert process.returncode != 0
