"""Defers what arrives after the run's deadline: it gets no story now, and a later run treats it as new."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from transforms.copies import each_listing
from transforms.records import DEFERRED, Listing, Outcome, Photo, StoryRequest
from transforms.step_labels import TaggedOutputs, labelled

IN_TIME = "in_time"


def defer(named: Listing | Photo | StoryRequest) -> Iterator[Outcome]:
    """Yields the outcomes `deferred` of a photo and its copies, one for each style."""
    if isinstance(named, StoryRequest):
        for photo in named.photo.wanting(named.style):
            yield Outcome(photo.uri, photo.version, photo.photo_id, named.style, DEFERRED)
        return
    members = each_listing(named) if isinstance(named, Listing) else named.each()
    for one in members:
        photo_id = None if isinstance(one, Listing) else one.photo_id
        for style in one.styles:
            yield Outcome(one.uri, one.version, photo_id, style, DEFERRED)


def split_late(element: Any, deadline: datetime) -> Iterator[Any]:  # noqa: ANN401, Beam reads this type
    """Yields the element, or after the deadline its outcomes under the tag DEFERRED.

    Args:
        element: a Listing, or an array behind its Photo or StoryRequest.
        deadline: time with any time zone.
    """
    if datetime.now(UTC) < deadline:
        yield element
        return
    named = element[0] if isinstance(element, tuple) else element
    yield from (TaggedOutput(DEFERRED, outcome) for outcome in defer(named))


@dataclass(eq=False)
class SplitLate(beam.PTransform[PCollection[Any], TaggedOutputs]):
    """Elements that arrive before the deadline, by the worker's clock.

    Input: Listing, (Photo, array) or (StoryRequest, array). Output: `in_time` the element, and `deferred` Outcome, one
    for each style. No dead letters.

    Attributes:
        deadline: absolute time, pickled with the step.
    """

    deadline: datetime

    def expand(self, elements: PCollection[Any]) -> TaggedOutputs:
        """Returns the elements and outcomes by the tags IN_TIME and DEFERRED."""
        split = labelled(beam.FlatMap(split_late, self.deadline), "FlatMap(part_late)")
        return elements | "Look at the clock" >> split.with_outputs(DEFERRED, main=IN_TIME)
