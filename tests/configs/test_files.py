"""The configurations that ship with the project."""

import re
from pathlib import Path

from apache_beam.options.pipeline_options import GoogleCloudOptions, WorkerOptions

from configs.schema import RunConfig, check_config, load_yaml
from pipelines.cli.options import parse
from pipelines.cli.runners import container_problems
from pipelines.nightly.main_job import gpu_hints, runner_problems
from pipelines.nightly.selection import source_problems

CONFIGS = Path(__file__).parents[2] / "configs"
PLACEHOLDERS = {"BUCKET": "photos", "PROJECT": "demo", "REGISTRY": "registry.example", "ACCOUNT": "nightly"}


def test_run_yaml_names_every_option_with_its_default() -> None:
    values = load_yaml(str(CONFIGS / "run.yaml"))
    assert set(values) == set(RunConfig.model_fields)
    assert check_config(values) == RunConfig()


def test_nightly_yaml_is_whole_once_its_placeholders_are_filled(tmp_path: Path) -> None:
    """Whatever is to be changed is a word in capitals, and nothing else keeps the job from its submission."""
    text = (CONFIGS / "nightly.yaml").read_text("utf-8")
    values = re.sub(r"#.*", "", text)
    assert set(re.findall(r"\b[A-Z]{2,}\b", values)) == set(PLACEHOLDERS)
    for word, own in PLACEHOLDERS.items():
        text = re.sub(rf"\b{word}\b", own, text)
    (tmp_path / "nightly.yaml").write_text(text, "utf-8")
    config, options = parse([f"--config={tmp_path}/nightly.yaml"], "run", "A test.")
    assert runner_problems(options, config) + container_problems(options) + source_problems(config) == []
    assert (config.output, config.roots) == ("gs://photos/stories", ["gs://photos/photos"])
    assert "machine_type:g2-" in gpu_hints(options, config)["accelerator"]
    workers = options.view_as(WorkerOptions)
    assert workers.sdk_container_image == "registry.example/demo/storyteller:0.1.0"
    assert (workers.max_num_workers, workers.disk_size_gb) == (4, 100)
    assert options.view_as(GoogleCloudOptions).service_account_email == "nightly@demo.iam.gserviceaccount.com"
