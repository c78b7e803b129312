"""Texts to learn from, as ids: captions with their neighbours, and sentences and passages of the books."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipelines.corpora.lexicon import LIKE
from pipelines.corpora.texts import UNKNOWN, Tokens, Vocabulary, passages_of
from pipelines.training.data.corpus import Corpus
from pipelines.training.engine.whole_files import save_arrays


class Places(Protocol):
    """Places of texts, in an array or on disk."""

    def __getitem__(self, place: Any, /) -> Any:  # noqa: ANN401, as in arrays
        """Returns the entry at a place."""


@dataclass(frozen=True)
class Source:
    """Texts of one kind, and the place of a neighbour of each (the next text, or another of the same photo) or -1."""

    texts: Tokens
    neighbours: Places

    @property
    def by_length(self) -> np.ndarray:
        """Places of the texts from the shortest to the longest, in a fixed random order within a length."""
        shuffled = np.random.default_rng(0).permutation(len(self.texts))
        return shuffled[np.argsort(self.texts.lengths[shuffled], kind="stable")]


def joint_counts(corpus: Corpus, caption_share: float = 3.0) -> Counter[str]:
    """Returns a weight for each lower-case word of books and captions; a vocabulary takes the highest.

    It sums the square roots of a word's counts in each book, so that words of many books weigh more than the names in
    one. The square root of its count in all captions is added, times `caption_share`.
    """
    wanted: dict[str, float] = defaultdict(float)
    for book in corpus.books:
        counts: Counter[str] = Counter()
        for paragraph in book:
            counts.update(paragraph.lower().split())
        for word, count in counts.items():
            wanted[word] += count**0.5
    for word, count in corpus.caption_counts().items():
        wanted[word] += caption_share * count**0.5
    return Counter({word: round(1000 * value) for word, value in wanted.items()})


def book_source(
    books: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
    least: int,
    most: int,
    unknown: float,
    seed: int | None = 0,
) -> Source:
    """Returns passages of books with at most a share `unknown` of unknown words; neighbours are next in the paragraph.

    Their lengths are drawn from `least` to `most` words. Without a seed they are the shortest, mostly one sentence.
    """
    texts: list[np.ndarray] = []
    neighbours: list[int] = []
    draw = None if seed is None else np.random.default_rng(seed)
    for book in books:
        for paragraph in book:
            before = -1
            for passage in passages_of(paragraph.split(), least, most, draw):
                ids = np.asarray([vocabulary.ids.get(word.lower(), UNKNOWN) for word in passage], np.int32)
                if (ids == UNKNOWN).mean() > unknown:
                    before = -1
                    continue
                if before >= 0:
                    neighbours[before] = len(texts)
                before = len(texts)
                texts.append(ids)
                neighbours.append(-1)
    return Source(Tokens.of(texts), np.asarray(neighbours, np.int64))


def caption_source(texts: Sequence[str], vocabulary: Vocabulary, groups: Sequence[Sequence[int]] = ()) -> Source:
    """Returns captions as ids; the captions at the places of a group are of one photo, each a neighbour of the next."""
    neighbours = np.full(len(texts), -1, np.int64)  # [K]
    for group in groups:
        neighbours[list(group)] = [*group[1:], group[0]]
    return Source(Tokens.of(vocabulary.encode(text) for text in texts), neighbours)


def photo_captions(corpus: Corpus, *splits: str) -> tuple[list[str], list[list[int]]]:
    """Returns the captions of the photos of the given splits, and the places of each photo's captions."""
    texts: list[str] = []
    groups: list[list[int]] = []
    for place in corpus.photos_of(*splits):
        captions = corpus.photos[place].captions
        groups.append(list(range(len(texts), len(texts) + len(captions))))
        texts += captions
    return texts, groups


def other_captions(corpus: Corpus) -> list[str]:
    """Returns the captions without photos, the broadest source last, and captions that `swapped` makes from them."""
    texts = corpus.captions("flickr30k_train") + corpus.captions("coco_sample")
    return texts + swapped(texts[::-1])


def swapped(texts: Sequence[str], most: int = 300) -> list[str]:
    """Returns captions with a noun replaced by a similar one that captions rarely name; see `LIKE`.

    Args:
        texts: captions.
        most: maximum number for each noun.
    """
    made: list[str] = []
    for noun, others in LIKE.items():
        own = (text for text in texts if len(others.intersection(words := text.split())) == 1 and len(words) < 14)
        made += [" ".join(noun if word in others else word for word in text.split()) for text in islice(own, most)]
    return made


def cached(path: Path, sources: dict[str, Source]) -> None:
    """Writes sources to one file."""
    arrays: dict[str, np.ndarray] = {}
    for name, source in sources.items():
        arrays |= {
            f"{name}.ids": source.texts.ids,
            f"{name}.starts": source.texts.starts,
            f"{name}.next": np.asarray(source.neighbours),
        }
    save_arrays(path, arrays)


def read_cached(path: Path) -> dict[str, Source]:
    """Returns the sources that `cached` wrote."""
    with np.load(path) as arrays:
        names = sorted({name.rsplit(".", 1)[0] for name in arrays.files})
        return {
            name: Source(Tokens(arrays[f"{name}.ids"], arrays[f"{name}.starts"]), arrays[f"{name}.next"])
            for name in names
        }
