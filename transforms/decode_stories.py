"""Decodes shifted sentence vectors into stories."""

from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.pvalue import PCollection

from transforms.infer import Infer
from transforms.records import StoryRequest
from transforms.step_labels import TaggedOutputs

StoryModel = ModelHandler[np.ndarray, Any, Any]
"""Decodes a passage from a shifted sentence vector `[S]` or `[2, S]`."""


@dataclass(eq=False)
class DecodeStories(beam.PTransform[PCollection[tuple[StoryRequest, np.ndarray]], TaggedOutputs]):
    """Stories from shifted sentence vectors.

    Input: (StoryRequest, vector `[S]` or `[2, S]`, as the handler takes it). Output: `results` (StoryRequest, passage
    object with passage, story, cost, words); a vector of another width or a search without a result is a dead letter
    of stage `story`.
    """

    handler: StoryModel
    hints: dict[str, str] = field(default_factory=dict)

    def expand(self, vectors: PCollection[tuple[StoryRequest, np.ndarray]]) -> TaggedOutputs:
        """Returns the passages and dead letters by the tags RESULTS and DEAD_LETTERS."""
        return vectors | "Infer stories" >> Infer(self.handler, "story", self.hints)
