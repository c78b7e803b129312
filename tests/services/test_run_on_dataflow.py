"""The main job on Dataflow, up to the submission: what the service is asked for, and what is refused before."""

import io
import json
import tarfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from apache_beam.internal import pickler
from apache_beam.portability.api import beam_runner_api_pb2 as api

from model_handlers.pack_writer import PackWriter

pytestmark = pytest.mark.services

ROOT = Path(__file__).resolve().parents[2]
ACCELERATOR = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
NETWORKS = ("Load images", "Extract features", "Retrieve captions", "Encode sentences", "Decode stories")
LIGHT = ("Carry features", "Match captions", "Make feature rows", "Shift style")  # between networks, with vectors


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a pack whose card is whole and whose weights nobody loads."""
    writer = PackWriter(str(tmp_path_factory.mktemp("packs") / "paper"))
    weights = writer.add_tensors("weights.safetensors", {"nothing": torch.zeros(1)})
    words = writer.add_json("words.json", [["a", 2]])
    table, style, source = (
        writer.add_array(f"{name}.npy", np.zeros(4, "f4")) for name in ("table", "romance", "source")
    )
    recipe = {"name": "resize", "resize": 256, "crop": 224, "channels": "RGB", "mean": [127] * 3, "scale": [128] * 3}
    sizes = {"dim_word": 2, "dim": 3, "n_words": 3, "weights": weights, "vocabulary": words}
    writer.card |= {"defaults": {"decoder": "novels", "style": "romance"}}
    parts = {
        "features": {"family": "timm:tf_efficientnet_lite0", "width": 5, "weights": weights, "preprocessing": recipe},
        "joint_embedding": sizes | {"encoder": "gru", "dim_image": 5, "lower": True, "tokenise": True},
        "captions": {"texts": writer.add_lines("captions.txt", ["a boat ."])},
        "sentence_encoder": {
            "family": "skip_thoughts", "dim_word": 2, "uni": 4, "bi": 0, "weights": weights,
            "words": words, "uni_table": table, "texts": "unicode", "lower": True,
        },
        "decoders": {"novels": sizes | {"family": "gru", "dim_context": 4, "deep_output": False}},
        "styles": {"romance": style},
        "source_style": source,
    }  # fmt: skip
    writer.components.update(parts)
    return writer.finish().root


@pytest.fixture
def output() -> str:
    """Returns an OUTPUT of the test's own: no job runs here, so a submitted one keeps its lease."""
    return f"gs://photos/{uuid.uuid4().hex}"


@pytest.fixture
def submit(cloud: Any, pack: Path, output: str) -> Any:
    """Returns a function that submits the main job with more options and returns the job."""
    cloud.put_folder("packs/paper", pack)
    cloud.put("photos/boats.jpg", (ROOT / "samples/boats.jpg").read_bytes())
    places = ["--input=gs://photos/photos/**", f"--output={output}", "--pack=gs://photos/packs/paper"]

    def run(*options: str, flags: list[str] | None = None) -> Any:
        flags = cloud.flags if flags is None else flags
        process = cloud.python("-m", "pipelines.run", *places, f"--accelerator={ACCELERATOR}", *options, *flags)
        assert process.returncode == 0, process.stderr
        if "--log-format=json" in options:
            lines = [json.loads(line) for line in process.stderr.splitlines()]
            assert any("is submitted; it commits to" in line["message"] and line["run_id"] for line in lines)
        return cloud.last_job()

    return run


BETWEEN = ("Part failures", "Carry features", "Match captions", "Write chunks", "Take means", "Shift each style")


def is_gpu_step(name: str) -> bool:
    """Tells whether a step has a network, or vectors go through it that need not change workers."""
    parts = set(name.split("/"))
    return not parts.isdisjoint({"Load images", "Run inference", "Encode chunks", "Make feature rows", *BETWEEN})


def test_gpu_steps_ask_for_a_gpu_and_no_others(submit: Any) -> None:
    hints = submit().hints()
    hinted = {name for name, hint in hints.items() if hint}
    assert hinted == {name for name in hints if is_gpu_step(name)}
    assert {name.split("/")[0] for name in hinted} == {*NETWORKS, *LIGHT}
    assert all(hints[name] == {"accelerator": ACCELERATOR} for name in hinted)


def test_nothing_asks_for_a_gpu_on_cpu(submit: Any) -> None:
    assert {name for name, hint in submit("--device=cpu").hints().items() if hint} == set()


def test_image_and_options_arrive(submit: Any) -> None:
    job = submit(
        "--machine_type=g2-standard-8", "--num_workers=3", "--max_num_workers=7", "--number_of_worker_harness_threads=2"
    )
    assert {image for image in job.images if image} == {"registry.example/demo/storyteller:0.1.0"}
    assert {image["containerImage"] for image in job.pool["sdkHarnessContainerImages"]} == job.images - {""}
    assert job.pool["machineType"] == "g2-standard-8"
    assert job.pool["numWorkers"] == 3
    assert job.pool["autoscalingSettings"]["maxNumWorkers"] == 7
    assert job.options["number_of_worker_harness_threads"] == 2
    assert job.options["sdk_location"] == "container"
    assert job.request["environment"]["tempStoragePrefix"].startswith("storage.googleapis.com/photos/tmp")


def test_image_needs_no_packages(submit: Any) -> None:
    packages = submit().packages
    assert not {name for name in packages if "main_session" in name or "workflow" in name or "apache_beam" in name}


def test_setup_file_takes_the_project_along(cloud: Any, submit: Any) -> None:
    flags = [flag for flag in cloud.flags if not flag.startswith("--sdk_")]
    job = submit("--setup_file=./setup.py", "--sdk_location=container", flags=flags)
    assert "workflow.tar.gz" in job.packages
    (staged,) = [name for name in cloud.names("staging/") if name.endswith("/workflow.tar.gz")]
    with tarfile.open(fileobj=io.BytesIO(cloud.get(f"gs://photos/{staged}"))) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"setup.py", "pipelines/run.py", "transforms/records.py", "model_handlers/nets/search.py"} <= names
    assert not {name for name in names if name.startswith(("tests/", "samples/", "packs/"))}


def test_no_local_path_is_submitted(cloud: Any, tmp_path: Path) -> None:
    places = {"input": "samples", "uris": "photos.txt", "output": "stories", "pack": "packs/pocket"}
    run = cloud.python("-m", "pipelines.run", *(f"--{name}={place}" for name, place in places.items()), *cloud.flags)
    assert run.returncode == 2, run.stderr
    for name, place in places.items():
        (line,) = [line for line in run.stderr.splitlines() if f"--{name} " in line]
        assert place in line
        assert "local" in line
    assert cloud.record.requests == []


def test_no_local_features_are_submitted(cloud: Any) -> None:
    run = cloud.python("-m", "pipelines.run", "--features=f.parquet", "--output=file:///tmp/stories", *cloud.flags)
    assert run.returncode == 2, run.stderr
    assert "--features f.parquet" in run.stderr
    assert "--output file:///tmp/stories" in run.stderr
    assert cloud.record.requests == []


def test_no_defaults_that_are_local_are_submitted(cloud: Any) -> None:
    run = cloud.python("-m", "pipelines.run", "--output=gs://photos/stories", *cloud.flags)
    assert run.returncode == 2, run.stderr
    assert "--input" in run.stderr
    assert "--pack" in run.stderr
    assert cloud.record.requests == []


def test_mistyped_option_is_not_submitted(cloud: Any) -> None:
    places = ["--input=gs://photos/photos/**", "--output=gs://photos/stories", "--pack=gs://photos/packs/paper"]
    run = cloud.python("-m", "pipelines.run", *places, "--machine_typo=n1", *cloud.flags)
    assert run.returncode == 2, run.stderr
    assert "--machine_typo" in run.stderr
    assert cloud.record.requests == []


def test_the_deadline_travels_as_an_absolute_time(submit: Any, cloud: Any, output: str) -> None:
    begun = datetime.now(UTC)
    job = submit("--deadline=5h", "--log-format=json")
    clocks = {}
    for transform in job.pipeline.components.transforms.values():
        if transform.spec.urn == "beam:transform:pardo:v1" and "Look at the clock" in transform.unique_name:
            payload = api.ParDoPayload.FromString(transform.spec.payload).do_fn.payload
            (clocks[transform.unique_name.split("/")[0]],) = pickler.loads(payload)[1]
    assert clocks.keys() == {"Part late before features", "Part late before decoding"}
    (early, late) = clocks.values()
    assert early == late and timedelta(hours=4.9) < early - begun < timedelta(hours=5.1)
    (started,) = [name for name in cloud.names(output.removeprefix("gs://photos/")) if name.endswith("/started.json")]
    told = datetime.fromisoformat(json.loads(cloud.get(f"gs://photos/{started}"))["deadline"])
    assert timedelta(0) < told - early < timedelta(minutes=1)  # the commit's time
    looks = {hint["accelerator"] for name, hint in job.hints().items() if "Look at the clock" in name}
    assert looks == {ACCELERATOR}  # under another hint they would not be fused with what they hold back


def test_nothing_is_published_before_the_job_runs(cloud: Any, submit: Any, output: str) -> None:
    submit()
    left = [name.partition("/")[2] for name in cloud.names(output.removeprefix("gs://photos/"))]
    assert [name.split("/")[0] for name in left] == ["leases", "runs"]
    assert "photos" in json.dumps(cloud.names())
