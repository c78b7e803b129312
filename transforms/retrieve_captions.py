"""Finds the nearest captions of feature vectors."""

from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.pvalue import PCollection

from transforms.infer import Infer, photo_of
from transforms.metrics import measure
from transforms.records import CaptionMatch, Matched, Photo, PhotoWithFeature
from transforms.step_labels import TaggedOutputs

CaptionModel = ModelHandler[np.ndarray, Any, Any]
"""Finds or writes captions with similarities for a feature vector `[F]`."""


@dataclass(eq=False)
class RetrieveCaptions(beam.PTransform[PCollection[tuple[Photo | PhotoWithFeature, np.ndarray]], TaggedOutputs]):
    """Nearest captions of photos.

    Input: (Photo or PhotoWithFeature, feature `[F]`). Output: `results` (the same key, [(caption, similarity)]), best
    first; a feature vector that is not finite, all zeros or of another width is a dead letter of stage `captions`.
    """

    handler: CaptionModel
    hints: dict[str, str] = field(default_factory=dict)

    def expand(self, features: PCollection[tuple[Photo | PhotoWithFeature, np.ndarray]]) -> TaggedOutputs:
        """Returns the captions and dead letters by the tags RESULTS and DEAD_LETTERS."""
        return features | "Infer captions" >> Infer(self.handler, "captions", self.hints)


def match_captions(element: tuple[Photo | PhotoWithFeature, list[tuple[str, float]]]) -> Matched:
    """Returns the record of a photo with its captions."""
    key, pairs = element
    if pairs:
        measure("similarity_millionths", 1e6 * pairs[0][1])
    return Matched(photo_of(key), tuple(CaptionMatch(caption, similarity) for caption, similarity in pairs))
