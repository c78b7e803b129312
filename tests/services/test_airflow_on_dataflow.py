"""Airflow's operator hands the main job to Dataflow and finds out which job to wait for."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.services, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
NIGHT = """
from unittest import mock
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.google.cloud.hooks.dataflow import DataflowHook

# The hook would ask Google how the job goes.
with mock.patch.object(DataflowHook, "wait_for_done") as wait:
    run = DagBag().dags["storyteller_nightly"].test(mark_success_pattern="draw_page|tidy_up|check_freshness")
print("WAITED", wait.call_args.kwargs["job_id"], wait.call_args.kwargs["project_id"], wait.call_args.kwargs["location"])
"""


@pytest.fixture
def night(cloud: Any, airflow: Any, tmp_path: Path) -> Any:
    """Returns a function that runs the DAG as far as the submission into an OUTPUT; it returns what Airflow says."""
    cloud.put_folder("packs/pocket", ROOT / "packs/pocket")
    beam = dict(flag.removeprefix("--").partition("=")[::2] for flag in cloud.flags)
    config = {
        "input": ["gs://photos/photos/**"],
        "pack": "gs://photos/packs/pocket",
        "beam_options": {name: value or True for name, value in beam.items() if name != "runner"},
    }
    (tmp_path / "night.yaml").write_text(json.dumps(config))
    names = ("STORAGE_EMULATOR_HOST", "GCE_METADATA_HOST", "GCE_METADATA_IP", "GOOGLE_CLOUD_PROJECT")
    around = {name: cloud.environment[name] for name in names}
    around["AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"] = "google-cloud-platform://?project=demo"

    def run(output: str) -> str:
        variable = {"config": str(tmp_path / "night.yaml"), "output": output, "page": "gs://photos/page"}
        variable |= {"project": "demo", "region": "europe-west4"}
        process = airflow("-c", NIGHT, variable=variable, **around)
        return process.stdout + process.stderr

    return run


def test_the_operator_finds_the_job(cloud: Any, night: Any) -> None:
    said = night("gs://photos/airflow")
    ((name, job),) = cloud.record.jobs.items()
    assert f"WAITED {name} demo europe-west4" in said, said[-5000:]
    assert job["name"].startswith("storyteller-")
    assert "airflow-version" in job["labels"]
    leases = [cloud.get(f"gs://photos/{name}") for name in cloud.names("airflow/leases/")]
    assert [json.loads(lease)["sources"] for lease in leases] == [["gs://photos/photos/**"]]


def test_a_job_that_fails_lets_go_of_its_photos(cloud: Any, night: Any) -> None:
    """The operator leaves the process that submitted it behind, with nobody to write to, and it still does that."""
    cloud.record.end = "JOB_STATE_FAILED"
    night("gs://photos/airflow-fails")
    started = cloud.names("airflow-fails/runs/")
    assert len(started) == 1
    end = time.monotonic() + 90
    while cloud.names("airflow-fails/leases/"):
        assert time.monotonic() < end, "the lease is still held"
        time.sleep(1)
