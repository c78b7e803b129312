"""Tiny model packs, the main job run in this process, and what it leaves."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from model_handlers.nets.vgg import VGG19
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines.nightly.main_job import main
from pipelines.originals.importing import import_originals
from pipelines.tables import commits
from pipelines.tables.commits import Run
from transforms.records import CaptionMatch, DeadLetter, Outcome, Photo, StoryRequest
from transforms.rows import dead_letter_row, ledger_row, story_row
from transforms.write import FileRecord, write_shard

GOLDEN = Path(__file__).parents[1] / "golden"
FEATURE = 4096  # of the golden joint embedding


@pytest.fixture(scope="session")
def story_pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Returns the pack of the golden model folder, which has no features component."""
    pack = import_originals(GOLDEN / "model", str(tmp_path_factory.mktemp("packs") / "golden"))
    assert pack is not None
    return pack


@pytest.fixture(scope="session")
def photo_pack(story_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Returns the golden pack with a features component: a VGG-19 one channel wide that blurs, then mixes at random."""
    net = VGG19([1] * 16, 64, FEATURE)
    draw = torch.Generator().manual_seed(5)
    state = net.state_dict()
    for name, value in state.items():
        if name.startswith("features"):
            value.fill_(0.0 if name.endswith("bias") else 1.0 / value[0].numel())
        else:
            value.copy_(torch.randn(value.shape, generator=draw))
    state["features.0.bias"].fill_(150.0)
    writer = PackWriter(str(tmp_path_factory.mktemp("packs") / "photos"), story_pack)
    weights = writer.add_tensors("features.safetensors", state)
    sizes = {"widths": [1] * 16, "hidden": 64, "width": FEATURE}
    recipe = {"name": "original"}
    writer.components["features"] = {"family": "vgg19", **sizes, "weights": weights, "preprocessing": recipe}
    return writer.finish()


@dataclass(frozen=True)
class Output:
    """What runs left under an OUTPUT, as its manifests name it."""

    location: str

    @property
    def manifests(self) -> list[dict[str, Any]]:
        filesystem, path = fsspec.core.url_to_fs(f"{self.location}/manifests")
        names = sorted(filesystem.ls(path, detail=False)) if filesystem.exists(path) else []
        return [json.loads(filesystem.cat_file(name)) for name in names]

    def rows(self, table: str, number: int | None = None) -> list[dict[str, Any]]:
        """Returns a table's rows by uri and style, of one manifest or of all."""
        rows: list[dict[str, Any]] = []
        for manifest in self.manifests:
            if number in (None, manifest["number"]):
                for file in manifest["files"]:
                    if file["table"] == table:
                        with fsspec.open(f"{self.location}/{file['path']}", "rb") as stream:
                            found = pq.read_table(stream).to_pylist()
                        assert len(found) == file["rows"] > 0
                        rows += found
        return sorted(rows, key=lambda row: (row["uri"], row.get("style", "")))

    def outcomes(self, number: int | None = None) -> Counter[str]:
        """Returns the ledger rows by outcome, which the manifests count alike."""
        found = Counter(row["outcome"] for row in self.rows("ledger", number))
        counted: Counter[str] = Counter()
        for manifest in self.manifests:
            if number in (None, manifest["number"]):
                counted.update(manifest["counts"])
        assert found == counted
        return found


@pytest.fixture
def output_at() -> type[Output]:
    """Returns the class that reads an OUTPUT."""
    return Output


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """Returns an OUTPUT that nothing was written to yet."""
    return Output(str(tmp_path / "stories"))


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yields an OUTPUT on a disk, and one in a store that has no renames."""
    if request.param == "file":
        yield str(tmp_path / "stories")
        return
    yield "memory://stories"
    fsspec.filesystem("memory").store.clear()


def make_files(run: Run, stories: dict[str, str], style: str, dead: dict[str, bool]) -> list[FileRecord]:
    """Returns the records of a run's written files: stories by uri, and dead letters that may be retryable."""
    told_by = {"decoder": "d", "pack": "p", "pack_digest": run.pack["digest"], "settings_digest": run.settings_digest}
    rows: dict[str, list[dict[str, Any]]] = {"stories": [], "dead_letters": [], "ledger": []}
    for uri, text in stories.items():
        request = StoryRequest(Photo(uri, "1", f"id of {uri}", 4, 3), (CaptionMatch("a boat .", 0.5),), style)
        passage = SimpleNamespace(story=text, passage=text, cost=1.0, words=2)
        rows["stories"].append(story_row((request, passage), told_by))
        rows["ledger"].append(ledger_row(Outcome(uri, "1", f"id of {uri}", style, "story"), *DIGESTS))
    for uri, retryable in dead.items():
        rows["dead_letters"].append(dead_letter_row(DeadLetter(uri, "1", None, "read", "ReadError", "gone", retryable)))
        rows["ledger"].append(ledger_row(Outcome(uri, "1", None, style, "dead_letter"), *DIGESTS))
    prefix = f"{run.folder}/"
    return [write_shard((0, found), run.output, prefix, table, 1) for table, found in rows.items() if found]


DIGESTS = ("pack", "settings")


@pytest.fixture
def publish() -> Callable[..., dict[str, Any]]:
    """Returns a function that commits a run of made-up stories by uri, and returns its manifest."""

    def put(
        output: str,
        name: str,
        stories: dict[str, str],
        style: str = "romance",
        dead: dict[str, bool] | None = None,
        committed: str = "2026-01-01T00:00:00+00:00",
    ) -> dict[str, Any]:
        after = commits.last_number(commits.read_all_manifests(output))
        run = Run(output, name, committed, {}, DIGESTS[1], {"digest": DIGESTS[0]}, 0.25, after)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(commits, "now", lambda: committed)
            return commits.commit(run, make_files(run, stories, style, dead or {}))

    return put


def assert_same_stories(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """Texts are equal; floats agree to 1e-5 relative (DESIGN, same in, same out)."""
    for row, other in zip(rows, others, strict=True):
        floats = {"cost": other["cost"], "captions": other["captions"]}
        assert row | floats == other
        assert [match["caption"] for match in row["captions"]] == [match["caption"] for match in other["captions"]]
        found, expected = ([one["cost"], *(match["similarity"] for match in one["captions"])] for one in (row, other))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.fixture
def same_stories() -> Callable[..., None]:
    """Returns a function that asserts that story rows are the same."""
    return assert_same_stories


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Returns a function that runs a command's main here; it returns the exit code, stdout and stderr."""

    def run(command: Callable[[list[str]], int], *argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = command(list(argv))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def run_job(run_here: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    """Returns a function that runs the main job here; it returns the exit code, stdout and stderr."""
    return partial(run_here, main)


@pytest.fixture
def write_features(tmp_path: Path) -> Callable[..., str]:
    """Returns a function that writes a feature file from pairs of uri and vector, and returns its path."""

    def write(pairs: list[tuple[Any, Any]], kind: Any = None, name: str = "features.parquet") -> str:
        uris, features = zip(*pairs, strict=True)
        rows = [None if feature is None else np.asarray(feature).tolist() for feature in features]
        columns = {"uri": pa.array(uris), "feature": pa.array(rows, kind or pa.list_(pa.float32()))}
        pq.write_table(pa.table(columns), tmp_path / name)
        return str(tmp_path / name)

    return write


ORIENTATION = 0x0112
FORMATS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("jpg", "JPEG", "RGB", {}),
    ("JPG", "JPEG", "RGB", {"progressive": True, "quality": 60}),
    ("jpeg", "JPEG", "CMYK", {}),
    ("jpg", "JPEG", "L", {}),
    ("jpg", "JPEG", "RGB", {"orientation": 6}),
    ("jpg", "JPEG", "RGB", {"orientation": 3}),
    ("png", "PNG", "RGB", {}),
    ("png", "PNG", "RGBA", {}),
    ("png", "PNG", "P", {}),
    ("png", "PNG", "I;16", {}),
    ("png", "PNG", "1", {}),
    ("png", "PNG", "LA", {}),
    ("webp", "WEBP", "RGB", {}),
    ("webp", "WEBP", "RGBA", {"lossless": True}),
    ("gif", "GIF", "P", {"frames": 3}),
    ("tif", "TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("tiff", "TIFF", "CMYK", {"frames": 2}),
    ("bmp", "BMP", "RGB", {}),
    ("heic.bmp", "BMP", "L", {}),
]
"""Name ending, Pillow's format and mode, and options of `encode_photo`."""


def draw_photo(seed: int) -> Image.Image:
    """Returns a photo of random sides with a slope and coarse blocks: unlike any other, and small when compressed."""
    draw = np.random.RandomState(seed)
    width, height = draw.randint(8, 400, 2)
    blocks = Image.fromarray(draw.randint(0, 255, (5, 6, 3)).astype("u1")).resize((width, height))
    slope = np.linspace(0, 60, width)[None, :, None] * draw.rand(3)
    return Image.fromarray(np.clip(np.asarray(blocks) + slope, 0, 255).astype("u1"))


def encode_photo(image: Image.Image, form: str, mode: str, options: dict[str, Any]) -> bytes:
    """Returns a photo's file in one of FORMATS."""
    options, more = dict(options), {}
    if mode == "I;16":
        converted = Image.fromarray(np.asarray(image.convert("L")).astype("u2") * 257)
    else:
        converted = image.convert(mode)
    if "A" in mode:
        converted.putalpha(image.convert("L"))
    if frames := options.pop("frames", 0):
        more = {"save_all": True, "append_images": [converted.rotate(90)] * (frames - 1)}
    if orientation := options.pop("orientation", 0):
        exif = image.getexif()
        exif[ORIENTATION] = orientation
        more["exif"] = exif
    buffer = io.BytesIO()
    converted.save(buffer, form, **options, **more)
    return buffer.getvalue()


@dataclass(frozen=True)
class MadePhoto:
    """A generated photo: its file's bytes, the ending of its name, and its sides once upright."""

    data: bytes
    ending: str
    width: int
    height: int


@pytest.fixture(scope="session")
def make_photo() -> Callable[[int], MadePhoto]:
    """Returns a function from a number to a photo, in one format after the other."""

    def make(number: int) -> MadePhoto:
        ending, form, mode, options = FORMATS[number % len(FORMATS)]
        image = draw_photo(number)
        sides = image.size[::-1] if options.get("orientation") in (5, 6, 7, 8) else image.size
        return MadePhoto(encode_photo(image, form, mode, options), ending, *sides)

    return make
