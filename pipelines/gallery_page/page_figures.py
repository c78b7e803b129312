"""Statistics of the stories on the page: distributions, and repeated sentences."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pipelines.evaluation.quotations import LEAST, words_of
from transforms.rows import Row

BARS = 20  # bars of a histogram, at most
SHOWN = 20  # sentences that many stories share
_SENTENCES = re.compile(r"(?<=[.!?])\s+")


def figures(stories: Iterable[Row]) -> dict[str, Any]:
    """Returns the histograms of all stories by style, and the sentences that several photos' stories share.

    Args:
        stories: rows of the newest stories.
    """
    by_style: dict[str, list[Row]] = defaultdict(list)
    for row in stories:
        by_style[row["style"]].append(row)
    owners = {style: _owners(rows) for style, rows in by_style.items()}
    return {
        "histograms": [
            _histogram("Length", "words of a story", by_style, _words, least=1),
            _histogram("Cost", "summed negative log likelihood, lower is likelier", by_style, _cost),
            _histogram("Similarity", "cosine of photo and nearest caption, higher is nearer", by_style, _similarity),
            {
                "title": "Repetition",
                "unit": "percent of a story's sentences that other photos' stories have too",
                "edges": list(range(0, 101, 10)),
                "series": [_series(style, _shares(by_style[style], owners[style]), 0, 10, 10) for style in by_style],
            },
        ],
        "shared": _most_shared(owners),
    }


def _words(row: Row) -> float:
    words: int = row["words"]
    return words


def _cost(row: Row) -> float:
    cost: float = row["cost"]
    return cost


def _similarity(row: Row) -> float:
    return row["captions"][0][1] if row["captions"] else math.nan


def _histogram(
    title: str, unit: str, by_style: Mapping[str, list[Row]], value: Callable[[Row], float], least: float = 0.001
) -> Row:
    """Returns one histogram with the same edges for each style; values that are not finite are left out.

    Args:
        title: title of the histogram.
        unit: unit of its values, for people.
        by_style: story rows by style.
        value: function that returns the value of a row.
        least: minimum width of a bar.
    """
    values = {
        style: [number for row in rows if math.isfinite(number := value(row))] for style, rows in by_style.items()
    }
    low, step, count = _bars([number for numbers in values.values() for number in numbers], least)
    edges = [round(low + step * place, 6) for place in range(count + 1)]
    series = [_series(style, numbers, low, step, count) for style, numbers in values.items()]
    return {"title": title, "unit": unit, "edges": edges, "series": series}


def _bars(values: Sequence[float], least: float) -> tuple[float, float, int]:
    """Returns first edge, width and number of bars that cover the values, on round numbers."""
    low, high = min(values, default=0), max(values, default=1)
    least = max((high - low) / BARS, least)
    power = 10 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
    first = math.floor(low / step)
    return first * step, step, math.floor(high / step) - first + 1


def _series(style: str, values: Sequence[float], low: float, step: float, count: int) -> Row:
    counts = [0] * count
    for value in values:
        counts[min(max(int((value - low) / step), 0), count - 1)] += 1
    ordered = sorted(values)
    median = round(ordered[len(ordered) // 2], 3) if ordered else None
    return {"style": style, "counts": counts, "median": median}


def _sentences(story: str) -> list[tuple[str, tuple[str, ...]]]:
    """Returns the story's sentences, each with its words; short ones, which are common, are left out."""
    pairs = [(sentence, tuple(words_of(sentence))) for sentence in _SENTENCES.split(story.strip())]
    return [(sentence, words) for sentence, words in pairs if len(words) >= LEAST]


def _owners(rows: Iterable[Row]) -> dict[tuple[str, ...], tuple[str, set[str]]]:
    """Returns the text of each sentence and the photos whose stories have it, by the words of the sentence."""
    owners: dict[tuple[str, ...], tuple[str, set[str]]] = {}
    for row in rows:
        for sentence, words in _sentences(row["story"]):
            owners.setdefault(words, (sentence, set()))[1].add(row["photo_id"])
    return owners


def _shares(rows: Iterable[Row], owners: Mapping[tuple[str, ...], tuple[str, set[str]]]) -> list[float]:
    """Returns the percentage of each story's sentences that stories of other photos also have."""
    shares = []
    for row in rows:
        shared = [len(owners[words][1]) > 1 for _, words in _sentences(row["story"])]
        shares.append(100 * sum(shared) / len(shared) if shared else 0.0)
    return shares


def _most_shared(owners: Mapping[str, Mapping[tuple[str, ...], tuple[str, set[str]]]]) -> list[Row]:
    found = [
        {"style": style, "sentence": sentence, "photos": len(photos)}
        for style, sentences in owners.items()
        for sentence, photos in sentences.values()
        if len(photos) > 1
    ]
    return sorted(found, key=_most_photos)[:SHOWN]


def _most_photos(shared: Row) -> tuple[int, str]:
    return -shared["photos"], shared["sentence"]
