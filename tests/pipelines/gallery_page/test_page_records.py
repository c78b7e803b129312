"""Photos, stories and dead letters of committed runs, as the page shows them."""

from typing import Any

import pytest

from configs.schema import ConfigError
from pipelines.gallery_page.page_records import find_run, letter_records, newest_stories, photo_records, run_records


def test_the_newest_story_of_each_photo_and_style_is_shown(nights: Any) -> None:
    nights.night("first", [nights.told("a.jpg", "old"), nights.told("a.jpg", "plain", "austen")])
    nights.night("second", [nights.told("a.jpg", "new")])
    (photo,) = photo_records(newest_stories(nights.output, nights.manifests))
    assert [(told["style"], told["story"], told["run"]) for told in photo["stories"]] == [
        ("austen", "plain", 1),
        ("romance", "new", 2),
    ]


def test_what_was_told_last_comes_first(nights: Any) -> None:
    nights.night("first", [nights.told(name, "old") for name in ("a.jpg", "b.jpg", "c.jpg")])
    nights.night("second", [nights.told("b.jpg", "new")])
    photos = photo_records(newest_stories(nights.output, nights.manifests))
    assert [photo["uri"] for photo in photos] == ["b.jpg", "a.jpg", "c.jpg"]


def test_a_story_of_other_bytes_says_so(nights: Any) -> None:
    nights.night("first", [nights.told("a.jpg", "old", "austen", photo_id="before")])
    nights.night(
        "second", [nights.told("a.jpg", "new", photo_id="after", captions=[{"caption": "c", "similarity": 1}])]
    )
    (photo,) = photo_records(newest_stories(nights.output, nights.manifests))
    assert photo["photo_id"] == "after" and photo["captions"] == [["c", 1]]
    assert {told["style"]: told["earlier"] for told in photo["stories"]} == {"austen": True, "romance": False}


def test_five_captions_are_shown(nights: Any) -> None:
    captions = [{"caption": f"caption {place}", "similarity": 0.91234 - place / 100} for place in range(100)]
    nights.night("first", [nights.told("a.jpg", "old", captions=captions)])
    (photo,) = photo_records(newest_stories(nights.output, nights.manifests))
    assert photo["captions"][0] == ["caption 0", 0.912] and len(photo["captions"]) == 5


def test_a_dead_letter_stands_until_a_later_run_tells_the_photo(nights: Any) -> None:
    letters = [nights.letter(name, "cut short") for name in ("a.jpg", "b.jpg")]
    nights.night("first", [], letters)
    nights.night("second", [nights.told("a.jpg", "told")])
    stories = newest_stories(nights.output, nights.manifests)
    (letter,) = letter_records(nights.output, nights.manifests, stories)
    assert (letter["uri"], letter["message"], letter["run"]) == ("b.jpg", "cut short", 1)


def test_a_dead_letter_of_one_style_stands_beside_the_story_of_another(nights: Any) -> None:
    nights.night("first", [nights.told("a.jpg", "told", "austen")], [nights.letter("a.jpg", "no vector")])
    stories = newest_stories(nights.output, nights.manifests)
    assert len(letter_records(nights.output, nights.manifests, stories)) == 1


def test_the_newest_dead_letters_come_first_and_once(nights: Any) -> None:
    nights.night("first", [], [nights.letter("a.jpg", "timed out", retryable=True), nights.letter("b.jpg", "damaged")])
    nights.night("second", [], [nights.letter("a.jpg", "timed out again", retryable=True)])
    letters = letter_records(nights.output, nights.manifests, {})
    assert [(letter["message"], letter["run"]) for letter in letters] == [("timed out again", 2), ("damaged", 1)]


@pytest.mark.parametrize("name", ["second", "2"])
def test_a_run_is_found_by_id_and_number(nights: Any, name: str) -> None:
    for run in ("first", "second", "third"):
        nights.night(run, [nights.told(f"{run}.jpg", "told")])
    assert find_run(nights.manifests, name)["run_id"] == "second"


def test_an_unknown_run_is_refused_with_the_known_ones(nights: Any) -> None:
    nights.night("first", [nights.told("a.jpg", "told")])
    with pytest.raises(ConfigError, match=r"fourth: no committed run .* 1 \(first\)"):
        find_run(nights.manifests, "fourth")


def test_runs_are_told_with_their_counts(nights: Any) -> None:
    nights.night("first", [nights.told("a.jpg", "told")], ignored=["notes.txt"])
    (run,) = run_records(nights.manifests)
    assert (run["number"], run["run_id"], run["pack"]) == (1, "first", "tiny")
    assert run["counts"] == {"ignored": 1, "story": 1}
