"""Texts to learn from, as ids: captions with their neighbours, and sentences and passages of the books."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.training.corpus import Corpus
from pipelines.training.texts import UNKNOWN, Tokens, Vocabulary, passages_of


@dataclass(frozen=True)
class Source:
    """Texts of one kind, and for each the place of a neighbour (the next text, or another of the same photo) or -1."""

    texts: Tokens
    neighbours: np.ndarray

    @property
    def by_length(self) -> np.ndarray:
        """Places of the texts from the shortest to the longest, in a fixed random order within a length."""
        shuffled = np.random.default_rng(0).permutation(len(self.texts))
        return shuffled[np.argsort(self.texts.lengths[shuffled], kind="stable")]


def joint_counts(corpus: Corpus, caption_share: float = 10.0) -> Counter[str]:
    """Returns counts of the words of books and captions in lower case, the captions' counts multiplied."""
    counts: Counter[str] = Counter()
    for book in corpus.books:
        for paragraph in book:
            counts.update(paragraph.lower().split())
    for word, count in corpus.caption_counts().items():
        counts[word] += int(caption_share * count)
    return counts


def book_source(
    books: Sequence[Sequence[str]], vocabulary: Vocabulary, least: int, most: int, unknown: float, seed: int = 0
) -> Source:
    """Returns passages of books with at most a share `unknown` of unknown words; neighbours follow in a paragraph."""
    texts: list[np.ndarray] = []
    neighbours: list[int] = []
    draw = np.random.default_rng(seed)
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
    """Returns captions as ids; `groups` are the places of captions of one photo, each the next one's neighbour."""
    neighbours = np.full(len(texts), -1, np.int64)  # [K]
    for group in groups:
        neighbours[list(group)] = [*group[1:], group[0]]
    return Source(Tokens.of(vocabulary.encode(text) for text in texts), neighbours)


def photo_captions(corpus: Corpus, *splits: str) -> tuple[list[str], list[list[int]]]:
    """Returns the captions of the photos of some splits, and the places of each photo's own."""
    texts: list[str] = []
    groups: list[list[int]] = []
    for place in corpus.photos_of(*splits):
        captions = corpus.photos[place].captions
        groups.append(list(range(len(texts), len(texts) + len(captions))))
        texts += captions
    return texts, groups


def cached(path: Path, sources: dict[str, Source]) -> None:
    """Writes sources to one file."""
    arrays: dict[str, np.ndarray] = {}
    for name, source in sources.items():
        arrays |= {
            f"{name}.ids": source.texts.ids,
            f"{name}.starts": source.texts.starts,
            f"{name}.next": source.neighbours,
        }
    np.savez(path, **arrays)  # type: ignore[arg-type]


def read_cached(path: Path) -> dict[str, Source]:
    """Returns the sources that `cached` wrote."""
    with np.load(path) as arrays:
        names = sorted({name.rsplit(".", 1)[0] for name in arrays.files})
        return {
            name: Source(Tokens(arrays[f"{name}.ids"], arrays[f"{name}.starts"]), arrays[f"{name}.next"])
            for name in names
        }
