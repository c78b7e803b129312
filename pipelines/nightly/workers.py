"""Worker processes of a local run. They are watched: if one dies, the run ends.

With `--direct_running_mode=multi_processing` Beam's FnApiRunner starts processes, and waits forever for the answer of
a process that has died. Here it starts them in an environment of our own, whose handler notices when they end.
"""

import contextlib
import logging
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2_grpc, beam_provision_api_pb2, beam_runner_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo, FnApiRunner, RunnerResult
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    GrpcServer,
    GrpcWorkerHandler,
    StateServicer,
    WorkerHandler,
)
from apache_beam.runners.runner import PipelineRunner
from apache_beam.runners.worker.log_handler import LOGENTRY_TO_LOG_LEVEL_MAP
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance
from google.protobuf import json_format, text_format

from pipelines.cli.failures import WorkerDiedError
from pipelines.cli.runners import runner_name
from transforms.cores import cores

COMMAND = (sys.executable, "-m", "pipelines.nightly.worker_process", "apache_beam.runners.worker.sdk_worker_main")
ROOT = Path(__file__).parents[2]  # where the command finds this code
SYSTEM_COUNTS = Path("/proc/vmstat")
WATCHED = "storyteller:env:watched_process:v1"  # in the form of Beam's environment names
GRACE = 0.5  # seconds for threads to notice that their workers are gone


class Crew:
    """The worker processes of one pipeline.

    Args:
        threads: torch threads of each process; None leaves the choice to torch, one a core.

    Attributes:
        endings: receives None if the pipeline has succeeded, its error if it has failed, and an error for each worker
            that dies.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._environment = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        self.endings: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._ended = False

    def start(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Starts a process with additional environment variables; it ends when its standard input is closed."""
        with self._lock:
            if self._ended:
                raise RuntimeError("the pipeline is over")
            around = os.environ | self._environment | environment
            process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, env=around)
            self._processes.append(process)
        return process

    def end(self) -> None:
        """Ends the running processes and refuses to start more."""
        with self._lock:
            self._ended = True
            for process in self._processes:
                process.kill()
        for process in self._processes:
            process.wait()


def in_processes(options: PipelineOptions) -> bool:
    """Returns whether the runner starts worker processes on this machine."""
    return bool(options.view_as(DirectOptions).direct_running_mode == "multi_processing")


def worker_threads(options: PipelineOptions) -> int | None:
    """Returns the torch threads of each worker process: its share of the cores; None for a single worker."""
    workers = options.view_as(DirectOptions).direct_num_workers or cores()
    if workers == 1 or not in_processes(options):
        return None
    return max(1, cores() // workers)


def run_watched(options: PipelineOptions, run: Callable[[PipelineRunner | None], None]) -> None:
    """Calls a function that runs a pipeline, until it returns or one of the pipeline's worker processes dies.

    Args:
        options: options of the pipeline.
        run: function that runs the pipeline on the given runner; None leaves the choice to the options.

    Raises:
        WorkerDiedError: a worker died; the others were ended, and no part of the pipeline is running.
    """
    if not in_processes(options) or runner_name(options) == "PrismRunner":
        run(None)
        return
    crew = Crew(worker_threads(options))
    with _hide_cut_off_threads(), _serve_logs() as logs:
        runner = WatchedRunner(crew, logs)
        threading.Thread(target=_report, args=(partial(run, runner), crew.endings), daemon=True).start()
        try:
            ended = crew.endings.get()
            if ended is not None and not isinstance(ended, WorkerDiedError):
                with contextlib.suppress(queue.Empty):  # a pipeline that fails because a worker died
                    ended = crew.endings.get(timeout=1)
        finally:
            crew.end()
        if ended is not None:
            time.sleep(GRACE)
            raise ended


@contextlib.contextmanager
def _hide_cut_off_threads() -> Iterator[None]:
    """Hides failures of the runner's threads that read from a dead worker, since its end is reported separately."""
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not isinstance(failure.exc_value, grpc.RpcError):
            before(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _report(run: Callable[[], None], endings: "queue.SimpleQueue[BaseException | None]") -> None:
    try:
        run()
        endings.put(None)
    except BaseException as error:
        endings.put(error)


@contextlib.contextmanager
def _serve_logs() -> Iterator[str]:
    """Yields the address to which worker processes send their log records, which join the log of the run."""
    server = grpc.server(shared_unbounded_instance(), options=[("grpc.http2.max_ping_strikes", 0)])  # of any number
    beam_fn_api_pb2_grpc.add_BeamFnLoggingServicer_to_server(WorkerLogs(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        server.stop(0)


class WorkerLogs(beam_fn_api_pb2_grpc.BeamFnLoggingServicer):
    """Receives the log records of worker processes."""

    def Logging(self, bundles: Iterable[Any], context: object = None) -> Iterator[Any]:  # noqa: N802 (Beam's name)
        """Logs the records of a worker until it ends; returns no answers."""
        for bundle in bundles:
            for entry in bundle.log_entries:
                text = "\n".join(filter(None, (entry.message, entry.trace)))
                logging.log(LOGENTRY_TO_LOG_LEVEL_MAP[entry.severity], "Worker: %s", text)
        return iter(())


class CrewInfo(ExtendedProvisionInfo):
    """What FnApiRunner passes to the handler of each worker, and the crew that starts the worker.

    Args:
        crew: the worker processes of the pipeline.
        logs: address to which they send their log records.
        info: Beam's own provision info.
    """

    def __init__(self, crew: Crew, logs: str, info: beam_provision_api_pb2.ProvisionInfo) -> None:
        super().__init__(info)
        self.crew = crew
        self.logs = logs

    def for_environment(self, env: beam_runner_api_pb2.Environment) -> "CrewInfo":
        """Returns the info for the steps of one environment."""
        return CrewInfo(self.crew, self.logs, super().for_environment(env).provision_info)


class WatchedRunner(FnApiRunner):
    """FnApiRunner with watched worker processes.

    Args:
        crew: crew that starts the processes.
        logs: address to which they send their log records.
    """

    def __init__(self, crew: Crew, logs: str) -> None:
        info = beam_provision_api_pb2.ProvisionInfo(retrieval_token="none")
        super().__init__(provision_info=CrewInfo(crew, logs, info))

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> RunnerResult:
        """Runs a pipeline with watched environments in place of its subprocess environments."""
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                environment.urn = WATCHED
        return super().run_via_runner_api(pipeline_proto, options)


@WorkerHandler.register_environment(WATCHED, bytes)
class WatchedWorker(GrpcWorkerHandler):
    """A worker process of WatchedRunner, which reports when it dies.

    Args:
        _command: command that Beam would start; not used.
        state: as for every handler of Beam.
        info: info with the crew.
        server: as for every handler of Beam.
    """

    def __init__(self, _command: bytes, state: StateServicer, info: CrewInfo, server: GrpcServer) -> None:
        super().__init__(state, info, server)
        self._crew = info.crew
        self._asked_to_end = False
        self._killed_before = killed_for_memory()
        self._process = self._crew.start(self._environment(info.logs))

    def _environment(self, logs: str) -> dict[str, str]:
        """Returns the environment variables: where the process finds this code, and what Beam's harness reads."""
        control, logging_ = (endpoints_pb2.ApiServiceDescriptor(url=url) for url in (self.control_address, logs))
        return {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "WORKER_ID": self.worker_id,
            "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(control),
            "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(logging_),
            "PIPELINE_OPTIONS": json_format.MessageToJson(self.provision_info.provision_info.pipeline_options),
        }

    def start_worker(self) -> None:
        """Watches the process, which connects to the run by itself."""
        threading.Thread(target=self._tell_end, daemon=True).start()

    def _tell_end(self) -> None:
        code = self._process.wait()
        if code < 0 or not self._asked_to_end:
            for_memory = killed_for_memory() > self._killed_before
            self._crew.endings.put(WorkerDiedError(describe_end(self._process.pid, code, for_memory)))

    def close(self) -> None:
        """Asks the process to end, and waits until it has."""
        self._asked_to_end = True
        super().close()

    def stop_worker(self) -> None:
        """Waits for the end of the process."""
        self._process.wait()
        assert self._process.stdin
        self._process.stdin.close()


def killed_for_memory() -> int:
    """Returns how many processes the system has killed since it started because memory ran out.

    It is 0 if the system does not count them.
    """
    try:
        found = re.search(r"^oom_kill (\d+)$", SYSTEM_COUNTS.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def describe_end(pid: int, code: int, for_memory: bool) -> str:
    """Returns how a worker process ended, and what to do, in words."""
    how = f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
    more = "Use fewer workers (--direct_num_workers), smaller batches (--batch-size) or a machine with more memory"
    if code == -signal.SIGKILL:
        how = "was killed (SIGKILL), by a user or by the system, which does so when memory is short"
        if for_memory:
            how = "was killed by the system (SIGKILL): memory ran out"
    advice = f"{more}, and run again" if code == -signal.SIGKILL else "Run again"
    return f"worker process {pid} {how}. {advice}; committed stories stay published"
