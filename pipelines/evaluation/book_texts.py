"""Unseen books as tokenised sentences, and the texts that tasks draw from them.

Paragraphs are found as in training, but without its minimum length: short lines of speech count here, headings and
scraps do not.
"""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import fsspec
import numpy as np
from tqdm import tqdm

from configs.schema import ConfigError
from pipelines.corpora.text_places import expand_texts
from pipelines.corpora.texts import book_paragraphs, split_sentences

MOST_WORDS = 60  # in a passage or a sentence

Item = TypeVar("Item")
Sentence = list[str]


@dataclass(frozen=True)
class Book:
    """A book's paragraphs, each a list of tokenised sentences."""

    name: str
    paragraphs: list[list[Sentence]]

    def sentences(self, least: int = 1, most: int = MOST_WORDS) -> list[Sentence]:
        """Returns the sentences of `least` to `most` words."""
        return [words for part in self.paragraphs for words in part if least <= len(words) <= most]

    def pairs(self) -> list[tuple[Sentence, Sentence]]:
        """Returns each sentence with the next one of its paragraph, if neither is too long."""
        following = [pair for part in self.paragraphs for pair in zip(part, part[1:], strict=False)]
        return [pair for pair in following if max(map(len, pair)) <= MOST_WORDS]

    def passages(self) -> list[Sentence]:
        """Returns the passages: consecutive sentences of one paragraph, as many as fit."""
        return [passage for part in self.paragraphs for passage in runs(part)]


def runs(paragraph: Sequence[Sentence], most: int = MOST_WORDS) -> Iterator[Sentence]:
    """Yields consecutive whole sentences of at most `most` words together; leaves longer sentences out."""
    current: Sentence = []
    for sentence in paragraph:
        if len(current) + len(sentence) > most:
            if current:
                yield current
            current = []
        current = current + sentence if len(sentence) <= most else []
    if current:
        yield current


def read_books(flags: Namespace) -> list[Book]:
    """Returns the books that `--texts` names, sorted by name.

    Raises:
        ConfigError: no file matches, one cannot be read, or none has a paragraph.
    """
    names = sorted({name for pattern in flags.texts for name in expand_texts(pattern)})
    if not names:
        raise ConfigError([f"--texts {' '.join(flags.texts)}: no file matches"])
    books = [_read_book(name) for name in tqdm(names, desc="books", unit="book", leave=False)]
    books = [book for book in books if book.paragraphs]
    if not books:
        raise ConfigError([f"--texts {' '.join(flags.texts)}: no paragraph in {len(names)} files"])
    return books


def _read_book(name: str) -> Book:
    try:
        with fsspec.open(name, "rt", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError([f"--texts {name}: cannot be read ({error})"]) from error
    return Book(name, [split_sentences(paragraph.split()) for paragraph in book_paragraphs(text, least=1)])


def some(items: Sequence[Item], count: int) -> list[Item]:
    """Returns up to `count` of the items in their order; every call draws the same ones."""
    if len(items) <= count:
        return list(items)
    places = np.random.default_rng(0).choice(len(items), count, replace=False)
    return [items[place] for place in sorted(places)]
