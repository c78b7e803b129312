"""The nightly run as an Airflow DAG: make the stories on Dataflow, draw the page, tidy up, and check the state.

It needs no editing. All settings of an installation are in one Airflow Variable, `storyteller`, as JSON:

    {"config": "/etc/storyteller/nightly.yaml", "output": "gs://BUCKET/stories", "page": "gs://BUCKET/page",
     "project": "PROJECT", "region": "us-central1"}

`config` is a copy of configs/nightly.yaml on Airflow's workers, whose project and region the Variable overrides. With
"runner": "FnApiRunner" in the Variable the stories are made on the worker itself. STORYTELLER_PYTHON, in Airflow's
environment, is the path of the Python interpreter of a virtual environment in which this project is installed. That
cannot be Airflow's own environment, which pins other versions of the packages.

Made for Airflow 3 with the providers apache-beam, google and standard.
"""

import os
from datetime import datetime, timedelta

from airflow.providers.apache.beam.operators.beam import BeamRunPythonPipelineOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

PYTHON = os.environ.get("STORYTELLER_PYTHON", "/opt/storyteller/.venv/bin/python")


def command(task_id: str, arguments: str, **options: str) -> BashOperator:
    """Returns a task that runs one of the project's commands; OUTPUT and PAGE are those of the Variable."""
    return BashOperator(
        task_id=task_id,
        bash_command=f'"$STORYTELLER_PYTHON" -m {arguments}',
        env={
            "STORYTELLER_PYTHON": PYTHON,
            "OUTPUT": "{{ var.json.storyteller.output }}",
            "PAGE": "{{ var.json.storyteller.page }}",
        },
        append_env=True,
        **options,
    )


with DAG(
    dag_id="storyteller_nightly",
    description="Tells stories about the photos that are new, and draws the morning page.",
    schedule="0 1 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # one run processes all new photos, also those that earlier nights left
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=20),
    default_args={"retries": 2, "retry_delay": timedelta(minutes=15)},
    tags=["storyteller"],
    doc_md=__doc__,
) as dag:
    # Exit codes 2 and 4 come before anything is submitted, and retries end with the same code: see the log.
    tell_stories = BeamRunPythonPipelineOperator(
        task_id="tell_stories",
        py_file="pipelines.run",
        py_options=["-m"],
        py_interpreter=PYTHON,
        runner="{{ var.json.storyteller.get('runner', 'DataflowRunner') }}",
        pipeline_options={
            "config": "{{ var.json.storyteller.config }}",
            "output": "{{ var.json.storyteller.output }}",
        },
        dataflow_config={
            "job_name": "storyteller",  # Airflow adds a random end
            "project_id": "{{ var.json.storyteller.get('project') }}",
            "location": "{{ var.json.storyteller.get('region', 'us-central1') }}",
        },
    )
    draw_page = command("draw_page", 'pipelines.gallery "$OUTPUT" --output "$PAGE"')
    tidy_up = command("tidy_up", 'pipelines.vacuum "$OUTPUT" --older-than 7d')
    # Runs after a failed night too; a retry would not make a stale table fresh.
    check_freshness = command(
        "check_freshness", 'pipelines.status "$OUTPUT" --max-age 26h', retries=0, trigger_rule="all_done"
    )
    tell_stories >> [draw_page, tidy_up] >> check_freshness
