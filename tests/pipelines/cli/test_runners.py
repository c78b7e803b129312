"""Which runners may run the job, what their workers can see, and where hints go."""

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import RunConfig, check_config
from pipelines.cli.runners import (
    REFUSED,
    container_problems,
    is_local,
    runner_name,
    sees_local_files,
)
from pipelines.nightly.main_job import gpu_hints, runner_problems

LOCAL = {"input": ["photos/**"], "uris": ["list.txt"], "output": "out", "pack": "packs/mine"}
REMOTE = {"input": ["gs://b/photos/**"], "uris": ["gs://b/list.txt"], "output": "gs://b/out", "pack": "gs://b/pack"}


def options(*flags: str) -> PipelineOptions:
    return PipelineOptions(list(flags))


def config(**values: object) -> RunConfig:
    return check_config(dict(values))


@pytest.mark.parametrize("name", ["FnApiRunner", "DirectRunner", "PrismRunner"])
def test_local_runners(name: str) -> None:
    where = options(f"--runner={name}")
    assert is_local(where) and sees_local_files(where)
    assert runner_problems(where, config(**LOCAL)) == []


@pytest.mark.parametrize("name", [*REFUSED, "apache_beam.runners.dask.dask_runner.DaskRunner"])
def test_runners_that_lose_photos_are_refused_by_name(name: str) -> None:
    (problem,) = runner_problems(options(f"--runner={name}"), config())
    assert problem.startswith(f"--runner={name.rsplit('.', 1)[-1]} is refused: ")
    assert "FnApiRunner" in problem and "DataflowRunner" in problem


def test_unknown_runners_are_refused() -> None:
    (problem,) = runner_problems(options("--runner=MyRunner"), config())
    assert "--runner=MyRunner is not known to be safe" in problem


def test_the_name_is_the_class() -> None:
    assert runner_name(options("--runner=a.b.DirectRunner")) == "DirectRunner"
    assert runner_name(options("--runner=PortableRunner")) == "PortableRunner"


@pytest.mark.parametrize(
    ("flags", "sees"),
    [
        (["--environment_type=LOOPBACK"], True),
        (["--environment_type=EXTERNAL", "--environment_config=localhost:50000"], True),
        (["--environment_type=EXTERNAL", "--environment_config=127.0.0.1:50000"], True),
        (["--environment_type=EXTERNAL", "--environment_config=workers.example:50000"], False),
        (["--environment_type=EXTERNAL"], False),
        (["--environment_type=DOCKER"], False),
        ([], False),
    ],
)
def test_what_portable_workers_see(flags: list[str], sees: bool) -> None:
    where = options("--runner=PortableRunner", *flags)
    assert not is_local(where)
    assert sees_local_files(where) is sees
    assert (runner_problems(where, config(**LOCAL)) == []) is sees


@pytest.mark.parametrize("name", ["DataflowRunner", "FlinkRunner", "SparkRunner"])
def test_local_paths_are_refused_by_option_name(name: str) -> None:
    where = options(f"--runner={name}")
    found = runner_problems(where, config(**LOCAL))
    paths = ["--input photos/**: ", "--uris list.txt: ", "--output out: ", "--pack packs/mine: "]
    assert len(found) == len(paths)
    assert all(problem.startswith(path) and name in problem for problem, path in zip(found, paths, strict=True))
    assert runner_problems(where, config(**REMOTE)) == []


def test_local_defaults_and_file_uris_are_refused_too() -> None:
    where = options("--runner=DataflowRunner")
    found = runner_problems(where, config())
    assert [problem.split(" ")[0] for problem in found] == ["--input", "--output", "--pack"]
    found = runner_problems(where, config(features="file:///f.parquet", output="gs://b/out", pack="gs://b/pack"))
    assert [problem.split(":")[0] for problem in found] == ["--features file"]


def test_hints_go_to_remote_gpus_alone() -> None:
    dataflow = options("--runner=DataflowRunner")
    assert gpu_hints(dataflow, config(accelerator="type:x;count:1")) == {"accelerator": "type:x;count:1"}
    assert gpu_hints(dataflow, config(device="cpu")) == {}
    assert gpu_hints(options("--runner=FnApiRunner"), config()) == {}
    assert gpu_hints(options("--runner=PortableRunner", "--environment_type=LOOPBACK"), config()) == {}


def test_dataflow_needs_the_projects_code() -> None:
    (problem,) = container_problems(options("--runner=DataflowRunner"))
    assert "--sdk_container_image or --setup_file" in problem
    for flag in ("--sdk_container_image=a/b:c", "--setup_file=./setup.py", "--extra_package=dist/x.tar.gz"):
        assert container_problems(options("--runner=DataflowRunner", flag)) == []
    assert container_problems(options("--runner=FnApiRunner")) == []
