"""What earlier runs have settled is taken out, by uri, version and style."""

from dataclasses import replace
from itertools import pairwise

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.anti_join import (
    EVERYTHING_NEW,
    FAILED,
    MAY_PASS,
    SETTLED,
    TOLD,
    Attempt,
    Selection,
    TakeOutDone,
    pending,
    sample_key,
    settle_early,
)
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


def test_new_photos_want_all_styles() -> None:
    assert pending(listing("a"), STYLES, []) == (listing("a", *STYLES), [])


def test_done_styles_are_unchanged() -> None:
    wanted, unchanged = pending(listing("a"), STYLES, [tried("a", "romance")])
    assert wanted == listing("a", "swift") and unchanged == outcomes("a", "unchanged", "romance")
    wanted, unchanged = pending(listing("a"), STYLES, [tried("a", style) for style in STYLES])
    assert wanted == listing("a") and unchanged == outcomes("a", "unchanged", *STYLES)


def test_another_version_is_told_again() -> None:
    before = [tried("a", style, version="0") for style in STYLES] + [tried("a", "romance", FAILED, "0")]
    assert pending(listing("a"), STYLES, before) == (listing("a", *STYLES), [])


@pytest.mark.parametrize(
    ("results", "settled"),
    [
        ([], False),
        ([TOLD], True),
        ([FAILED], True),
        ([MAY_PASS], False),
        ([MAY_PASS] * 3, False),
        ([MAY_PASS] * 4, True),  # once, and three times again
        ([MAY_PASS, TOLD], True),
    ],
)
def test_dead_letters_are_tried_again_three_times(results: list[str], settled: bool) -> None:
    before = [tried("a", "romance", result, run=run) for run, result in enumerate(results)]
    before += [tried("a", "romance", MAY_PASS, "0")] * 9 + [tried("a", "swift", MAY_PASS)] * 3
    wanted, unchanged = pending(listing("a"), ["romance"], before)
    assert (wanted.styles, unchanged) == (
        ((), outcomes("a", "unchanged", "romance")) if settled else (("romance",), [])
    )


@pytest.mark.parametrize(
    ("before", "outcome"),
    [
        ([], "deferred"),
        ([(FAILED, "1")], None),
        ([(MAY_PASS, "1")] * 9, None),
        ([(FAILED, "0")], None),  # somebody mended the photo
        ([(TOLD, "0")], "deferred"),  # it changed, and never failed
        ([(TOLD, "1")], "unchanged"),
        ([(FAILED, "1"), (TOLD, "1")], "unchanged"),
        ([(FAILED, "0"), (TOLD, "0")], "deferred"),
    ],
)
def test_dead_letters_alone(before: list[tuple[str, str]], outcome: str | None) -> None:
    attempts = [tried("a", "romance", result, version, run) for run, (result, version) in enumerate(before)]
    for tries in (attempts, attempts[::-1]):  # in whatever order they come
        wanted, settled = pending(listing("a"), ["romance"], tries, Selection(failed=True))
        assert settled == (outcomes("a", outcome, "romance") if outcome else [])
        assert wanted.styles == (() if outcome else ("romance",))


@pytest.mark.parametrize(("modified", "told"), [(99.0, False), (100.0, True), (101.0, True), (None, True)])
def test_what_was_modified_earlier_is_deferred(modified: float | None, told: bool) -> None:
    one = replace(listing("a"), modified=modified)
    wanted, left = pending(one, STYLES, [tried("a", "swift")], Selection(since=100.0))
    assert wanted.styles == (("romance",) if told else ())
    assert left == ([] if told else outcomes("a", "deferred", "romance")) + outcomes("a", "unchanged", "swift")


def test_a_share_is_about_that_large_and_grows() -> None:
    names = [listing(f"photo {number}") for number in range(2000)]
    samples = []
    for share in (0.0001, 0.25, 0.5, 0.9999):
        selection = Selection(sample=share)
        samples.append({one.uri for one in names if pending(one, ["swift"], [], selection, selection.share)[0].styles})
        assert abs(len(samples[-1]) - 2000 * share) < 100
    assert all(smaller <= larger for smaller, larger in pairwise(samples))
    assert sample_key(listing("a"))[:8].hex() == "40f89e395b66422f"  # as it was in earlier versions too
    assert Selection(sample=0.5).sample_size is None and Selection(sample=3.0).sample_size == 3
    assert Selection(sample=1.0).share is None and Selection(sample=1.0).sample_size == 1


def test_early_outcomes_are_one_a_style() -> None:
    assert settle_early(listing("a"), STYLES, "repeated") == outcomes("a", "repeated", *STYLES)


def run(
    listings: list[Listing],
    before: list[Attempt],
    fresh: list[Listing],
    settled: list[Outcome],
    selection: Selection = EVERYTHING_NEW,
) -> None:
    with TestPipeline("FnApiRunner") as root:
        attempts = root | "Attempts" >> beam.Create(before)
        outputs = root | "Listings" >> beam.Create(listings) | TakeOutDone(attempts, STYLES, selection)
        assert_that(outputs[LISTED], equal_to(fresh), label="listed")
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
