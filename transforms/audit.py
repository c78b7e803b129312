"""Proof that nothing is lost: each listed object has exactly one outcome in each style."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.read_photos import key_by_uri
from transforms.records import DeadLetter, Listing, Outcome, StoryRequest


class LostPhotoError(Exception):
    """A listed object has no outcome or more than one; the run must not be published."""

    code = "lost_photo"


def story_outcome(element: tuple[StoryRequest, Any]) -> tuple[bytes, Outcome]:
    """Returns (uri, outcome `story`) of a request."""
    request, _ = element
    photo = request.photo
    return key_by_uri(Outcome(photo.uri, photo.version, photo.photo_id, request.style, "story"))


def letter_outcome(letter: DeadLetter) -> tuple[bytes, Outcome]:
    """Returns (uri, outcome `dead_letter`); the style is `*` if all styles failed."""
    return key_by_uri(Outcome(letter.uri, letter.version, letter.photo_id, letter.style or "*", "dead_letter"))


def settle(element: tuple[bytes, dict[str, Iterable[Any]]]) -> Iterator[Outcome]:
    """Yields one outcome for each style that was requested for a listed object.

    Raises:
        LostPhotoError: a style has no outcome or several, or something that was never listed has one.
    """
    key, groups = element
    listings, outcomes = list(groups["listings"]), list(groups["outcomes"])
    uri = key.decode("utf-8", "backslashreplace")
    if len(listings) != 1:
        raise LostPhotoError(f"{uri}: listed {len(listings)} times in one pipeline, with {len(outcomes)} outcomes")
    styles = listings[0].styles
    whole = [outcome for outcome in outcomes if outcome.style == "*"]
    settled = [outcome for outcome in outcomes if outcome.style != "*"]
    for outcome in whole:
        settled += [Outcome(outcome.uri, outcome.version, outcome.photo_id, style, outcome.outcome) for style in styles]
    found = Counter(outcome.style for outcome in settled)
    if found != Counter(styles):
        raise LostPhotoError(f"{uri}: one outcome is due in each of {list(styles)}, found {dict(found)}")
    yield from settled


@dataclass(eq=False)
class AuditOutcomes(beam.PTransform[PCollection[Listing], PCollection[Outcome]]):
    """Exactly one outcome for each listed object and style.

    Input: the run's Listings. Output: Outcome. A missing or second outcome fails the run. No dead letters.

    Attributes:
        outcomes: (uri, Outcome) of everything that the run finished.
    """

    outcomes: PCollection[tuple[bytes, Outcome]]

    def expand(self, listings: PCollection[Listing]) -> PCollection[Outcome]:
        """Returns one outcome for each listing and style."""
        keyed = listings | "Key listings" >> beam.Map(key_by_uri)
        settled: PCollection[Outcome] = (
            {"listings": keyed, "outcomes": self.outcomes}
            | "Join by uri" >> beam.CoGroupByKey()
            | "Settle outcomes" >> beam.FlatMap(settle)
        )
        return settled
