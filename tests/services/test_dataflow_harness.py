"""The harness itself: a trivial pipeline arrives at the stub as it was built, and files keep in the emulator."""

from typing import Any

import pytest

pytestmark = pytest.mark.services

TRIVIAL = """
import sys
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

with beam.Pipeline(options=PipelineOptions(sys.argv[1:])) as root:
    numbers = root | "Make numbers" >> beam.Create([1, 2])
    heavy = numbers | "Take a GPU" >> beam.Map(abs).with_resource_hints(accelerator="type:nvidia-l4;count:1")
    heavy | "Take none" >> beam.Map(abs)
"""


def test_trivial_pipeline_is_recorded(cloud: Any) -> None:
    run = cloud.python("-c", TRIVIAL, *cloud.flags)
    assert run.returncode == 0, run.stderr
    job = cloud.last_job()
    assert list(cloud.record.jobs) == ["2026-01-01_00_00_00-1"]
    assert cloud.record.polls["2026-01-01_00_00_00-1"] >= 2
    assert job.options["sdk_location"] == "container"
    assert {image for image in job.images if image} == {"registry.example/demo/storyteller:0.1.0"}
    hints = job.hints()
    assert {name: hint for name, hint in hints.items() if hint} == {
        "Take a GPU": {"accelerator": "type:nvidia-l4;count:1"}
    }
    assert "Take none" in hints


def test_nothing_is_submitted_by_a_broken_pipeline(cloud: Any) -> None:
    run = cloud.python("-c", TRIVIAL.replace("beam.Create([1, 2])", "beam.Create([1, 2]) | 3"), *cloud.flags)
    assert run.returncode != 0
    assert cloud.record.requests == []


def test_objects_keep(cloud: Any) -> None:
    cloud.put("harness/a b.txt", b"\x00one")
    assert cloud.get("gs://photos/harness/a b.txt") == b"\x00one"
    assert cloud.names("harness/") == ["harness/a b.txt"]


def test_clients_read_the_emulator(cloud: Any) -> None:
    cloud.put("harness/two.txt", b"two")
    program = (
        "import fsspec; from apache_beam.io.filesystems import FileSystems as F; uri = 'gs://photos/harness/two.txt'\n"
    )
    run = cloud.python("-c", program + "print(fsspec.open(uri).open().read(), F.open(uri).read())")
    assert run.stdout.split() == ["b'two'", "b'two'"], run.stderr
