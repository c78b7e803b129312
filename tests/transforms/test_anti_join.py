"""What earlier runs have settled is taken out, by uri, version and style."""

import apache_beam as beam
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.anti_join import SETTLED, Settled, TakeOutDone, pending, settle_early
from transforms.read_photos import LISTED
from transforms.records import Listing, Outcome

STYLES = ("romance", "swift")
ODD = "caf\udce9.jpg"  # a name that is not UTF-8; ledgers spell it caf\xe9.jpg


def listing(uri: str, *styles: str, version: str = "1") -> Listing:
    return Listing(uri, 5, version, styles)


def outcomes(uri: str, what: str, *styles: str) -> list[Outcome]:
    return [Outcome(uri, "1", None, style, what) for style in styles]


def test_new_photos_want_all_styles() -> None:
    assert pending(listing("a"), STYLES, set()) == (listing("a", *STYLES), [])


def test_done_styles_are_unchanged() -> None:
    wanted, unchanged = pending(listing("a"), STYLES, {("a", "1", "romance")})
    assert wanted == listing("a", "swift") and unchanged == outcomes("a", "unchanged", "romance")
    wanted, unchanged = pending(listing("a"), STYLES, {("a", "1", style) for style in STYLES})
    assert wanted == listing("a") and unchanged == outcomes("a", "unchanged", *STYLES)


def test_another_version_is_told_again() -> None:
    done = {("a", "0", style) for style in STYLES} | {("b", "1", "romance")}
    assert pending(listing("a"), STYLES, done) == (listing("a", *STYLES), [])


def test_names_are_compared_as_ledgers_spell_them() -> None:
    wanted, unchanged = pending(listing(ODD), ["romance"], {("caf\\xe9.jpg", "1", "romance")})
    assert wanted.styles == () and unchanged == outcomes(ODD, "unchanged", "romance")


def test_early_outcomes_are_one_a_style() -> None:
    assert settle_early(listing("a"), STYLES, "repeated") == outcomes("a", "repeated", *STYLES)


def run(listings: list[Listing], done: list[Settled], fresh: list[Listing], settled: list[Outcome]) -> None:
    with TestPipeline("FnApiRunner") as root:
        before = root | "Done" >> beam.Create(done)
        outputs = root | "Listings" >> beam.Create(listings) | TakeOutDone(before, STYLES)
        assert_that(outputs[LISTED], equal_to(fresh), label="listed")
        assert_that(outputs[SETTLED], equal_to(settled), label="settled")


def test_each_listed_object_goes_one_way() -> None:
    listings = [listing(uri) for uri in ("a", "b", "c", "c", "notes.txt", "folder/", ODD)]
    done = [("a", "1", "romance"), ("b", "1", "romance"), ("b", "1", "swift"), ("gone", "1", "swift")]
    done += [("caf\\xe9.jpg", "1", "swift")] * 2
    fresh = [listing("a", "swift"), listing("c", *STYLES), listing(ODD, "romance")]
    settled = outcomes("a", "unchanged", "romance") + outcomes("b", "unchanged", *STYLES)
    settled += outcomes("c", "repeated", *STYLES) + outcomes(ODD, "unchanged", "swift")
    settled += outcomes("notes.txt", "ignored", *STYLES) + outcomes("folder/", "ignored", *STYLES)
    run(listings, done, fresh, settled)


def test_a_repeated_name_that_was_done() -> None:
    done = [("a", "1", style) for style in STYLES]
    run([listing("a")] * 3, done, [], outcomes("a", "repeated", *STYLES) * 2 + outcomes("a", "unchanged", *STYLES))


def test_nothing_listed() -> None:
    run([], [("a", "1", "romance")], [], [])
    run([], [], [], [])
