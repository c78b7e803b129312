"""RunInference with dead letters, the core of each GPU step."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
from apache_beam.pvalue import PCollection, TaggedOutput

from transforms.metrics import measure
from transforms.records import DeadLetter, Photo, PhotoWithFeature, StoryRequest
from transforms.step_labels import TaggedOutputs, labelled

RESULTS, DEAD_LETTERS = "results", "dead_letters"


Key = Photo | PhotoWithFeature | StoryRequest


def photo_of(key: Key) -> Photo:
    """Returns the photo of a key."""
    return key if isinstance(key, Photo) else key.photo


def split_failure(element: tuple[Key, Any], stage: str) -> Iterator[Any]:
    """Yields the element, or dead letters under the tag DEAD_LETTERS if its result is an error.

    There is one dead letter for its photo, and one for each of the photo's copies.
    """
    key, result = element
    if not isinstance(result, Exception):
        yield element
        return
    style = key.style if isinstance(key, StoryRequest) else None
    error, message = type(result).__name__, str(result)
    for photo in photo_of(key).wanting(style):
        letter = DeadLetter(photo.uri, photo.version, photo.photo_id, stage, error, message, False, style)
        yield TaggedOutput(DEAD_LETTERS, letter)


class MeasuredHandler(KeyedModelHandler[Any, Any, Any, Any]):
    """Model handler for keyed examples that measures its batches.

    Args:
        handler: model handler for the examples without their keys.
        stage: prefix of the names of the metrics.
    """

    def __init__(self, handler: ModelHandler[Any, Any, Any], stage: str) -> None:
        super().__init__(handler)
        self._stage = stage

    def run_inference(
        self, batch: Sequence[tuple[Any, Any]], model: object, inference_args: dict[str, Any] | None = None
    ) -> Iterable[tuple[Any, Any]]:
        """Returns the results with their keys."""
        begun = time.monotonic()
        results = super().run_inference(batch, model, inference_args)
        measure(f"{self._stage}_batch_msecs", 1000 * (time.monotonic() - begun))
        measure(f"{self._stage}_batch_size", len(batch))
        return results


@dataclass(eq=False)
class Infer(beam.PTransform[PCollection[tuple[Any, Any]], TaggedOutputs]):
    """Keyed results of a model handler, separated from failures.

    Input: (key, example); the key is a Photo, a PhotoWithFeature or a StoryRequest. Output: `results` (key, result)
    and `dead_letters` DeadLetter, one for each example whose result is an exception.

    Attributes:
        handler: model handler for the examples without their keys.
        stage: names the step in labels and dead letters.
        hints: resource hints of the whole step, including its batching.
    """

    handler: ModelHandler[Any, Any, Any]
    stage: str
    hints: dict[str, str] = field(default_factory=dict)

    def expand(self, examples: PCollection[tuple[Any, Any]]) -> TaggedOutputs:
        """Returns the handler's results and dead letters by the tags RESULTS and DEAD_LETTERS."""
        inference = RunInference(MeasuredHandler(self.handler, self.stage)).with_resource_hints(**self.hints)
        split = labelled(beam.FlatMap(split_failure, self.stage), "FlatMap(part_failure)")
        split = split.with_resource_hints(**self.hints).with_outputs(DEAD_LETTERS, main=RESULTS)
        return examples | "Run inference" >> inference | "Part failures" >> split
