"""Differences between two runs, by their ledgers."""

from typing import Any

from pipelines.gallery_page.differences import compare_runs


def compared(nights: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """Returns kind and reason of each difference between the first run and the last."""
    manifests = nights.manifests
    records = compare_runs(nights.output, manifests, manifests[0], manifests[-1])
    return {(record["uri"], record["style"]): (record["kind"], record["why"]) for record in records}


def test_changed_new_and_gone_are_told_apart(nights: Any) -> None:
    nights.night("first", [nights.told(name, "old") for name in ("changed", "gone", "same", "broken")])
    nights.night(
        "second",
        [nights.told("changed", "new", photo_id="other"), nights.told("new", "first time")],
        [nights.letter("broken", "damaged")],
        unchanged=["same"],
    )
    assert compared(nights) == {
        ("changed", "romance"): ("changed", "the photo changed"),
        ("new", "romance"): ("new", ""),
        ("gone", "romance"): ("gone", "the run did not list it"),
        ("broken", "romance"): ("gone", "the run made it a dead letter"),
    }


def test_both_stories_are_shown_changed_ones_first(nights: Any) -> None:
    nights.night("first", [nights.told("b", "old"), nights.told("c", "lost")])
    nights.night("second", [nights.told("a", "found"), nights.told("b", "new")])
    records = compare_runs(nights.output, nights.manifests, *nights.manifests)
    assert [(record["before"], record["after"]) for record in records] == [
        ("old", "new"),
        (None, "found"),
        ("lost", None),
    ]


def test_a_story_told_between_the_runs_belongs_to_the_later_one(nights: Any) -> None:
    nights.night("first", [nights.told("a", "old")])
    nights.night("second", [nights.told("a", "between", pack_digest="larger")])
    nights.night("third", [], unchanged=["a"])
    assert compared(nights) == {("a", "romance"): ("changed", "another model pack")}


def test_a_photo_put_off_keeps_its_story(nights: Any) -> None:
    nights.night("first", [nights.told("a", "old")])
    nights.night("second", [nights.told("b", "other")], deferred=["a", "never told"])
    assert compared(nights) == {("b", "romance"): ("new", "")}


def test_a_second_listing_says_nothing_new(nights: Any) -> None:
    nights.night("first", [nights.told("a", "old")])
    nights.night("second", [nights.told("b", "other")], unchanged=["a"], repeated=["a"])
    assert compared(nights) == {("b", "romance"): ("new", "")}


def test_the_same_words_told_again_are_no_difference(nights: Any) -> None:
    nights.night("first", [nights.told("a", "told")])
    nights.night("second", [nights.told("a", "told", settings_digest="wider")])
    assert compared(nights) == {}
