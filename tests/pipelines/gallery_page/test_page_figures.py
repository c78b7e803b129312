"""Histograms of stories, and sentences that several photos' stories share."""

import math
from typing import Any

import pytest

from pipelines.gallery_page.page_figures import BARS, figures

SENTENCE = "She was sitting on the edge of a dock."


def row(**changes: Any) -> dict[str, Any]:
    """Returns what the figures read of a story row."""
    facts = {"style": "romance", "photo_id": "1", "story": "", "words": 50, "cost": 20.0, "captions": [["c", 0.5]]}
    return facts | changes


def by_title(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {histogram["title"]: histogram for histogram in figures(rows)["histograms"]}


def test_bars_count_every_story_of_a_style() -> None:
    rows = [row(words=words) for words in (10, 11, 11, 19)] + [row(style="austen", words=14)]
    length = by_title(rows)["Length"]
    assert length["edges"] == list(range(10, 21))
    romance, austen = length["series"]
    assert romance == {"style": "romance", "counts": [1, 2, 0, 0, 0, 0, 0, 0, 0, 1], "median": 11}
    assert austen["counts"] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (0.1, 0.7), (12.5, 48.9), (3, 100_000), (-0.2, 0.9)])
def test_bars_are_few_and_on_round_numbers(low: float, high: float) -> None:
    cost = by_title([row(cost=low), row(cost=high)])["Cost"]
    edges = cost["edges"]
    assert edges[0] <= low and high <= edges[-1] + 1e-6 and len(edges) <= BARS + 3
    assert sum(cost["series"][0]["counts"]) == 2
    step = edges[1] - edges[0]
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 3) in (1, 2, 5)


def test_what_is_no_number_is_left_out() -> None:
    histograms = by_title([row(cost=math.nan, captions=[]), row(cost=math.inf)])
    assert sum(histograms["Cost"]["series"][0]["counts"]) == 0 and histograms["Cost"]["series"][0]["median"] is None
    assert sum(histograms["Similarity"]["series"][0]["counts"]) == 1


def test_sentences_that_photos_share_are_counted() -> None:
    rows = [
        row(photo_id="1", story=f"{SENTENCE} Nothing else was said about it by them."),
        row(photo_id="2", story=SENTENCE.upper()),
        row(photo_id="3", story="A story of its own, unlike the others."),
        row(style="austen", photo_id="4", story=SENTENCE),
    ]
    found = figures(rows)
    assert found["shared"] == [{"style": "romance", "sentence": SENTENCE, "photos": 2}]
    romance, austen = found["histograms"][3]["series"]
    assert romance["counts"] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 1] and austen["counts"][0] == 1


def test_one_photo_under_two_names_repeats_nobody() -> None:
    assert figures([row(story=SENTENCE), row(story=SENTENCE)])["shared"] == []


def test_short_sentences_are_anybodys() -> None:
    assert figures([row(photo_id=photo, story="He smiled.") for photo in "12"])["shared"] == []


def test_no_stories_have_figures_too() -> None:
    assert [histogram["series"] for histogram in figures([])["histograms"]] == [[], [], [], []]
