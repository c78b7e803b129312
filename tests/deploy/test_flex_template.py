"""The Flex Template's metadata: every parameter is an option of the main job, and takes what the job takes."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.cloud.dataflow_v1beta3 import ParameterType, TemplateMetadata

from configs.schema import ConfigError, RunConfig
from pipelines.cli.options import parse, unknown_to_beam

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/flex_template"
TEMPLATE = json.loads((FOLDER / "metadata.json").read_text("utf-8"))
PARAMETERS: dict[str, dict[str, Any]] = {parameter["name"]: parameter for parameter in TEMPLATE["parameters"]}
OPTIONS = [name for name in PARAMETERS if name in RunConfig.model_fields]
LEFT_OUT = runpy.run_path(str(FOLDER / "write_metadata.py"))["LEFT_OUT"]

TEXTS = (
    "romance", "romance,adventure", "romance, adventure", "romance+adventure", "novels 2", "gs", "s3",
    '["gs", "s3"]', "gs://bucket/photos/**", "gs://bucket/2026, June/**/a b.jpg", "s3://bucket/[ab]/*.jpg",
    '["gs://bucket/a/**", "gs://bucket/b c/**"]', '["gs://bucket/a"]', "abfss://container@account/photos",
    "type:nvidia-l4;count:1;install-nvidia-driver", "type:nvidia-l4;count:1;machine_type:g2-standard-8",
)  # fmt: skip
JUNK = (
    "", " ", "\n", "romance\n", "./photos", "/data/photos", "C:\\photos", "true ", "True", "yes", "1e3", "0x10",
    "1,000", "--input", "-", "--", "[1]", "[", "[]", '[""]', '["photos"]', '["gs://a", "b"]', '["gs://a"', "null", "#",
    "20%", "20 h", "h", "1w", "20h;", ";", "type:", "type:x;count:0", "count:1", "a,,b", ",", "+", "a++b", "://", "://x",
    "gs:/x", "gs://", "gs:// ", "GS://bucket", "'", '"', "$(id)", "`id`", "a\x00b", "../..", "99999999999999999999",
)  # fmt: skip
EXAMPLES = {
    "input": ["gs://bucket/photos/**", '["gs://bucket/a/**", "gs://bucket/b c/**"]', "s3://bucket/[ab]/*.jpg"],
    "uris": ["gs://bucket/photos.csv", '["gs://bucket/a"]'],
    "roots": ["gs://bucket/photos/**", '["gs://bucket/a"]'],
    "schemes": ["gs", '["gs", "s3"]'],
    "features": ["gs://bucket/features.parquet"],
    "output": ["gs://bucket/stories"],
    "pack": ["gs://bucket/packs/pocket", "abfss://container@account/photos"],
    "style": ["romance", "romance,adventure", "romance, adventure", "romance+adventure"],
    "style_strength": ["0", "1", "0.5", "-0.5", "10", "1.0"],
    "contrast": ["0", "0.25", "1", "1.0"],
    "max_dead_letter_ratio": ["0", "0.25", "1"],
    "decoder": ["romance", "novels 2"],
    "accelerator": list(TEXTS[-2:]),
    "lease": ["20h", "90m", "3600s", "1d"],
    "since": ["2d", "36h", "2026-01-31", "2026-01-31 06:00", "2026-01-31T06:00:00"],
    "deadline": ["5h", "90m", "06:30"],
}
EXAMPLES_BY_KIND = {"BOOLEAN": ["true", "false"], "NUMBER": ["1", "7", "50"]}


def value_of(name: str, text: str) -> Any:
    """Returns what the job makes of a parameter, given as the launcher gives it."""
    config, _ = parse([f"--{name}={text}"], "run", "A test.")
    return getattr(config, name)


def fits(name: str, text: str) -> bool:
    return all(re.fullmatch(regex, text) for regex in PARAMETERS[name]["regexes"])


def test_metadata_are_fresh() -> None:
    command = [sys.executable, str(FOLDER / "write_metadata.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_metadata_are_what_the_service_takes() -> None:
    """Google's own message refuses unknown keys, kinds of parameters and values of another type."""
    message = TemplateMetadata.from_json(json.dumps(TEMPLATE), ignore_unknown_fields=False)
    assert [parameter.name for parameter in message.parameters] == list(PARAMETERS)
    assert {parameter.param_type for parameter in message.parameters} <= set(ParameterType)
    assert len(PARAMETERS) == len(TEMPLATE["parameters"])


def test_every_option_is_a_parameter_or_left_out_with_a_reason() -> None:
    assert set(OPTIONS) | set(LEFT_OUT) == set(RunConfig.model_fields)
    assert not set(OPTIONS) & set(LEFT_OUT)
    assert all(len(reason.split()) > 3 for reason in LEFT_OUT.values())


def test_every_other_parameter_is_beams() -> None:
    others = [name for name in PARAMETERS if name not in OPTIONS]
    assert others == ["sdk_container_image"]
    assert unknown_to_beam([f"--{name}=x" for name in others]) == []
    assert fits("sdk_container_image", "us-docker.pkg.dev/demo/images/storyteller:0.1.0")
    assert not fits("sdk_container_image", "gs://bucket/image") and not fits("sdk_container_image", "a b")


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_is_described(name: str) -> None:
    parameter = PARAMETERS[name]
    assert re.fullmatch(r"[A-Z][\w ]+", parameter["label"])
    assert len(parameter["helpText"]) > 15
    assert "repeatable" not in parameter["helpText"]
    assert parameter["isOptional"] == (name not in ("output", "pack", "sdk_container_image"))
    (regex,) = parameter["regexes"]
    assert regex[0] == "^" and regex[-1] == "$"
    assert "(?" not in regex and not re.search(r"\\[1-9]", regex), "not known to every engine of regular expressions"


@pytest.mark.parametrize("name", OPTIONS)
def test_default_is_the_jobs(name: str) -> None:
    default = PARAMETERS[name].get("defaultValue")
    if default is None:
        assert RunConfig.model_fields[name].default in (None, []) or name in ("output", "pack")
    else:
        assert fits(name, default)
        assert value_of(name, default) == RunConfig.model_fields[name].default


@pytest.mark.parametrize("name", OPTIONS)
def test_examples_fit_and_the_job_takes_them(name: str) -> None:
    parameter = PARAMETERS[name]
    choices = [choice["value"] for choice in parameter.get("enumOptions", [])]
    assert (parameter["paramType"] == "ENUM") == bool(choices)
    examples = EXAMPLES.get(name) or choices or EXAMPLES_BY_KIND.get(parameter["paramType"])
    assert examples, "give EXAMPLES of it"
    for example in examples:
        assert fits(name, example), example
        value_of(name, example)


@pytest.mark.parametrize("name", OPTIONS)
def test_junk_does_not_fit(name: str) -> None:
    """Styles and decoders may have any name: whether the pack has them is the job's business."""
    junk = {
        "style": ("", " ", "-", "--", "romance\n", "a,,b", ",", "+", "a++b", "a, "),
        "decoder": ("", " ", "-", "--", "a ", "romance\n"),
        "schemes": ("", " ", "-", "gs://", "GS", "1gs", "[gs]", '[""]', '["gs"', "gs,s3", "gs s3", "gs\n"),
    }
    assert [text for text in junk.get(name, JUNK) if fits(name, text)] == []


@pytest.mark.parametrize("name", OPTIONS)
def test_what_fits_is_taken_by_the_job(name: str) -> None:
    """But for numbers: how large one may be is the job's business."""
    for text in (*TEXTS, *JUNK):
        if fits(name, text):
            value_of(name, text)


@pytest.mark.parametrize("name", [name for name in OPTIONS if PARAMETERS[name]["paramType"] == "NUMBER"])
def test_numbers_that_the_job_takes_fit(name: str) -> None:
    for number in (-10, -1, -0.5, 0, 0.25, 0.5, 1, 2, 9, 10, 32, 99, 100, 999, 1000, 4096, 10_000, 64_000_000, 10**11):
        try:
            value_of(name, str(number))
        except ConfigError:
            continue
        assert fits(name, str(number)), number


def test_several_inputs_come_as_one_text() -> None:
    assert value_of("input", '["gs://bucket/a/**", "gs://bucket/b c/**"]') == ["gs://bucket/a/**", "gs://bucket/b c/**"]
    assert value_of("lyric", "true") is True
    assert value_of("lyric", "false") is False


def test_launcher_image() -> None:
    """It stands on the worker image, whose project is where the launcher starts it."""
    lines = (FOLDER / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
    froms = [line for line in lines if line.startswith("FROM ")]
    assert froms == ["FROM ${LAUNCHER} AS launcher", "FROM ${IMAGE}"]
    launcher = "/opt/google/dataflow/python_template_launcher"
    assert f"COPY --from=launcher {launcher} {launcher}" in lines
    assert lines[-1] == f'ENTRYPOINT ["{launcher}"]'
    (settings,) = [dict(word.split("=") for word in line.split()[1:]) for line in lines if line.startswith("ENV ")]
    worker = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    assert "WORKDIR /opt/storyteller" in worker and "COPY pipelines pipelines" in worker
    assert settings == {"FLEX_TEMPLATE_PYTHON_PY_FILE": "/opt/storyteller/pipelines/run.py", "PYTHONSAFEPATH": "1"}
