"""The configurations that ship with the project."""

from pathlib import Path

from configs.schema import RunConfig, check_config, load_yaml

CONFIGS = Path(__file__).parents[2] / "configs"


def test_run_yaml_names_every_option_with_its_default() -> None:
    values = load_yaml(str(CONFIGS / "run.yaml"))
    assert set(values) == set(RunConfig.model_fields)
    assert check_config(values) == RunConfig()


def test_dataflow_yaml_is_a_valid_configuration() -> None:
    config = check_config(load_yaml(str(CONFIGS / "dataflow.yaml")))
    assert config.beam_options["runner"] == "DataflowRunner"
