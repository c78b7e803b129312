"""Photos settled by earlier runs, by uri, version and style, are not due again, nor are those that are not selected."""

from dataclasses import replace
from itertools import pairwise

import pytest

from transforms.due_rules import (
    FAILED,
    MAY_PASS,
    TOLD,
    Attempt,
    Selection,
    bound,
    is_beyond,
    ledger_uri,
    pending,
    sample_key,
    settle_early,
)
from transforms.records import Listing, Outcome

STYLES = ("romance", "swift")


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


def test_another_version_is_due_again() -> None:
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
def test_only_dead_letters(before: list[tuple[str, str]], outcome: str | None) -> None:
    attempts = [tried("a", "romance", result, version, run) for run, (result, version) in enumerate(before)]
    for tries in (attempts, attempts[::-1]):  # in whatever order they come
        wanted, settled = pending(listing("a"), ["romance"], tries, Selection(failed=True))
        assert settled == (outcomes("a", outcome, "romance") if outcome else [])
        assert wanted.styles == (() if outcome else ("romance",))


@pytest.mark.parametrize(("modified", "due"), [(99.0, False), (100.0, True), (101.0, True), (None, True)])
def test_what_was_modified_earlier_is_deferred(modified: float | None, due: bool) -> None:
    one = replace(listing("a"), modified=modified)
    wanted, left = pending(one, STYLES, [tried("a", "swift")], Selection(since=100.0))
    assert wanted.styles == (("romance",) if due else ())
    assert left == ([] if due else outcomes("a", "deferred", "romance")) + outcomes("a", "unchanged", "swift")


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


def test_bounds() -> None:
    assert bound([b"b", b"a"], 2) == b"b" and bound([b"b", b"a"], 3) is None and bound([], 1) is None
    assert is_beyond(b"b", b"a") and not is_beyond(b"a", b"a") and not is_beyond(b"b", None)


def test_names_are_spelled_as_in_ledgers() -> None:
    assert ledger_uri(listing("caf\udce9.jpg")) == "caf\\xe9.jpg"
