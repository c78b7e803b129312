"""Measures of stories that need no model: whether they are about the photo, repeat themselves, or each other."""

from collections import Counter
from collections.abc import Sequence

from model_handlers.nets.tokeniser import tokenise
from pipelines.evaluation.content_words import content_words
from pipelines.evaluation.wordnet import WordNet

NGRAM, TIMES = 4, 3
MOST = 0.5  # of a photo's captions; a word that more of them have is one on which they agree


def percent(flags: Sequence[bool]) -> float | None:
    """Returns how many of the flags are set, in percent; None where there are none."""
    return 100 * sum(flags) / len(flags) if flags else None


class Subjects:
    """Tells whether a story is about what captions say."""

    def __init__(self, wordnet: WordNet) -> None:
        self._wordnet = wordnet
        self._related: dict[str, set[str]] = {}

    def share(self, story: str, captions: Sequence[str]) -> bool:
        """Returns whether the story has a content word of the captions, or a related one (see `WordNet.related`)."""
        told = self._bases(story)
        return any(told & self._related_to(word) for caption in captions for word in content_words(tokenise(caption)))

    def rarest(self, stories: Sequence[str], captions: Sequence[Sequence[str]]) -> list[bool]:
        """Returns for each photo whose captions agree on a content word whether its story has the rarest of these.

        Rarest is the word that the captions of fewest photos have. Forms of a word are one word, related words are not.

        Args:
            stories: one a photo.
            captions: of each photo.
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
