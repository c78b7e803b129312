"""RunInference with dead letters: what each GPU step is made of."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.pvalue import PCollection, TaggedOutput

from transforms.metrics import MeasuredHandler
from transforms.records import DeadLetter, Photo, Telling

RESULTS, DEAD_LETTERS = "results", "dead_letters"


def photo_of(key: Photo | Telling) -> Photo:
    """Returns the photo behind a key."""
    return key.photo if isinstance(key, Telling) else key


def part_failure(element: tuple[Photo | Telling, Any], stage: str) -> Iterator[Any]:
    """Yields the element, or where its result is an error the dead letter of its photo under the tag DEAD_LETTERS."""
    key, result = element
    if not isinstance(result, Exception):
        yield element
        return
    photo = photo_of(key)
    style = key.style if isinstance(key, Telling) else None
    letter = DeadLetter(
        photo.uri, photo.version, photo.photo_id, stage, type(result).__name__, str(result), False, style
    )
    yield TaggedOutput(DEAD_LETTERS, letter)


@dataclass(eq=False)
class Infer(beam.PTransform[PCollection[tuple[Any, Any]], Any]):
    """Keyed results of a model handler, with the failures apart.

    Input: (key, example); the key is a Photo or a Telling. Output: `results` (key, result) and `dead_letters`
    DeadLetter, one for each example whose result is an exception.

    Attributes:
        handler: takes the examples without their keys.
        stage: names the step in labels and dead letters.
        hints: resource hints of the whole step, its batching with it.
    """

    handler: ModelHandler
    stage: str
    hints: dict[str, str] = field(default_factory=dict)

    def expand(self, examples: PCollection[tuple[Any, Any]]) -> Any:
        inference = RunInference(MeasuredHandler(self.handler, self.stage)).with_resource_hints(**self.hints)
        return (
            examples
            | "Run inference" >> inference
            | "Part failures" >> beam.FlatMap(part_failure, self.stage).with_outputs(DEAD_LETTERS, main=RESULTS)
        )
