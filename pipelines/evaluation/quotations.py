"""Finds stories that repeat a book word for word."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

LEAST = 6  # words of a sentence that counts as copied; shorter ones occur by chance
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_END = re.compile(r"[.!?]+")


def words_of(text: str) -> list[str]:
    """Returns a text's words in lower case, without punctuation; apostrophes within a word stay."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def find_copies(stories: Sequence[str], books: Iterable[str]) -> list[bool]:
    """Returns whether each story has a sentence of at least LEAST words that is in a book word for word.

    Case and punctuation are ignored. The sentence may be part of a longer one in the book.
    """
    owners: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for number, story in enumerate(stories):
        for sentence in _END.split(story):
            words = tuple(words_of(sentence))
            if len(words) >= LEAST:
                owners[words].add(number)
    starts: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    for sentence_words in owners:
        starts[sentence_words[:LEAST]].append(sentence_words)
    copied: set[int] = set()
    for book in books:
        words_here = words_of(book)
        for place, start in enumerate(zip(*(words_here[shift:] for shift in range(LEAST)), strict=False)):
            for sentence_words in starts.get(start, ()):
                if tuple(words_here[place : place + len(sentence_words)]) == sentence_words:
                    copied |= owners[sentence_words]
    return [number in copied for number in range(len(stories))]
