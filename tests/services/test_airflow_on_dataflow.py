"""Airflow's operator hands the main job to Dataflow and finds out which job to wait for."""

import json
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


def test_the_operator_finds_the_job(cloud: Any, airflow: Any, tmp_path: Path) -> None:
    cloud.put_folder("packs/pocket", ROOT / "packs/pocket")
    beam = dict(flag.removeprefix("--").partition("=")[::2] for flag in cloud.flags)
    config = {
        "input": ["gs://photos/photos/**"],
        "pack": "gs://photos/packs/pocket",
        "beam_options": {name: value or True for name, value in beam.items() if name != "runner"},
    }
    (tmp_path / "night.yaml").write_text(json.dumps(config))
    variable = {"config": str(tmp_path / "night.yaml"), "output": "gs://photos/airflow", "page": "gs://photos/page"}
    variable |= {"project": "demo", "region": "europe-west4"}
    around = {"AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": "google-cloud-platform://?project=demo"}
    names = ("STORAGE_EMULATOR_HOST", "GCE_METADATA_HOST", "GCE_METADATA_IP", "GOOGLE_CLOUD_PROJECT")
    run = airflow("-c", NIGHT, variable=variable, **around, **{name: cloud.environment[name] for name in names})
    said = run.stdout + run.stderr
    ((name, job),) = cloud.record.jobs.items()
    assert f"WAITED {name} demo europe-west4" in said, said[-5000:]
    assert job["name"].startswith("storyteller-")
    assert "airflow-version" in job["labels"]
    leases = [cloud.get(f"gs://photos/{name}") for name in cloud.names("airflow/leases/")]
    assert [json.loads(lease)["sources"] for lease in leases] == [["gs://photos/photos/**"]]
