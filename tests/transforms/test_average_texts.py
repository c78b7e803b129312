"""Passages from people's texts, and the mean of their vectors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.average_texts import AverageTexts, Mean, MeanVector, join_paragraphs, raise_failures, read_passages


class Encoder(ModelHandler[list[str], Any, object]):
    """Encodes a text as (words, 1) `[2]`; one that says `fail` fails its list."""

    def load_model(self) -> object:
        return Encoder

    def run_inference(self, batch: Sequence[list[str]], model: object, inference_args: Any = None) -> list[Any]:
        return [
            ValueError("a text has no word")
            if "fail" in texts
            else np.array([[len(text.split()), 1] for text in texts])
            for texts in batch
        ]


@pytest.mark.parametrize(
    ("content", "passages"),
    [
        (b"", []),
        (b"\n \n\t\n", []),
        (b"one line", ["one line"]),
        (b"\xef\xbb\xbfa mark\r\nof Windows\rand a Mac\n", ["a mark", "of Windows", "and a Mac"]),
        ("  caf\u00e9\u2028au lait \n\nnext".encode(), ["caf\u00e9\u2028au lait", "next"]),
        (b"caf\xe9\n", ["caf\udce9"]),
    ],
)
def test_lines_are_passages(tmp_path: Path, content: bytes, passages: list[str]) -> None:
    (tmp_path / "text.txt").write_bytes(content)
    assert list(read_passages(str(tmp_path / "text.txt"), 0)) == passages


BOOK = ["A title", "", "one two", "three", "", "four five six", "", "", "seven", "eight nine", "", "the end"]


@pytest.mark.parametrize(
    ("least", "passages"),
    [
        (1, ["A title", "one two three", "four five six", "seven eight nine", "the end"]),
        (4, ["A title one two three", "four five six seven eight nine"]),
        (6, ["A title one two three four five six"]),
        (13, ["A title one two three four five six seven eight nine the end"]),
        (14, []),
    ],
)
def test_books_are_cut_between_paragraphs(tmp_path: Path, least: int, passages: list[str]) -> None:
    assert list(join_paragraphs(BOOK, least)) == passages
    (tmp_path / "book.txt").write_text("\r\n".join(BOOK), newline="")
    assert list(read_passages(str(tmp_path / "book.txt"), least)) == passages


def test_means_add_up_however_they_are_parted() -> None:
    rows = np.random.RandomState(0).randn(50, 3).astype("f4")
    combine = MeanVector()
    parts = [combine.create_accumulator() for _ in range(3)]
    for place, start in enumerate((0, 5, 20)):
        parts[place] = combine.add_input(parts[place], rows[start : [5, 20, 50][place]])
    mean = combine.extract_output(combine.merge_accumulators([*parts, combine.create_accumulator()]))
    assert mean is not None and mean.count == 50 and mean.vector.dtype == np.float32
    np.testing.assert_allclose(mean.vector, rows.mean(axis=0, dtype=np.float64), rtol=1e-6)


def test_covariances_add_up_however_they_are_parted() -> None:
    rows = (3 + np.random.RandomState(0).randn(50, 3)).astype("f4")
    combine = MeanVector(spread=True)
    parts = [combine.add_input(combine.create_accumulator(), part) for part in (rows[:5], rows[5:20], rows[20:])]
    mean = combine.extract_output(combine.merge_accumulators([combine.create_accumulator(), *parts]))
    assert mean is not None and mean.count == 50 and mean.covariance is not None
    np.testing.assert_allclose(mean.covariance, np.cov(rows.T, bias=True), atol=1e-6)
    plain = MeanVector()
    without = plain.extract_output(plain.add_input(plain.create_accumulator(), rows))
    assert without is not None and without.covariance is None


@pytest.mark.parametrize("spread", [False, True])
def test_no_rows_have_no_mean(spread: bool) -> None:
    combine = MeanVector(spread)
    empty = combine.merge_accumulators([combine.create_accumulator()] * 2)
    assert combine.extract_output(empty) is None


def test_failures_are_raised() -> None:
    assert raise_failures(np.ones(2)).tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="passages could not be encoded: no word"):
        raise_failures(ValueError("no word"))


def plain(mean: Mean | None) -> tuple[list[float], int] | None:
    return None if mean is None else (mean.vector.tolist(), mean.count)


def average(
    folder: Path, texts: dict[str, str], expected: list[Any], least: int = 0, names: Sequence[str] = ()
) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text)
    with TestPipeline("FnApiRunner") as root:
        mean = root | beam.Create([str(folder / name) for name in names or texts]) | AverageTexts(Encoder(), least)
        assert_that(mean | beam.Map(plain), equal_to(expected), label="mean")


def test_texts_average_over_all_files(tmp_path: Path) -> None:
    texts = {"a.txt": "one\ntwo words\n" * 100, "b.txt": "a line of six words here\n", "c.txt": ""}
    average(tmp_path, texts, [([pytest.approx(306 / 201), 1.0], 201)])


def test_texts_that_are_not_utf_8_average_too(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"un caf\xe9 noir\nun th\xe9\n")
    average(tmp_path, {}, [([2.5, 1.0], 2)], names=["latin.txt"])


def test_books_average_over_passages(tmp_path: Path) -> None:
    average(tmp_path, {"book.txt": "\n".join(BOOK)}, [([5.5, 1.0], 2)], least=4)


def test_no_passage_has_no_mean(tmp_path: Path) -> None:
    average(tmp_path, {"a.txt": "\n", "b.txt": ""}, [None])


def test_a_passage_that_cannot_be_encoded_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="a text has no word"):
        average(tmp_path, {"a.txt": "good\nfail\n"}, [])


def test_a_file_that_is_not_there_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="gone.txt"), TestPipeline("FnApiRunner") as root:
        _ = root | beam.Create([str(tmp_path / "gone.txt")]) | AverageTexts(Encoder())
