"""Counters and distributions: a pipeline reports exactly what went through it."""

import io
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import fsspec
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.ml.inference.base import ModelHandler
from PIL import Image

from transforms import read_errors
from transforms.infer import DEAD_LETTERS, Infer
from transforms.load_images import LoadImages
from transforms.metrics import NAMESPACE, count, measure
from transforms.records import CaptionMatch, DeadLetter, Listing, Outcome, Photo, StoryRequest
from transforms.retrieve_captions import match_captions
from transforms.rows import dead_letter_row, ledger_row, story_row
from transforms.write import WriteTable

Found = tuple[dict[str, int], dict[str, tuple[int, int, int, int]]]


def queried(result: Any) -> Found:
    """Returns counters by name, and count, sum, least and largest of distributions, whatever step they are of."""
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    counters = {entry.key.metric.name: entry.result for entry in found["counters"]}
    assert len(counters) == len(found["counters"]) and len(found["gauges"]) == 0
    sums = {entry.key.metric.name: entry.result for entry in found["distributions"]}
    return counters, {name: (one.count, one.sum, one.min, one.max) for name, one in sums.items()}


def png(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "PNG")
    return stream.getvalue()


def write(folder: Path, **files: bytes) -> list[Listing]:
    for name, data in files.items():
        (folder / f"{name}.png").write_bytes(data)
    return [Listing(f"{folder}/{name}.png", len(data), "1", ("romance",)) for name, data in files.items()]


def test_reading_and_decoding(tampered: None, tmp_path: Path) -> None:
    good, other = png(40, 30), png(10, 10)
    listings = write(tmp_path, a=good, b=other, c=other + b"CRASH", d=other, e=b"text", f=b"")
    gone = Listing(f"{tmp_path}/gone.png", 9, "1")
    root = beam.Pipeline("FnApiRunner")
    load = LoadImages({"name": "original"}, processes=1)
    letters = (root | beam.Create([*listings, gone], reshuffle=False) | load)[DEAD_LETTERS]
    _ = letters | beam.Map(dead_letter_row)
    counters, sums = queried(root.run())
    assert counters == {
        "photos": 7,
        "decoder_starts": 3,  # one, one more for the photo that ends it, and one for the next photo
        "decoder_restarts": 1,
        "dead_letters_decode_DecoderCrashed": 1,
        "dead_letters_decode_NotAnImage": 1,
        "dead_letters_decode_EmptyFile": 1,
        "dead_letters_read_MissingFile": 1,
        "read_retries": 0,
    }
    sizes = [listing.size for listing in listings]
    assert sums["bytes_read"] == (6, sum(sizes), 0, max(sizes))
    assert sums["pixels"] == (3, 1400, 100, 1200)
    assert sums["decode_msecs"][0] == 3 and 0 < sums["decode_msecs"][1] < 60_000
    assert sums.keys() == {"bytes_read", "pixels", "decode_msecs"}


def test_files_that_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_errors, "PAUSES", (0.0, 0.0))
    store = fsspec.filesystem("memory")
    store.pipe_file("/metrics/a.png", png(4, 4))
    read, failures = type(store).cat_ranges, [TimeoutError("slow")] * 2

    def fail(self: Any, paths: Any, *arguments: Any, **options: Any) -> list[Any]:
        return [failures.pop()] if failures else read(self, paths, *arguments, **options)

    monkeypatch.setattr(type(store), "cat_ranges", fail)
    root = beam.Pipeline("FnApiRunner")
    _ = root | beam.Create([Listing("memory://metrics/a.png", len(png(4, 4)), "1")]) | LoadImages({"name": "original"})
    counters, sums = queried(root.run())
    assert counters["read_retries"] == 2 and sums["pixels"][0] == 1


class Slow(ModelHandler[int, Any, object]):
    """Fails on odd numbers."""

    def load_model(self) -> object:
        return Slow

    def run_inference(self, batch: Sequence[int], model: object, inference_args: Any = None) -> list[Any]:
        return [ValueError(f"{number} is odd") if number % 2 else number for number in batch]

    def batch_elements_kwargs(self) -> dict[str, Any]:
        return {"min_batch_size": 4, "max_batch_size": 4}


def test_batches_of_a_network() -> None:
    photos = [(Photo(str(number), "1", "id", 1, 1, ("romance",)), number) for number in range(0, 20, 2)]
    root = beam.Pipeline("FnApiRunner")
    outputs = root | beam.Create([*photos, (photos[0][0], 3)], reshuffle=False) | Infer(Slow(), "features")
    _ = outputs[DEAD_LETTERS] | beam.Map(dead_letter_row)
    counters, sums = queried(root.run())
    assert counters == {"dead_letters_features_ValueError": 1}
    assert sums["features_batch_size"] == (3, 11, 3, 4)
    assert sums["features_batch_msecs"][0] == 3 and sums.keys() == {"features_batch_size", "features_batch_msecs"}


def test_captions_stories_outcomes_and_files(tmp_path: Path) -> None:
    photo = Photo("a", "1", "id", 1, 1, ("romance",))
    told_by = {"decoder": "d", "pack": "p", "pack_digest": "x", "settings_digest": "y"}
    tellings = [
        (StoryRequest(photo, (CaptionMatch("a boat .", 0.5),), "romance"), SimpleNamespace(**passage))
        for passage in (
            {"story": "Hm.", "passage": "hm .", "cost": 1.25, "words": 2},
            {"story": "Hm!", "passage": "hm !", "cost": 3.5, "words": 5},
        )
    ]
    outcomes = [Outcome("a", "1", "id", "romance", outcome) for outcome in ("story", "deferred", "story")]
    root = beam.Pipeline("FnApiRunner")
    pairs = root | "Pairs" >> beam.Create([(photo, [("a boat .", 0.25), ("a dog .", 0.1)]), (photo, [("b", -0.5)])])
    _ = pairs | "Match" >> beam.Map(match_captions)
    _ = root | "Tellings" >> beam.Create(tellings) | "Tell" >> beam.Map(story_row, told_by)
    ledger = root | "Outcomes" >> beam.Create(outcomes) | "Ledger" >> beam.Map(ledger_row, "x", "y")
    _ = ledger | WriteTable(str(tmp_path), "runs/night/", "ledger", 1)
    counters, sums = queried(root.run())
    assert counters == {"outcomes_story": 2, "outcomes_deferred": 1}
    assert sums.pop("bytes_written")[1] == sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    assert sums == {
        "similarity_millionths": (2, -250_000, -500_000, 250_000),
        "story_words": (2, 7, 2, 5),
        "story_cost_thousandths": (2, 4750, 1250, 3500),
    }


def test_nothing_is_counted_outside_of_a_pipeline() -> None:
    count("photos")
    measure("pixels", 1.5)
    dead_letter_row(DeadLetter("a", "1", None, "read", "MissingFile", "gone", True))
