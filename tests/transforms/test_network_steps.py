"""The steps that run a network, each with a handler that only adds: one good, one bad and one empty input."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.decode_stories import DecodeStories
from transforms.extract_features import ExtractFeatures
from transforms.infer import DEAD_LETTERS, RESULTS
from transforms.records import Photo, StoryRequest
from transforms.retrieve_captions import RetrieveCaptions


class Total(ModelHandler[np.ndarray, Any, object]):
    """Sums an array; one that sums to a negative number is an error."""

    def load_model(self) -> object:
        return Total

    def run_inference(self, batch: Sequence[np.ndarray], model: object, inference_args: Any = None) -> list[Any]:
        totals = [float(array.sum()) for array in batch]
        return [total if total >= 0 else ValueError(f"{total} is negative") for total in totals]


def photo(name: str, *styles: str) -> Photo:
    return Photo(name, "1", f"id of {name}", 3, 2, styles)


def told(name: str) -> StoryRequest:
    return StoryRequest(photo(name), (), "romance")


STEPS = [(ExtractFeatures, photo, "features"), (RetrieveCaptions, photo, "captions"), (DecodeStories, told, "story")]


@pytest.mark.parametrize(("step", "key", "stage"), STEPS)
def test_each_network_step_splits_good_from_bad(step: Any, key: Any, stage: str) -> None:
    pairs = [(key("good"), np.ones(3)), (key("bad"), -np.ones(3)), (key("zero"), np.zeros(3))]
    with TestPipeline("FnApiRunner") as root:
        outputs = root | beam.Create(pairs) | step(Total())
        letters = outputs[DEAD_LETTERS] | beam.Map(lambda letter: (letter.uri, letter.stage, letter.message))
        assert_that(outputs[RESULTS], equal_to([(key("good"), 3.0), (key("zero"), 0.0)]), label="results")
        assert_that(letters, equal_to([("bad", stage, "-3.0 is negative")]), label="dead letters")


@pytest.mark.parametrize(("step", "key", "stage"), STEPS)
def test_each_network_step_takes_nothing(step: Any, key: Any, stage: str) -> None:
    with TestPipeline("FnApiRunner") as root:
        outputs = root | beam.Create([]) | step(Total())
        assert_that(outputs[RESULTS], equal_to([]), label="results")
        assert_that(outputs[DEAD_LETTERS], equal_to([]), label="dead letters")
