"""Measures of stories that need no model: whether they are about the photo, repeat themselves, or each other."""

from collections import Counter
from collections.abc import Sequence

from model_handlers.nets.tokeniser import tokenise
from pipelines.evaluation.wordnet import WordNet
from pipelines.evaluation.words import content_words

NGRAM, TIMES = 4, 3


def percent(flags: Sequence[bool]) -> float | None:
    """Returns how many of the flags are set, in percent; None where there are none."""
    return 100 * sum(flags) / len(flags) if flags else None


class Subjects:
    """Tells whether a story is about what captions say."""

    def __init__(self, wordnet: WordNet) -> None:
        self._wordnet = wordnet
        self._kin: dict[str, set[str]] = {}

    def share(self, story: str, captions: Sequence[str]) -> bool:
        """Returns whether the story has a content word of the captions, or its kin (see `WordNet.kin`)."""
        told: set[str] = set()
        for word in content_words(tokenise(story)):
            told |= self._wordnet.bases(word)
        return any(told & self._kin_of(word) for caption in captions for word in content_words(tokenise(caption)))

    def _kin_of(self, word: str) -> set[str]:
        if word not in self._kin:
            self._kin[word] = self._wordnet.kin(word)
        return self._kin[word]


def repeats(words: Sequence[str]) -> bool:
    """Returns whether some four words stand side by side three times or more, overlaps counted."""
    runs = Counter(tuple(words[place : place + NGRAM]) for place in range(len(words) - NGRAM + 1))
    return max(runs.values(), default=0) >= TIMES


def told_twice(stories: Sequence[str]) -> list[bool]:
    """Returns whether each story is told of another photo too, letter by letter."""
    counts = Counter(stories)
    return [counts[story] > 1 for story in stories]


def distinct_pairs(texts: Sequence[Sequence[str]]) -> float | None:
    """Returns the share of different pairs of neighbouring words among all, over all texts (distinct-2, Li 2016).

    It is from 0 to 1; None where there are no pairs.
    """
    pairs = [pair for words in texts for pair in zip(words, words[1:], strict=False)]
    return len(set(pairs)) / len(pairs) if pairs else None
