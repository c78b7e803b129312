"""Measures what crosses from stage to stage of the real pipeline: `python docs/scripts/scale_crossings.py [--check]`.

The one pipeline of big runs (pipelines/nightly/remote.py) goes over a handful of photos, with its GPU hints, and with
networks of no work whose results are as large as the real ones'. Each element that leaves a stage is encoded by Beam's
own coders, as it would be for a shuffle. docs/scripts/scale_bytes.json gets the bytes of an element by step.
"""

import io
import json
import pickle
import sys
import tempfile
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import apache_beam as beam  # noqa: E402  (the repository's root must be on the path first)
import fsspec  # noqa: E402
import numpy as np  # noqa: E402
from apache_beam.coders.coder_impl import create_InputStream  # noqa: E402
from apache_beam.ml.inference.base import ModelHandler  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402
from apache_beam.runners.portability.fn_api_runner.execution import BundleContextManager  # noqa: E402
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner  # noqa: E402
from apache_beam.runners.portability.fn_api_runner.translations import split_buffer_id  # noqa: E402
from PIL import Image  # noqa: E402

from configs.schema import RunConfig, check_config  # noqa: E402
from model_handlers.captions import Matches  # noqa: E402
from model_handlers.stories import Passage  # noqa: E402
from pipelines.cli.packs_at_hand import POCKET  # noqa: E402
from pipelines.nightly.main_job import new_run  # noqa: E402
from pipelines.nightly.remote import build_single  # noqa: E402
from pipelines.telling.settings import Settings, resolve  # noqa: E402
from pipelines.telling.steps import make_steps  # noqa: E402
from transforms.kept import feature_rows  # noqa: E402
from transforms.records import Networks, Photo, PhotoWithFeature, StyleVectors  # noqa: E402

FILE = ROOT / "docs" / "scripts" / "scale_bytes.json"
BUCKET = "memory://photos-of-the-year/2026/11"
NIGHTS = ("25", "26")
PHOTOS = 16
ENTRY = {  # of an object, with the fields that Cloud Storage tells
    "kind": "storage#object",
    "id": "photos-of-the-year/2026/11/25/DSC_00000000.jpg/1700000000000000",
    "selfLink": "https://www.googleapis.com/storage/v1/b/photos-of-the-year/o/2026%2F11%2F25%2FDSC_00000000.jpg",
    "mediaLink": "https://storage.googleapis.com/download/storage/v1/b/photos-of-the-year/o/2026%2F11%2F25%2FDSC_00000000"
    ".jpg?generation=1700000000000000&alt=media",
    "name": "photos-of-the-year/2026/11/25/DSC_00000000.jpg",
    "bucket": "photos-of-the-year",
    "generation": "1700000000000000",
    "metageneration": "1",
    "contentType": "image/jpeg",
    "storageClass": "STANDARD",
    "size": 3000000,
    "md5Hash": "1B2M2Y8AsgTpgAmY7PhCfg==",
    "crc32c": "AAAAAA==",
    "etag": "CICAgICAgICAgAE=",
    "timeCreated": "2026-11-25T00:00:00.000Z",
    "updated": "2026-11-25T00:00:00.000Z",
    "timeStorageClassUpdated": "2026-11-25T00:00:00.000Z",
    "type": "file",
}
HINTS = {"accelerator": RunConfig.model_fields["accelerator"].default}
AGREE = 0.05  # relative; versions of Python and Beam pickle a little differently


@dataclass(frozen=True)
class Sizes:
    """How large the networks' results are.

    Attributes:
        feature: F.
        sentence: S.
        captions: of a photo.
        words: of a story.
    """

    feature: int
    sentence: int
    captions: int
    words: int


SIZES = {"original": Sizes(4096, 4800, 100, 100), "pocket": Sizes(1280, 768, 8, 80)}


class Idle(ModelHandler[Any, Any, object]):
    """Gives each item a result of the right size, at once.

    Args:
        make: the result, from the item and a source of random numbers.
    """

    def __init__(self, make: Callable[[Any, np.random.Generator], Any]) -> None:
        super().__init__()
        self._make = make

    def load_model(self) -> object:
        """Returns what stands for the model."""
        return Idle

    def batch_elements_kwargs(self) -> dict[str, Any]:
        """Returns batches of a fixed size."""
        return {"min_batch_size": PHOTOS, "max_batch_size": PHOTOS}

    def run_inference(self, batch: Sequence[Any], model: object, inference_args: Any = None) -> list[Any]:
        """Returns a drawn result for each item."""
        draw = np.random.default_rng(0)
        return [self._make(item, draw) for item in batch]


def idle_networks(settings: Settings, sizes: Sizes) -> Any:
    """Returns the steps of the main job with networks of no work."""
    bank = (Path(POCKET) / "captions.txt").read_text("utf-8").splitlines()

    def features(_: Any, draw: np.random.Generator) -> np.ndarray:
        return draw.standard_normal(sizes.feature, np.float32)  # [F]

    def captions(_: Any, draw: np.random.Generator) -> Matches:
        return Matches((bank[place], float(draw.random())) for place in draw.integers(len(bank), size=sizes.captions))

    def sentences(texts: list[str], draw: np.random.Generator) -> np.ndarray:
        return draw.standard_normal((len(texts), sizes.sentence), np.float32)  # [n, S]

    def stories(_: Any, draw: np.random.Generator) -> Passage:
        words = " ".join(bank).split()[: sizes.words]
        return Passage(" ".join(words), " ".join(words), float(draw.random()), len(words))

    zeros = np.zeros(sizes.sentence, np.float32)  # [S]
    return replace(
        make_steps(settings, HINTS),
        features=Idle(features),
        captions=Idle(captions),
        sentences=Idle(sentences),
        stories=Idle(stories),
        styles={name: StyleVectors(zeros, zeros) for name in settings.styles},
        with_style=False,
        table=None,
    )


Counted = dict[str, list[int]]  # elements and bytes by step


@contextmanager
def counting() -> Iterator[Counted]:
    """Yields the elements and bytes that cross from stage to stage of the pipelines that run meanwhile."""
    counted: Counted = defaultdict(lambda: [0, 0])
    names: dict[str, str] = {}
    get_buffer, create_stages = BundleContextManager.get_buffer, FnApiRunner.create_stages

    def name_steps(self: Any, pipeline: Any) -> Any:
        for key, step in pipeline.components.transforms.items():
            names[key] = step.unique_name
            if not step.subtransforms:
                names.update((output, step.unique_name) for output in step.outputs.values())
        return create_stages(self, pipeline)

    def get(self: Any, buffer_id: bytes, transform_id: str) -> Any:
        buffer = get_buffer(self, buffer_id, transform_id)
        kind, key = split_buffer_id(buffer_id)
        if "append" not in vars(buffer):
            coder = buffer._pre_grouped_coder.get_impl() if kind == "group" else buffer._coder_impl
            buffer.append = partial(add, buffer.append, coder, counted[names.get(key, key)])
        return buffer

    with (
        mock.patch.object(BundleContextManager, "get_buffer", get),
        mock.patch.object(FnApiRunner, "create_stages", name_steps),
    ):
        yield counted


def add(append: Callable[[bytes], None], coder: Any, sums: list[int], data: bytes) -> None:
    """Puts encoded elements into a buffer between stages, and counts them and their bytes."""
    stream = create_InputStream(data)
    while stream.size() > 0:
        coder.decode_from_stream(stream, True)
        sums[0] += 1
    sums[1] += len(data)
    append(data)


def put_photos(night: str) -> None:
    """Puts photos of one size into the bucket, each with other pixels."""
    filesystem = fsspec.filesystem("memory")
    for number in range(PHOTOS):
        stream = io.BytesIO()
        Image.new("RGB", (32, 32), (int(night), number, 0)).save(stream, "BMP")
        filesystem.pipe_file(f"{BUCKET}/{night}/DSC_{number:08d}.jpg", stream.getvalue())


def run_once(sizes: Sizes, night: str, output: str) -> Counted:
    """Returns what crosses in the run of a night."""
    put_photos(night)
    settings = resolve(check_config({"input": [f"{BUCKET}/{night}/**"], "output": output, "device": "cpu"}))
    with counting() as counted:
        root = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
        build_single(root, new_run(settings), settings, idle_networks(settings, sizes))
        root.run().wait_until_finish()
    return dict(counted)


def measure(sizes: Sizes) -> dict[str, Any]:
    """Returns the elements and the bytes of one, by step.

    `night` has those of a run over new photos, and `earlier` what joins them from the ledgers and kept rows of as many
    photos of an earlier night.
    """
    with tempfile.TemporaryDirectory() as output:
        first, second = (run_once(sizes, night, output) for night in NIGHTS)
    more = {
        step: [after - before for after, before in zip(sums, first.get(step, (0, 0)), strict=True)]
        for step, sums in second.items()
    }
    found = {"night": _each(first), "earlier": _each(more), "row_memory": row_memory(sizes)}
    return {"sizes": asdict(sizes)} | found


def _each(counted: Counted) -> dict[str, Any]:
    return {
        step: {"elements": elements, "bytes": round(size / elements, 1)}
        for step, (elements, size) in sorted(counted.items())
        if elements > 0
    }


def row_memory(sizes: Sizes) -> int:
    """Returns the bytes that a row of kept features takes in a worker's memory, as it comes out of a shuffle."""
    feature = np.zeros(sizes.feature, np.float32)  # [F]
    captions = [(f"a caption of some fifty letters, the {number}th one", 0.5) for number in range(sizes.captions)]
    photo = PhotoWithFeature(
        Photo(f"{BUCKET}/25/DSC_00000000.jpg", "1" * 16, "0" * 64, 4000, 3000, ("romance",)), feature
    )
    (row,) = feature_rows((photo, captions), Networks("0" * 64, "1" * 64))
    return _memory_of(pickle.dumps(row), pickle.loads)


def entry_memory() -> int:
    """Returns the bytes that one object of a bucket takes while its folder is listed, in pages of a thousand."""
    return _memory_of(json.dumps([ENTRY] * 1000), json.loads) // 1000


def _memory_of(data: Any, load: Callable[[Any], Any]) -> int:
    """Returns the bytes that each of several loaded objects takes."""
    tracemalloc.start()
    kept = [load(data) for _ in range(20)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size // len(kept)


def main(argv: list[str]) -> int:
    """Returns 0, or 1 with `--check` where the file is not what is measured now."""
    found = {name: measure(sizes) for name, sizes in SIZES.items()} | {"entry_memory": entry_memory()}
    if "--check" not in argv:
        FILE.write_text(json.dumps(found, indent=1) + "\n")
        return 0
    problems = list(differences(json.loads(FILE.read_text()), found))
    print("\n".join(problems), file=sys.stderr)
    return int(bool(problems))


def differences(kept: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yields where measurements are not those that were kept."""
    if isinstance(kept, dict) and isinstance(found, dict):
        for key in sorted(kept.keys() | found.keys()):
            yield from differences(kept.get(key), found.get(key), f"{path}/{key}")
    elif kept is None or found is None or abs(kept - found) > AGREE * kept:
        yield f"{path}: kept {kept}, now {found}; run docs/scripts/scale_crossings.py and docs/scripts/scale_model.py"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
