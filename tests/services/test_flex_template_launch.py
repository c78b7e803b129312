"""A Flex Template in Google's launcher, up to the job file that Dataflow starts."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.services

ROOT = Path(__file__).resolve().parents[2]
RUN = str(ROOT / "pipelines/run.py")


@pytest.fixture
def job_file() -> str:
    """Returns where the launcher looks for the job, in a bucket that all tests share."""
    return f"gs://photos/launches/{uuid.uuid4().hex}/job_object"


@pytest.fixture
def launch(cloud: Any, job_file: str, tmp_path: Path) -> Any:
    """Returns a function that starts the main job as the launcher does: as a script, each parameter as text."""
    cloud.put_folder("packs/pocket", ROOT / "packs/pocket")

    def run(**parameters: str) -> subprocess.CompletedProcess[str]:
        environment = cloud.environment | {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(ROOT)}
        flags = [flag for flag in cloud.flags if not flag.startswith("--sdk_")]
        command = [sys.executable, RUN, *flags, "--job_name=night", f"--template_location={job_file}"]
        command += [f"--{name}={value}" for name, value in parameters.items()]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    return run


PARAMETERS = {
    "sdk_container_image": "registry.example/demo/storyteller:0.1.0",
    "input": '["gs://photos/a/**", "gs://photos/b c/**"]',
    "output": "gs://photos/flex",
    "pack": "gs://photos/packs/pocket",
    "lyric": "true",
    "style_strength": "0.5",
    "accelerator": "type:nvidia-l4;count:1;install-nvidia-driver",
}


def test_the_launcher_gets_a_job_file(cloud: Any, launch: Any, job_file: str) -> None:
    """Nobody waits for the job, or takes a job that was only written for one that is done: it keeps its lease."""
    run = launch(**PARAMETERS)
    assert run.returncode == 0, run.stderr
    assert f"is written to {job_file}" in run.stderr
    job = json.loads(cloud.get(job_file))
    assert job["name"] == "night"
    assert not [request for request in cloud.record.requests if request.startswith("POST")]
    names = cloud.names("flex/")
    assert sorted({name.split("/")[1] for name in names}) == ["leases", "runs"]
    (started,) = [name for name in names if name.endswith("started.json")]
    settings = json.loads(cloud.get(f"gs://photos/{started}"))["settings"]
    assert settings["input"] == ["gs://photos/a/**", "gs://photos/b c/**"]
    assert (settings["lyric"], settings["style_strength"]) == (True, 0.5)
    assert "sdk_container_image" in json.dumps(job)
    assert os.fspath(ROOT) not in json.dumps(settings)


def test_a_wrong_parameter_stops_the_launch(cloud: Any, launch: Any, job_file: str) -> None:
    run = launch(**PARAMETERS | {"lyric": "perhaps"})
    assert run.returncode == 2
    assert "lyric" in run.stderr
    assert cloud.names(job_file.removeprefix("gs://photos/")) == []
