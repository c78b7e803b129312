"""Inference with dead letters: a result that is an exception becomes its photo's dead letter, and costs no other."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.pvalue import TaggedOutput
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.infer import DEAD_LETTERS, RESULTS, Infer, photo_of, split_failure
from transforms.records import DeadLetter, Photo, StoryRequest


class Halver(ModelHandler[int, Any, object]):
    """Halves even numbers; odd ones are errors in the place of their results."""

    def load_model(self) -> object:
        return Halver

    def run_inference(self, batch: Sequence[int], model: object, inference_args: Any = None) -> list[Any]:
        return [number // 2 if number % 2 == 0 else ValueError(f"{number} is odd") for number in batch]


class OutOfMemory(Halver):
    def run_inference(self, batch: Sequence[int], model: object, inference_args: Any = None) -> list[Any]:
        raise RuntimeError("out of memory")


def photo(name: str) -> Photo:
    return Photo(name, "1", f"id of {name}", 3, 2, ("romance",))


def infer(handler: ModelHandler, pairs: list[tuple[Any, int]], expected: list[Any], letters: list[DeadLetter]) -> None:
    with TestPipeline("FnApiRunner") as root:
        outputs = root | beam.Create(pairs) | "Infer" >> Infer(handler, "features")
        assert_that(outputs[RESULTS], equal_to(expected), label="results")
        assert_that(outputs[DEAD_LETTERS], equal_to(letters), label="dead letters")


def letter(name: str, number: int, style: str | None = None) -> DeadLetter:
    return DeadLetter(name, "1", f"id of {name}", "features", "ValueError", f"{number} is odd", False, style)


def test_a_good_photo_has_a_result() -> None:
    infer(Halver(), [(photo("a"), 8)], [(photo("a"), 4)], [])


def test_a_bad_photo_is_a_dead_letter() -> None:
    infer(Halver(), [(photo("b"), 7)], [], [letter("b", 7)])


def test_a_bad_photo_costs_no_other_its_result() -> None:
    pairs = [(photo(str(number)), number) for number in range(9)]
    expected = [(photo(str(number)), number // 2) for number in range(0, 9, 2)]
    infer(Halver(), pairs, expected, [letter(str(number), number) for number in range(1, 9, 2)])


def test_nothing_comes_of_nothing() -> None:
    infer(Halver(), [], [], [])


def test_a_request_fails_only_in_its_style() -> None:
    requests = [StoryRequest(photo("a"), (), style) for style in ("romance", "swift")]
    infer(Halver(), list(zip(requests, (2, 3), strict=True)), [(requests[0], 1)], [letter("a", 3, "swift")])


def test_an_error_of_a_whole_batch_fails_the_run() -> None:
    with pytest.raises(Exception, match="out of memory"), TestPipeline("FnApiRunner") as root:
        _ = root | beam.Create([(photo("a"), 8)]) | "Infer" >> Infer(OutOfMemory(), "features")


def test_part_failure_names_error_and_stage() -> None:
    (tagged,) = split_failure((photo("a"), KeyError("word")), "story")
    assert isinstance(tagged, TaggedOutput) and tagged.tag == DEAD_LETTERS
    assert tagged.value == DeadLetter("a", "1", "id of a", "story", "KeyError", "'word'", False, None)


def test_photo_of_both_keys() -> None:
    assert photo_of(photo("a")) == photo_of(StoryRequest(photo("a"), (), "romance")) == photo("a")
