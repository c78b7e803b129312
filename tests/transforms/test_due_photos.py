"""Which photos are due, by the form on lists and the form on PCollections, which never differ."""

import random
from dataclasses import replace
from itertools import cycle

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.due_photos import SETTLED, TakeOutDone, take_out_done
from transforms.due_rules import EVERYTHING_NEW, FAILED, MAY_PASS, TOLD, Attempt, Selection, ledger_uri, sample_key
from transforms.read_photos import LISTED
from transforms.records import Listing, Outcome

STYLES = ("romance", "swift")
ODD = "caf\udce9.jpg"  # a name that is not UTF-8; ledgers spell it caf\xe9.jpg


def listing(uri: str, *styles: str, version: str = "1") -> Listing:
    return Listing(uri, 5, version, styles)


def outcomes(uri: str, what: str, *styles: str) -> list[Outcome]:
    return [Outcome(uri, "1", None, style, what) for style in styles]


def tried(uri: str, style: str, result: str = TOLD, version: str = "1", run: int = 1) -> Attempt:
    return Attempt(uri, version, style, result, run)


def on_lists(
    listings: list[Listing], before: list[Attempt], selection: Selection, files: bool
) -> tuple[list[Listing], list[Outcome]]:
    attempts: dict[str, list[Attempt]] = {}
    for attempt in before:
        attempts.setdefault(attempt.uri, []).append(attempt)
    return take_out_done(listings, STYLES, attempts, selection, files)


def run(
    listings: list[Listing],
    before: list[Attempt],
    due: list[Listing],
    settled: list[Outcome],
    selection: Selection = EVERYTHING_NEW,
    files: bool = True,
) -> None:
    found, others = on_lists(listings, before, selection, files)
    assert sorted(found, key=repr) == sorted(due, key=repr)
    assert sorted(others, key=repr) == sorted(settled, key=repr)
    with TestPipeline("FnApiRunner") as root:
        attempts = root | "Attempts" >> beam.Create(before)
        outputs = root | "Listings" >> beam.Create(listings) | TakeOutDone(attempts, STYLES, selection, files)
        assert_that(outputs[LISTED], equal_to(due), label="listed")
        assert_that(outputs[SETTLED], equal_to(settled), label="settled")


def test_each_listed_object_goes_one_way() -> None:
    listings = [listing(uri) for uri in ("a", "b", "c", "c", "notes.txt", "folder/", ODD)]
    before = [tried("a", "romance"), tried("b", "romance"), tried("b", "swift"), tried("gone", "swift")]
    before += [tried("caf\\xe9.jpg", "swift")] * 2
    fresh = [listing("a", "swift"), listing("c", *STYLES), listing(ODD, "romance")]
    settled = outcomes("a", "unchanged", "romance") + outcomes("b", "unchanged", *STYLES)
    settled += outcomes("c", "repeated", *STYLES) + outcomes(ODD, "unchanged", "swift")
    settled += outcomes("notes.txt", "ignored", *STYLES) + outcomes("folder/", "ignored", *STYLES)
    run(listings, before, fresh, settled)


def test_a_repeated_name_that_was_done() -> None:
    before = [tried("a", style) for style in STYLES]
    run([listing("a")] * 3, before, [], outcomes("a", "repeated", *STYLES) * 2 + outcomes("a", "unchanged", *STYLES))


def test_a_limit_defers_the_last() -> None:
    listings = [listing(uri) for uri in ("d", ODD, "c", "a", "b", "b", "x.txt")]
    settled = outcomes("b", "repeated", *STYLES) + outcomes("x.txt", "ignored", *STYLES)
    settled += outcomes("a", "unchanged", *STYLES) + outcomes("c", "unchanged", "romance")
    late = outcomes("d", "deferred", *STYLES) + outcomes(ODD, "deferred", *STYLES)
    before = [tried("a", "romance"), tried("a", "swift"), tried("c", "romance")]
    fresh = [listing("b", *STYLES), listing("c", "swift")]
    run(listings, before, fresh, settled + late, Selection(limit=2))
    fresh += [listing(ODD, *STYLES), listing("d", *STYLES)]
    for limit in (4, 5):
        run(listings, before, fresh, settled, Selection(limit=limit))
    run([], [], [], [], Selection(limit=1))


def test_a_sample_is_of_all_that_is_listed() -> None:
    listings = [listing(uri) for uri in "abcdefgh"]
    inside = sorted(listings, key=sample_key)[:3]
    fresh = [replace(one, styles=STYLES) for one in inside[1:]]
    settled = outcomes(inside[0].uri, "unchanged", *STYLES)
    settled += [one for other in listings if other not in inside for one in outcomes(other.uri, "deferred", *STYLES)]
    before = [tried(inside[0].uri, style) for style in STYLES]
    run(
        [*listings, listing("z.txt")],
        before,
        fresh,
        settled + outcomes("z.txt", "ignored", *STYLES),
        Selection(sample=3),
    )
    run([], [], [], [], Selection(sample=3))


def test_nothing_listed() -> None:
    run([], [tried("a", "romance")], [], [])
    run([], [], [], [])


def test_what_is_due_keeps_its_order() -> None:
    listings = [listing(uri) for uri in ("d", "a", "c", "a", "b")]
    due, _ = on_lists(listings, [], Selection(limit=3), True)
    assert [one.uri for one in due] == ["a", "c", "b"]


def test_of_a_repeated_name_the_one_that_was_looked_at_is_taken() -> None:
    unseen, older, newer = Listing("a", -1, ""), listing("a", version="1"), listing("a", version="2")
    settled = [Outcome("a", version, None, style, "repeated") for version in ("", "1") for style in STYLES]
    for listings in ([unseen, older, newer], [newer, unseen, older], [older, newer, unseen]):
        run(listings, [], [replace(newer, styles=STYLES)], settled)


def test_feature_vectors_may_have_any_name() -> None:
    run([listing("clip.mp4")], [], [listing("clip.mp4", *STYLES)], [], files=False)
    run([listing("clip.mp4")], [], [], outcomes("clip.mp4", "ignored", *STYLES))


SELECTIONS = {
    "all that is new": Selection(),
    "of these days": Selection(since=50.0),
    "a share": Selection(sample=0.5),
    "some": Selection(sample=9.0),
    "the first": Selection(limit=5),
    "what failed": Selection(failed=True),
    "everything at once": Selection(20.0, 0.7, 4, True),
    "more than there are": Selection(sample=1000.0, limit=1000),
}


@pytest.mark.parametrize(("name", "files"), list(zip(SELECTIONS, cycle([True, False]), strict=False)))
def test_both_forms_select_the_same(name: str, files: bool) -> None:
    draw = random.Random(f"{name} {files}")
    names = [f"photo {number}" for number in range(40)] + [ODD, "notes.txt", "folder/", ".DS_Store", ""]
    listings = [
        replace(
            listing(uri, version=draw.choice("12")), size=draw.choice([-1, 5, 6]), modified=draw.choice([None, 9, 99])
        )
        for uri in draw.choices(names, k=80)
    ]
    before = [
        tried(ledger_uri(listing(uri)), style, draw.choice([TOLD, FAILED, MAY_PASS]), draw.choice("12"), number)
        for number, uri in enumerate(draw.choices([*names, "gone"], k=80))
        for style in draw.sample(STYLES, draw.choice([0, 1, 2]))
    ]
    due, settled = on_lists(listings, before, SELECTIONS[name], files)
    assert due and settled and {one.uri for one in due} | {one.uri for one in settled} == {one.uri for one in listings}
    run(listings, before, due, settled, SELECTIONS[name], files)
