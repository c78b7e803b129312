"""Texts and scores of the task `sentences`."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.schema import ConfigError
from pipelines.evaluation.book_texts import Book, Sentence, some
from pipelines.evaluation.linear import Map, choose, fit_canonical, fit_ridge

CHOICES = 10  # candidates, one of which is the next sentence
BINS = 6  # classes of lengths
_LEAST = 3 * CHOICES  # texts that each half must have
_ENDS = (".", "?", "!", "''", "'", ")")  # end marks, and closing quotes and brackets after them

Maps = tuple[Map, Map]
"""Maps of the vectors `[N, S]` of sentences and of their candidates to the space where they are compared."""


def halves(books: Sequence[Book]) -> tuple[list[Book], list[Book]]:
    """Returns the books to fit on and the books to judge on: every second one, or the two halves of a single book."""
    if len(books) > 1:
        return list(books[::2]), list(books[1::2])
    parts = books[0].paragraphs
    cut = len(parts) // 2
    return [Book(books[0].name, parts[:cut])], [Book(books[0].name, parts[cut:])]


@dataclass(frozen=True)
class Pairs:
    """Sentences, each with candidates from its book, one of which follows it.

    Attributes:
        texts: all U different sentences.
        sizes: number of words of each `[U]`.
        firsts: places of the first sentences `[N]`.
        choices: places of the next sentence, then of the other candidates `[N, CHOICES]`.
    """

    texts: list[str]
    sizes: np.ndarray
    firsts: np.ndarray
    choices: np.ndarray


def draw_pairs(books: Sequence[Book], count: int) -> Pairs:
    """Returns up to `count` pairs of all books; the other candidates are next sentences of the same book.

    Raises:
        ConfigError: the books have too few pairs.
    """
    drawn = some([(number, pair) for number, book in enumerate(books) for pair in book.pairs()], count)
    by_book: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for number, (first, after) in drawn:
        by_book[number].append((" ".join(first), " ".join(after)))
    places: dict[str, int] = {}
    rows = [
        [places.setdefault(text, len(places)) for text in (first, after, *others)]
        for pairs in by_book.values()
        for first, after, others in _with_others(pairs)
    ]
    if len(rows) < _LEAST:
        raise _too_little(books, len(rows), "pairs of sentences")
    table = np.asarray(rows)  # [N, 1 + CHOICES]
    sizes = np.asarray([len(text.split()) for text in places])  # [U]
    return Pairs(list(places), sizes, table[:, 0], table[:, 1:])


def _with_others(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, list[str]]]:
    """Returns each pair of one book with other texts as candidates; nothing if the book has too few."""
    pool = sorted({after for _, after in pairs})
    if len(pool) < CHOICES + 1:
        return []
    draw = np.random.default_rng(0)
    rows = []
    for first, after in pairs:
        drawn = [pool[place] for place in draw.choice(len(pool), CHOICES + 1, replace=False)]
        rows.append((first, after, [text for text in drawn if text not in (first, after)][: CHOICES - 1]))
    return rows


def _too_little(books: Sequence[Book], found: int, what: str) -> ConfigError:
    names = ", ".join(book.name for book in books)
    return ConfigError([f"--texts, --limit: {found} {what} in {names or 'no book'}; {_LEAST} are the least"])


def next_sentence(pairs: Sequence[Pairs], vectors: Sequence[np.ndarray], canonical: bool = False) -> float:
    """Returns how often the next sentence is the likeliest candidate, in percent.

    A linear map from a sentence's vector to that of the next sentence is fitted on the first half. On the second half,
    the vector of the next sentence must be the nearest to the prediction by cosine, both less the fitted mean.

    Args:
        pairs: those to fit on, and those to judge on.
        vectors: vectors of the texts of both, each `[U, S]`.
        canonical: use canonical correlation analysis instead of a ridge regression from one side to the other.
    """
    (known, judged), (own, other) = pairs, vectors
    fit_maps = fit_canonical if canonical else fit_ridge

    def fit(rows: np.ndarray, penalty: float) -> Maps:
        return fit_maps(own[known.firsts[rows]], own[known.choices[rows, 0]], penalty)

    def score(maps: Maps, rows: np.ndarray) -> float:
        return nearest_choice(maps, own, known.firsts[rows], known.choices[rows])

    return nearest_choice(choose(len(known.firsts), fit, score), other, judged.firsts, judged.choices)


def nearest_choice(maps: Maps, vectors: np.ndarray, firsts: np.ndarray, choices: np.ndarray) -> float:
    """Returns how often the first candidate is nearer than all others, in percent.

    Args:
        maps: maps of the sentences' vectors and of the candidates' vectors.
        vectors: vectors of all texts `[U, S]`.
        firsts: places of the sentences `[N]`.
        choices: places of their candidates `[N, CHOICES]`.
    """
    from sklearn.preprocessing import normalize

    predicted = normalize(maps[0](vectors[firsts]))  # [N, T]
    offered = normalize(maps[1](vectors))  # [U, T]
    cosines = np.stack([(predicted * offered[column]).sum(axis=1) for column in choices.T], axis=1)  # [N, CHOICES]
    return float(100 * (cosines[:, 0] > cosines[:, 1:].max(axis=1)).mean())


def length_labels(pairs: Sequence[Pairs]) -> list[np.ndarray]:
    """Returns the class of each text's length, `[U]` for each half; the classes are of equal size in the first half."""
    edges = np.quantile(pairs[0].sizes, np.arange(1, BINS) / BINS)  # [BINS - 1]
    return [np.searchsorted(edges, half.sizes) for half in pairs]


@dataclass(frozen=True)
class Marked:
    """Sentences without their end marks, and whether each was a question `[N]`."""

    texts: list[str]
    labels: np.ndarray


def draw_questions(books: Sequence[Book], count: int) -> Marked:
    """Returns up to `count` sentences without their end marks, as many questions as others.

    Raises:
        ConfigError: the books have too few questions or too few other sentences.
    """
    kinds: tuple[list[str], list[str]] = ([], [])
    for words in (words for book in books for words in book.sentences()):
        body, end = without_end(words)
        if body and end:
            kinds["?" in end].append(" ".join(body))
    each = min(count // 2, *map(len, kinds))
    if each < _LEAST:
        raise _too_little(books, min(map(len, kinds)), "questions, or other sentences,")
    return Marked([*some(kinds[0], each), *some(kinds[1], each)], np.repeat([0, 1], each))


def without_end(words: Sentence) -> tuple[Sentence, Sentence]:
    """Returns a sentence in two parts: the words before its end marks, and the end marks with quotes and brackets."""
    last = len(words)
    while last and words[last - 1] in _ENDS:
        last -= 1
    return words[:last], words[last:]


def same_photo(groups: np.ndarray, vectors: np.ndarray, ranks: Sequence[int] = (1, 10)) -> dict[str, float]:
    """Returns how often one of the nearest other captions is of the same photo, in percent.

    Args:
        groups: number of the photo of each caption `[N]`.
        vectors: vectors of the captions `[N, S]`, compared by cosine.
        ranks: numbers of nearest captions to look at.
    """
    from sklearn.neighbors import NearestNeighbors

    others = NearestNeighbors(n_neighbors=min(max(ranks), len(vectors) - 1), metric="cosine").fit(vectors)
    nearest = others.kneighbors(return_distance=False)  # [N, most], without the caption itself
    hits = groups[nearest] == groups[:, None]  # [N, most]
    return {f"R@{rank}": float(100 * hits[:, :rank].any(axis=1).mean()) for rank in ranks}
