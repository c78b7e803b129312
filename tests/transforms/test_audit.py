"""The audit: one outcome for each listed object and style, or the run fails."""

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.audit import AuditOutcomes, LostPhotoError, letter_outcome, settle, story_outcome
from transforms.read_photos import key_by_uri
from transforms.records import DeadLetter, Listing, Outcome, Photo, StoryRequest

ODD = "photos/caf\udce9.jpg"  # a name that is not UTF-8


def listing(uri: str, *styles: str) -> Listing:
    return Listing(uri, 5, "1", styles)


def outcome(uri: str, style: str, what: str = "story") -> Outcome:
    return Outcome(uri, "1", "id", style, what)


def keyed(*outcomes: Outcome) -> list[tuple[bytes, Outcome]]:
    return [(one.uri.encode("utf-8", "surrogateescape"), one) for one in outcomes]


def settled(listings: list[Listing], outcomes: list[Outcome]) -> list[Outcome]:
    return list(settle((b"a", {"listings": listings, "outcomes": outcomes})))


def test_one_outcome_a_style_settles() -> None:
    outcomes = [outcome("a", "swift"), outcome("a", "romance", "dead_letter")]
    assert settled([listing("a", "romance", "swift")], outcomes) == outcomes


def test_a_photo_that_failed_as_a_whole_failed_in_each_style() -> None:
    found = settled([listing("a", "romance", "swift")], [outcome("a", "*", "dead_letter")])
    assert found == [outcome("a", style, "dead_letter") for style in ("romance", "swift")]


LOST = {
    "nothing": ([listing("a", "romance")], []),
    "one style of two": ([listing("a", "romance", "swift")], [outcome("a", "romance")]),
    "told twice": ([listing("a", "romance")], [outcome("a", "romance")] * 2),
    "told and failed": ([listing("a", "romance")], [outcome("a", "romance"), outcome("a", "*", "dead_letter")]),
    "failed twice": ([listing("a", "romance")], [outcome("a", "*", "dead_letter")] * 2),
    "another style": ([listing("a", "romance")], [outcome("a", "swift")]),
    "never listed": ([], [outcome("a", "romance")]),
    "listed twice": ([listing("a", "romance")] * 2, [outcome("a", "romance")] * 2),
}


@pytest.mark.parametrize("case", LOST)
def test_holes_and_doubles_are_named(case: str) -> None:
    with pytest.raises(LostPhotoError, match="^a: "):
        settled(*LOST[case])


def run(listings: list[Listing], outcomes: list[Outcome], expected: list[Outcome] | None) -> None:
    with TestPipeline("FnApiRunner") as root:
        found = root | "Outcomes" >> beam.Create(keyed(*outcomes))
        audited = root | "Listings" >> beam.Create(listings) | AuditOutcomes(found)
        if expected is not None:
            assert_that(audited, equal_to(expected), label="settled")


def test_a_whole_run_passes() -> None:
    outcomes = [outcome("a", "romance"), outcome(ODD, "romance", "dead_letter")]
    run([listing("a", "romance"), listing(ODD, "romance")], outcomes, outcomes)


def test_an_empty_run_passes() -> None:
    run([], [], [])


def test_a_lost_photo_fails_the_pipeline() -> None:
    with pytest.raises(Exception, match="^b: one outcome is due"):
        run([listing("a", "romance"), listing("b", "romance")], [outcome("a", "romance")], None)


def test_a_doubled_outcome_fails_the_pipeline() -> None:
    with pytest.raises(Exception, match="^a: one outcome is due"):
        run([listing("a", "romance")], [outcome("a", "romance")] * 2, None)


def test_an_odd_name_is_named_in_full() -> None:
    with pytest.raises(Exception, match=r"photos/caf\\xe9.jpg: one outcome"):
        run([listing(ODD, "romance")], [], None)


def test_outcomes_of_stories_and_letters() -> None:
    photo = Photo(ODD, "1", "id", 3, 2, ("romance",))
    key = b"photos/caf\xe9.jpg"
    assert story_outcome((StoryRequest(photo, (), "romance"), None)) == (key, outcome(ODD, "romance"))
    letter = DeadLetter(ODD, "1", "id", "story", "ValueError", "no", False)
    assert letter_outcome(letter) == (key, outcome(ODD, "*", "dead_letter"))
    one = DeadLetter(ODD, "1", None, "story", "ValueError", "no", False, "swift")
    assert letter_outcome(one) == (key, Outcome(ODD, "1", None, "swift", "dead_letter"))
    assert key_by_uri(listing(ODD)) == (key, listing(ODD))
