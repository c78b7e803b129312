"""The chain from a photo to its stories over lists, without a pipeline: notebook, plan, explain and evaluation run it.

    load -> extract_features -> find_captions -> mean_vectors -> shift_styles -> decode_stories

A step returns a result for each of its inputs, in their order; a StoryError takes the place of a missing result.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from apache_beam.ml.inference.base import ModelHandler

from pipelines.telling.steps import Steps
from transforms.encode_sentences import VectorTable, look_up_in, mean_vector
from transforms.extract_features import FeatureModel
from transforms.records import DeadLetter, Matched, Photo, StoryRequest
from transforms.retrieve_captions import match_captions
from transforms.rows import Row, story_row
from transforms.shift_style import shift_each_style

Result = TypeVar("Result")


class StoryError(Exception):
    """A photo got no story; says at which step and why.

    Attributes:
        reason: what went wrong, without the photo's name.
        uri: uri of the photo, empty if the error is not about one photo.
        stage: step that failed, as dead letters name it.
        error: name of the error's class, as dead letters have it.
    """

    code = "no_story"

    def __init__(self, reason: str, uri: str = "", stage: str = "", error: str = "") -> None:
        super().__init__(f"{uri}: {reason}" if uri else reason)
        self.reason, self.uri, self.stage, self.error = reason, uri, stage, error


def split_errors(results: Iterable[Result | StoryError]) -> tuple[list[Result], list[StoryError]]:
    """Returns the results of a step and its errors, each in their order."""
    good: list[Result] = []
    errors: list[StoryError] = []
    for result in results:
        if isinstance(result, StoryError):
            errors.append(result)
        else:
            good.append(result)
    return good, errors


def whole(results: Iterable[Result | StoryError]) -> list[Result]:
    """Returns the results of a step, none of which may be an error.

    Raises:
        StoryError: the first error among them.
    """
    good, errors = split_errors(results)
    if errors:
        raise errors[0]
    return good


def extract_features(
    handler: FeatureModel, loaded: Iterable[tuple[Photo, np.ndarray] | DeadLetter]
) -> list[tuple[Photo, np.ndarray] | StoryError]:
    """Returns each photo with its feature vector `[F]`.

    Args:
        handler: the feature network.
        loaded: photos with their pixels `[3, H, W]`, or the dead letters of those that could not be read.
    """
    found = list(loaded)
    photos = [one for one in found if not isinstance(one, DeadLetter)]
    features = iter(infer(handler, "features", photos))
    results: list[tuple[Photo, np.ndarray] | StoryError] = []
    for one in found:
        if isinstance(one, DeadLetter):
            results.append(StoryError(f"{one.error}: {one.message}", one.uri, one.stage, one.error))
        else:
            feature = next(features)
            results.append(feature if isinstance(feature, StoryError) else (one[0], feature))
    return results


def find_captions(steps: Steps, photos: Sequence[tuple[Photo, np.ndarray]]) -> list[Matched | StoryError]:
    """Returns each photo with its captions, from feature vectors `[F]`."""
    found = infer(steps.captions, "captions", photos)
    return [
        matches if isinstance(matches, StoryError) else match_captions((photo, matches))
        for (photo, _), matches in zip(photos, found, strict=True)
    ]


class SentenceVectors:
    """Sentence vectors of captions: those that the pack holds, and others, each encoded once.

    Args:
        steps: the steps whose table and encoder are used.

    Attributes:
        encoded: vectors `[S]` of the captions that were encoded, by caption.
    """

    def __init__(self, steps: Steps) -> None:
        self._handler = steps.sentences
        self._tables: list[VectorTable] = [self] if steps.table is None else [steps.table, self]
        self.encoded: dict[str, np.ndarray] = {}

    def holds(self, caption: str) -> bool:
        """Returns whether the caption was encoded here."""
        return caption in self.encoded

    def look_up(self, captions: Sequence[str]) -> np.ndarray:
        """Returns the vectors `[K, S]` of captions that were encoded here."""
        return np.stack([self.encoded[caption] for caption in captions])  # [K, S]

    def encode(self, captions: Iterable[str]) -> None:
        """Encodes the captions that no table holds, in one batch.

        Raises:
            StoryError: the captions cannot be encoded.
        """
        wanted = dict.fromkeys(captions)
        fresh = [caption for caption in wanted if not any(table.holds(caption) for table in self._tables)]
        if fresh:
            (vectors,) = self._handler.run_inference([fresh], self._handler.load_model())
            if isinstance(vectors, Exception):
                raise StoryError(f"captions cannot be encoded: {vectors}", stage="sentences") from vectors
            self.encoded |= zip(fresh, vectors, strict=True)

    def of(self, captions: Sequence[str]) -> np.ndarray:
        """Returns the vectors `[K, S]` of captions; those that no table holds are encoded.

        Raises:
            StoryError: the captions cannot be encoded.
        """
        self.encode(captions)
        return look_up_in(self._tables, captions)


def mean_vectors(vectors: SentenceVectors, matched: Sequence[Matched]) -> list[tuple[Matched, np.ndarray]]:
    """Returns the photos with the mean sentence vectors `[S]` of their captions.

    Raises:
        StoryError: the captions cannot be encoded.
    """
    vectors.encode(match.caption for one in matched for match in one.captions)  # one batch is faster than many
    return [(one, mean_vector(vectors.of([match.caption for match in one.captions]))) for one in matched]


def shift_styles(
    steps: Steps, means: Sequence[tuple[Matched, np.ndarray]], style: str | None = None
) -> list[tuple[StoryRequest, np.ndarray]]:
    """Returns the requests for stories, one a photo and style that it wants, with their shifted vectors `[S]`.

    Args:
        steps: the steps of a run.
        means: photos with their mean sentence vectors `[S]`.
        style: the one style to shift to; None is all that a photo wants.
    """
    if style is not None:
        means = [(_in_style(one, style), vector) for one, vector in means if style in one.photo.styles]
    return [
        request for mean in means for request in shift_each_style(mean, steps.styles, steps.strength, steps.with_style)
    ]


def _in_style(matched: Matched, style: str) -> Matched:
    return replace(matched, photo=replace(matched.photo, styles=(style,), copies=()))


def decode_stories(steps: Steps, requests: Sequence[tuple[StoryRequest, np.ndarray]]) -> list[Row | StoryError]:
    """Returns the rows of stories, from shifted vectors `[S]`."""
    passages = infer(steps.stories, "story", [(request.photo, vector) for request, vector in requests])
    return [
        passage if isinstance(passage, StoryError) else story_row((request, passage), steps.provenance)
        for (request, _), passage in zip(requests, passages, strict=True)
    ]


def infer(handler: ModelHandler[Any, Any, Any], stage: str, items: Sequence[tuple[Photo, Any]]) -> list[Any]:
    """Returns the handler's result for each photo's item, or a StoryError in its place."""
    if not items:
        return []
    found = handler.run_inference([item for _, item in items], handler.load_model())
    results = []
    for (photo, _), result in zip(items, found, strict=True):
        if isinstance(result, Exception):
            error = StoryError(f"{stage} failed: {result}", photo.uri, stage, type(result).__name__)
            error.__cause__ = result
            result = error
        results.append(result)
    return results
