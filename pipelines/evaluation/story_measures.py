"""Measures of stories that need no model: about the photo or not, repetitive, the same as another story."""

from collections import Counter
from collections.abc import Sequence

from model_handlers.nets.tokeniser import tokenise
from pipelines.evaluation.content_words import content_words
from pipelines.evaluation.wordnet import WordNet

NGRAM, TIMES = 4, 3
MOST = 0.5  # captions of a photo agree on a word if more than this share of them has it


def percent(flags: Sequence[bool]) -> float | None:
    """Returns the share of the flags that are set, in percent; None without flags."""
    return 100 * sum(flags) / len(flags) if flags else None


class Subjects:
    """Compares the content words of stories with those of captions."""

    def __init__(self, wordnet: WordNet) -> None:
        self._wordnet = wordnet
        self._related: dict[str, set[str]] = {}

    def share(self, story: str, captions: Sequence[str]) -> bool:
        """Returns whether the story has a content word of the captions, or a related one (see `WordNet.related`)."""
        told = self._bases(story)
        return any(told & self._related_to(word) for caption in captions for word in content_words(tokenise(caption)))

    def rarest(self, stories: Sequence[str], captions: Sequence[Sequence[str]]) -> list[bool]:
        """Returns whether a story has the rarest content word on which the photo's captions agree.

        Photos whose captions agree on no word are left out. The rarest word is the one in the captions of the fewest
        photos. Forms of a word count as one word, related words do not.

        Args:
            stories: one story per photo.
            captions: captions of each photo.
        """
        bases = [[self._bases(caption) for caption in texts] for texts in captions]
        photos = Counter(word for texts in bases for word in set().union(*texts))
        found = []
        for story, texts in zip(stories, bases, strict=True):
            times = Counter(word for text in texts for word in text)
            agreed = {word for word, count in times.items() if count > MOST * len(texts)}
            forms = [self._wordnet.bases(word) & agreed for word in agreed]
            counts = [max(photos[word] for word in same) for same in forms]
            told = self._bases(story)
            if forms:
                rarest = [same for same, count in zip(forms, counts, strict=True) if count == min(counts)]
                found.append(any(same & told for same in rarest))
        return found

    def _bases(self, text: str) -> set[str]:
        """Returns the base forms of a text's content words."""
        words: set[str] = set()
        return words.union(*(self._wordnet.bases(word) for word in content_words(tokenise(text))))

    def _related_to(self, word: str) -> set[str]:
        if word not in self._related:
            self._related[word] = self._wordnet.related(word)
        return self._related[word]


def repeats(words: Sequence[str]) -> bool:
    """Returns whether the same four consecutive words occur three times or more, overlaps included."""
    runs = Counter(tuple(words[place : place + NGRAM]) for place in range(len(words) - NGRAM + 1))
    return max(runs.values(), default=0) >= TIMES


def told_twice(stories: Sequence[str]) -> list[bool]:
    """Returns whether each story is also told, letter by letter, for another photo."""
    counts = Counter(stories)
    return [counts[story] > 1 for story in stories]


def distinct_pairs(texts: Sequence[Sequence[str]]) -> float | None:
    """Returns the share of different pairs of neighbouring words among all pairs of all texts (distinct-2, Li 2016).

    The share is from 0 to 1; None without pairs.
    """
    pairs = [pair for words in texts for pair in zip(words, words[1:], strict=False)]
    return len(set(pairs)) / len(pairs) if pairs else None
