"""Lateness: before the deadline everything passes, after it everything is deferred, one outcome a style."""

from datetime import UTC, datetime, timedelta
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.lateness import IN_TIME, SplitLate, split_late
from transforms.records import DEFERRED, Listing, Outcome, Photo, StoryRequest

STYLES = ("romance", "swift")
LISTING = Listing("gs://b/a.jpg", 3, "7", STYLES)
PHOTO = Photo("gs://b/a.jpg", "7", "id", 4, 3, STYLES)
VECTOR = np.zeros(3, "f4")
BOTH = [Outcome("gs://b/a.jpg", "7", None, style, DEFERRED) for style in STYLES]
SEEN = [Outcome("gs://b/a.jpg", "7", "id", style, DEFERRED) for style in STYLES]
AN_HOUR = timedelta(hours=1)
CASES: list[tuple[Any, list[Outcome]]] = [
    (LISTING, BOTH),
    ((PHOTO, VECTOR), SEEN),
    ((StoryRequest(PHOTO, (), "swift"), VECTOR), SEEN[1:]),
]


@pytest.mark.parametrize(("element", "outcomes"), CASES)
def test_late_is_deferred_in_each_style_that_was_due(element: Any, outcomes: list[Outcome]) -> None:
    assert list(split_late(element, datetime.now(UTC) + AN_HOUR)) == [element]
    found = list(split_late(element, datetime.now(UTC) - AN_HOUR))
    assert [(tagged.tag, tagged.value) for tagged in found] == [(DEFERRED, outcome) for outcome in outcomes]


@pytest.mark.parametrize(("hours", "in_time", "deferred"), [(1, [LISTING], []), (-1, [], BOTH)])
def test_composite(hours: int, in_time: list[Listing], deferred: list[Outcome]) -> None:
    with TestPipeline("FnApiRunner") as root:
        parted = root | beam.Create([LISTING]) | SplitLate(datetime.now(UTC) + hours * AN_HOUR)
        assert_that(parted[IN_TIME], equal_to(in_time), label="in time")
        assert_that(parted[DEFERRED], equal_to(deferred), label="deferred")


def test_composite_of_nothing() -> None:
    with TestPipeline("FnApiRunner") as root:
        parted = root | beam.Create([]) | SplitLate(datetime.now(UTC) - AN_HOUR)
        assert_that(parted[IN_TIME], equal_to([]), label="in time")
        assert_that(parted[DEFERRED], equal_to([]), label="deferred")
