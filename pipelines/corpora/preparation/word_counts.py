"""The vocabulary, from counts of the words in all texts that are kept for training."""

from collections import Counter
from collections.abc import Iterable

import apache_beam as beam
import numpy as np

from pipelines.corpora.preparation.corpus_records import DEV, Kept, Rules
from pipelines.corpora.preparation.pieces import PieceTexts
from pipelines.corpora.texts import Vocabulary

Counts = tuple[Counter[str], Counter[str]]
"""Counts of the words of books, and of those of captions."""

SCALE = 1000  # weights are rounded to thousandths


def kept_texts(texts: PieceTexts, repeated: np.ndarray) -> np.ndarray:
    """Returns which of a piece's texts are not repeated `[n]`."""
    kept = np.ones(len(texts.hashes), bool)  # [n]
    kept[repeated] = False
    return kept


def count_words(kept: Kept, rules: Rules) -> Counts:
    """Returns the counts of the words of a piece; none if the piece is held out."""
    if kept.piece.kind.startswith(DEV):
        return Counter(), Counter()
    texts = PieceTexts.load(kept.piece.uri)
    words = np.repeat(kept_texts(texts, kept.repeated), np.diff(texts.starts))  # [R]
    numbers = np.bincount(texts.ids[words], minlength=len(texts.words)).tolist()
    counts = Counter({word: number for word, number in zip(texts.words, numbers, strict=True) if number})
    return (counts, Counter()) if rules.is_book(kept.piece.kind) else (Counter(), counts)


class SumCounts(beam.CombineFn):
    """Sums Counts."""

    def create_accumulator(self) -> Counts:
        """Returns empty counts."""
        return Counter(), Counter()

    def add_input(self, accumulator: Counts, counts: Counts) -> Counts:
        """Returns the sum with one piece's counts added."""
        for total, more in zip(accumulator, counts, strict=True):
            total.update(more)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Counts]) -> Counts:
        """Returns the sum of all sums."""
        first, *others = accumulators
        for other in others:
            self.add_input(first, other)
        return first

    def extract_output(self, accumulator: Counts) -> Counts:
        """Returns the sum."""
        return accumulator


def choose_words(counts: Counts, rules: Rules) -> list[str]:
    """Returns the most frequent words, with captions' counts weighted; equally frequent words are sorted by name."""
    books, captions = counts
    scores = Counter({word: SCALE * count for word, count in books.items()})
    weight = round(SCALE * rules.caption_weight)
    for word, count in captions.items():
        scores[word] += weight * count
    return Vocabulary.of_counts(scores, rules.vocabulary).words
