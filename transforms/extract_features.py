"""Extracts feature vectors from the pixels of photos."""

from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.pvalue import PCollection

from transforms.infer import Infer
from transforms.records import Photo
from transforms.step_labels import TaggedOutputs

FeatureModel = ModelHandler[np.ndarray, np.ndarray | Exception, Any]
"""Extracts a feature vector `[F]` from the pixels of a photo."""


@dataclass(eq=False)
class ExtractFeatures(beam.PTransform[PCollection[tuple[Photo, np.ndarray]], TaggedOutputs]):
    """Feature vectors of photos.

    Input: (Photo, pixels of LoadImages). Output: `results` (Photo, feature `[F]`); a photo on which the network fails
    is a dead letter of stage `features`.
    """

    handler: FeatureModel
    hints: dict[str, str] = field(default_factory=dict)

    def expand(self, pixels: PCollection[tuple[Photo, np.ndarray]]) -> TaggedOutputs:
        """Returns the feature vectors and dead letters by the tags RESULTS and DEAD_LETTERS."""
        return pixels | "Infer features" >> Infer(self.handler, "features", self.hints)
