"""Sentence vectors: each caption encoded once, kept in files, averaged in rank order."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms import encode_sentences as sentences
from transforms.encode_sentences import (
    EncodeSentences,
    Texts,
    caption_key,
    caption_keys,
    cut_into_chunks,
    look_up_in,
    mean_vector,
    shard_of,
    write_chunk,
)
from transforms.records import CaptionMatch, Matched, Photo

ODD = "a caf\udce9 ."  # a caption that is not UTF-8


def vector(caption: str) -> np.ndarray:
    """Returns (bytes, first byte, 1) `[3]`: an encoder that can be checked by hand."""
    data = caption.encode("utf-8", "surrogateescape")
    return np.array([len(data), data[0], 1], "f4")


class Encoder(ModelHandler[list[str], Any, object]):
    """Encodes by `vector`, and leaves a line a caption in a file."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def load_model(self) -> object:
        return Encoder

    def run_inference(self, batch: Sequence[list[str]], model: object, inference_args: Any = None) -> list[Any]:
        with open(self._log, "a") as log:
            log.writelines(json.dumps(text) + "\n" for texts in batch for text in texts)
        return [
            ValueError("the text has no word") if "" in texts else np.stack([vector(text) for text in texts])
            for texts in batch
        ]


def matched(name: str, *captions: str) -> Matched:
    return Matched(Photo(name, "1", name, 3, 2, ("romance",)), tuple(CaptionMatch(text, 0.5) for text in captions))


def plain(pair: tuple[Matched, np.ndarray]) -> tuple[str, list[float]]:
    return pair[0].photo.uri, pair[1].tolist()


def test_means_by_hand() -> None:
    mean = mean_vector(np.array([[1, 2], [3, 5], [5, 11]], "f4"))
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, [3, 6])


def test_means_are_summed_in_rank_order_in_float32() -> None:
    """1e8 swallows a 1 that comes after it, but not four that come before: pairwise or float64 sums show."""
    rows = np.array([[1e8, 1], [1, 1], [1, 1], [1, 1], [1, 1e8], [-1e8, 0], [0, 0], [0, 0], [0, 0]], "f4")
    total = np.zeros(2, "f4")
    for row in rows:
        total = total + row
    assert total[0] == 0
    np.testing.assert_array_equal(mean_vector(rows), total / np.float32(9))


def test_the_mean_of_one_is_itself() -> None:
    row = np.random.RandomState(0).randn(1, 48).astype("f4")
    np.testing.assert_array_equal(mean_vector(row), row[0])


def test_keys_hold_any_bytes() -> None:
    assert caption_key(ODD) == b"a caf\xe9 ."
    assert list(caption_keys(matched("a", "é", ODD))) == ["é".encode(), b"a caf\xe9 ."]


def test_shards_are_even_and_the_same_everywhere() -> None:
    assert [shard_of(b"a dog .", 8), shard_of(b"a cat .", 8), shard_of(b"", 1000)] == [
        shard_of(key, shards) for key, shards in ((b"a dog .", 8), (b"a cat .", 8), (b"", 1000))
    ]
    counts = np.bincount([shard_of(b"%d" % number, 4) for number in range(4000)], minlength=4)
    assert counts.min() > 900


def test_chunks_are_sorted_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "CHUNK", 2)
    chunks = list(cut_into_chunks((7, [b"c", b"a", b"\xe9", b"b", b"d"])))
    assert chunks == [("00007-00000", ["a", "b"]), ("00007-00001", ["c", "d"]), ("00007-00002", ["\udce9"])]


def test_a_chunk_that_failed_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="captions of chunk 3-1"):
        write_chunk((("3-1", Texts([""])), ValueError("no word")), str(tmp_path / "sentences-"))


@pytest.mark.parametrize("shards", [1, 5])
@pytest.mark.parametrize("hints", [{}, {"accelerator": "type:any"}])
def test_photos_get_means_and_captions_are_encoded_once(tmp_path: Path, shards: int, hints: dict[str, str]) -> None:
    """With hints the encoding is a stage of its own, and its captions go through coders."""
    photos = [matched("good", "a dog", "cats"), matched("odd", ODD), matched("again", "cats", "a dog", ODD, "a dog")]
    expected = [("good", [4.5, 98, 1]), ("odd", [8, 97, 1]), ("again", [5.5, 97.5, 1])]
    step = EncodeSentences(Encoder(tmp_path / "log"), f"{tmp_path}/sentences-", shards, hints=hints)
    with TestPipeline("FnApiRunner") as root:
        means = root | beam.Create(photos) | step | beam.Map(plain)
        assert_that(means, equal_to(expected), label="means")
    encoded = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(encoded) == sorted(["a dog", "cats", ODD])


def test_no_photo_needs_no_encoder(tmp_path: Path) -> None:
    with TestPipeline("FnApiRunner") as root:
        means = root | beam.Create([]) | EncodeSentences(Encoder(tmp_path / "log"), f"{tmp_path}/sentences-")
        assert_that(means, equal_to([]), label="means")
    assert list(tmp_path.iterdir()) == []


def test_a_caption_that_cannot_be_encoded_fails_the_run(tmp_path: Path) -> None:
    step = EncodeSentences(Encoder(tmp_path / "log"), f"{tmp_path}/sentences-", shards=1)
    with pytest.raises(Exception, match="captions of chunk 00000-00000"), TestPipeline("FnApiRunner") as root:
        _ = root | beam.Create([matched("a", "a dog", "")]) | step


def test_what_an_earlier_wave_encoded_is_taken(tmp_path: Path) -> None:
    """The earlier wave's vectors say 1000, so that it shows where they are from."""
    known = write_chunk((("0-0", Texts(["a dog", ODD])), np.full((2, 3), 1000, "f4")), f"{tmp_path}/wave-0-sentences-")
    step = EncodeSentences(Encoder(tmp_path / "log"), f"{tmp_path}/wave-1-sentences-", known=(known,))
    with TestPipeline("FnApiRunner") as root:
        means = root | beam.Create([matched("a", "a dog", "cats"), matched("b", ODD)]) | step | beam.Map(plain)
        assert_that(means, equal_to([("a", [502, 549.5, 500.5]), ("b", [1000] * 3)]), label="means")
    assert (tmp_path / "log").read_text() == '"cats"\n'


class Table:
    """Vectors that are there already, of all captions but those of birds."""

    def holds(self, caption: str) -> bool:
        return "bird" not in caption

    def look_up(self, captions: Sequence[str]) -> np.ndarray:
        return np.stack([-vector(caption) for caption in captions])


def test_ready_vectors_are_looked_up(tmp_path: Path) -> None:
    step = EncodeSentences(Encoder(tmp_path / "log"), f"{tmp_path}/sentences-", table=Table())
    with TestPipeline("FnApiRunner") as root:
        means = root | beam.Create([matched("a", "a dog", "cats")]) | step | beam.Map(plain)
        assert_that(means, equal_to([("a", [-4.5, -98, -1])]), label="means")
    assert list(tmp_path.iterdir()) == []


def test_what_the_table_lacks_is_encoded(tmp_path: Path) -> None:
    """An earlier wave encoded a bird; what is ready and what is encoded meet in rank order."""
    known = write_chunk((("0-0", Texts(["one bird"])), np.full((1, 3), 1000, "f4")), f"{tmp_path}/wave-0-sentences-")
    step = EncodeSentences(
        Encoder(tmp_path / "log"), f"{tmp_path}/sentences-", known=(known,), table=Table(), complete=False
    )
    photos = [matched("a", "a dog", "two birds"), matched("b", "a dog"), matched("c", "one bird", "two birds")]
    with TestPipeline("FnApiRunner") as root:
        means = root | beam.Create(photos) | step | beam.Map(plain)
        expected = [("a", [2.0, 9.5, 0.0]), ("b", [-5, -97, -1]), ("c", [504.5, 558, 500.5])]
        assert_that(means, equal_to(expected), label="means")
    assert (tmp_path / "log").read_text() == '"two birds"\n'


def test_all_ready_and_nothing_encoded(tmp_path: Path) -> None:
    step = EncodeSentences(Encoder(tmp_path / "log"), f"{tmp_path}/sentences-", table=Table(), complete=False)
    with TestPipeline("FnApiRunner") as root:
        means = root | beam.Create([matched("a", "a dog")]) | step | beam.Map(plain)
        assert_that(means, equal_to([("a", [-5, -97, -1])]), label="means")
    assert list(tmp_path.iterdir()) == []


def test_the_first_table_that_holds_a_caption_counts() -> None:
    class Other(Table):
        def holds(self, caption: str) -> bool:
            return True

        def look_up(self, captions: Sequence[str]) -> np.ndarray:
            return np.stack([vector(caption) for caption in captions])

    found = look_up_in([Table(), Other()], ["a bird", "a dog", "a bird"])
    np.testing.assert_array_equal(found, [vector("a bird"), -vector("a dog"), vector("a bird")])
    with pytest.raises(KeyError, match="a bird"):
        look_up_in([Table()], ["a dog", "a bird"])
