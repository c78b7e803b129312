"""The DAG in a real Airflow: it loads, has the structure that a nightly job needs, and runs a night on tiny photos."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LOOK = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
dag = bag.dags["storyteller_nightly"]
tasks = {
    task.task_id: {
        "kind": type(task).__name__,
        "after": sorted(task.upstream_task_ids),
        "rule": getattr(task.trigger_rule, "value", task.trigger_rule),
        "retries": task.retries,
        "fields": {name: getattr(task, name, None) for name in task.template_fields},
    }
    for task in dag.tasks
}
found = {
    "errors": bag.import_errors,
    "dags": list(bag.dags),
    "schedule": dag.schedule,
    "catchup": dag.catchup,
    "max_active_runs": dag.max_active_runs,
    "hours": dag.dagrun_timeout.total_seconds() / 3600,
    "delay": dag.tasks[0].retry_delay.total_seconds(),
    "tasks": tasks,
}
print("FOUND", json.dumps(found, default=str))
"""


def test_structure(airflow: Any) -> None:
    """Nothing but the Variable has to be set, and nothing of it is needed to load the DAG."""
    run = airflow("-c", LOOK, str(ROOT / "deploy/airflow"), variable={})
    assert run.returncode == 0, run.stderr
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("FOUND ")]
    found = json.loads(line.removeprefix("FOUND "))
    assert found["errors"] == {}
    assert found["dags"] == ["storyteller_nightly"]
    assert (found["schedule"], found["catchup"], found["max_active_runs"]) == ("0 1 * * *", False, 1)
    assert found["hours"] < 24
    assert found["delay"] > 0
    tasks = found["tasks"]
    assert {name: task["after"] for name, task in tasks.items()} == {
        "tell_stories": [],
        "draw_page": ["tell_stories"],
        "tidy_up": ["tell_stories"],
        "check_freshness": ["draw_page", "tidy_up"],
    }
    assert {name: task["retries"] for name, task in tasks.items()} == {
        "tell_stories": 2, "draw_page": 2, "tidy_up": 2, "check_freshness": 0,
    }  # fmt: skip
    assert {name for name, task in tasks.items() if task["rule"] == "all_done"} == {"check_freshness"}
    tell = tasks["tell_stories"]
    assert tell["kind"] == "BeamRunPythonPipelineOperator"
    assert "DataflowRunner" in tell["fields"]["runner"]
    templated = [*tell["fields"]["pipeline_options"].values(), tell["fields"]["dataflow_config"]["project_id"]]
    assert all("{{ var.json.storyteller" in value for value in templated)


@pytest.fixture
def variable(tmp_path: Path) -> dict[str, str]:
    """Returns the Variable of a night on this machine, over two photos of samples/."""
    photos = [str(ROOT / "samples" / name) for name in ("boats.jpg", "cat.jpg")]
    (tmp_path / "night.yaml").write_text(json.dumps({"input": photos, "beam_width": 2}))
    places = {"config": "night.yaml", "output": "stories", "page": "a 'page'"}
    return {name: str(tmp_path / place) for name, place in places.items()} | {"runner": "FnApiRunner"}


def test_a_night(airflow: Any, variable: dict[str, str]) -> None:
    run = airflow("-m", "airflow", "dags", "test", "storyteller_nightly", variable=variable)
    assert run.returncode == 0, run.stderr[-5000:]
    said = run.stdout + run.stderr
    assert re.search(r"Marking run .* successful", said)
    assert "fresh: newest commit" in said
    (manifest,) = Path(variable["output"]).glob("manifests/*.json")
    assert json.loads(manifest.read_text())["counts"] == {"story": 2}
    assert Path(variable["page"], "index.html").exists()


def test_a_task_fails_with_its_command(airflow: Any, variable: dict[str, str]) -> None:
    """The operator passes the main job's exit code on, and a stale table fails the last task."""
    wrong = variable | {"config": f"{variable['config']}.gone"}
    run = airflow("-m", "airflow", "tasks", "test", "storyteller_nightly", "tell_stories", variable=wrong)
    assert "failed with return code 2" in run.stdout + run.stderr
    Path(variable["output"], "runs").mkdir(parents=True)
    run = airflow("-m", "airflow", "tasks", "test", "storyteller_nightly", "check_freshness", variable=variable)
    said = run.stdout + run.stderr
    assert "nothing was ever committed" in said
    assert "Bash command failed" in said
