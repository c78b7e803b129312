"""The chain with a clock: the time that each step of the main job takes."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from pipelines.nightly.selection import Task, feature_photo
from pipelines.telling.chain import (
    SentenceVectors,
    StoryError,
    decode_stories,
    extract_features,
    find_captions,
    mean_vectors,
    shift_styles,
    split_errors,
)
from pipelines.telling.one_photo import Models
from pipelines.telling.settings import allowed
from pipelines.telling.steps import PhotoSteps
from transforms.load_images import load_photos, read_batch
from transforms.records import Listing, Photo
from transforms.rows import Row

Result = TypeVar("Result")


@dataclass
class Group:
    """Times of a group of photos that were processed together.

    Attributes:
        photos: number of photos at the start.
        seconds: seconds of each stage, a photo; of stories, a photo that wants the style.
    """

    photos: int
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def clock(self, stage: str, photos: int | None = None) -> Iterator[None]:
        """Measures the time of a stage, divided by a number of photos: by default those at the start."""
        begun = time.perf_counter()
        yield
        self.seconds[stage] = (time.perf_counter() - begun) / (photos or self.photos)


class TimedChain:
    """The steps of a run, timed.

    Args:
        models: models of the run.

    Attributes:
        vectors: sentence vectors of the captions; as in a run, each caption is encoded once.
        failures: number of failures by (stage, error), those in a single style included.
        dropped: uris of photos that failed.
        rows: rows of the stories.
    """

    def __init__(self, models: Models) -> None:
        self.models = models
        self.steps = models.steps
        self.vectors = SentenceVectors(models.steps)
        self.failures: Counter[tuple[str, str]] = Counter()
        self.dropped: set[str] = set()
        self.rows: list[Row] = []

    def run(self, tasks: Sequence[Task]) -> Group:
        """Returns the times of a few photos."""
        group = Group(len(tasks))
        if isinstance(self.steps, PhotoSteps):
            features = self._see(group, self.steps, [listing for listing, _ in tasks])
        else:
            features = [feature_photo((listing, feature)) for listing, feature in tasks if feature is not None]
        with group.clock("captions"):
            matched = self._keep(find_captions(self.steps, features))
        with group.clock("sentences"):
            means = mean_vectors(self.vectors, matched)
        wanted = Counter(style for listing, _ in tasks for style in listing.styles)
        for style in self.models.settings.styles:
            if wanted[style]:
                with group.clock(f"story {style}", wanted[style]):
                    self.rows += self._keep(decode_stories(self.steps, shift_styles(self.steps, means, style)))
        return group

    def _see(self, group: Group, steps: PhotoSteps, listings: list[Listing]) -> list[tuple[Photo, np.ndarray]]:
        """Returns the photos with their feature vectors `[F]`."""
        with group.clock("read"):
            contents = list(read_batch(listings, steps.load.max_bytes, allowed(self.models.settings.config)))
        with group.clock("decode"):
            loaded = list(load_photos(contents, steps.load.decoders.get()))
        with group.clock("features"):
            return self._keep(extract_features(steps.features, loaded))

    def _keep(self, results: Sequence[Result | StoryError]) -> list[Result]:
        """Returns the results of a step, and notes the photos that failed."""
        kept, errors = split_errors(results)
        self.failures.update((error.stage, error.error) for error in errors)
        self.dropped.update(error.uri for error in errors)
        return kept
