"""Stories to learn from, with the contexts that the decoder will be given in use.

No corpus tells a photo's story in the manner of a novel. Each is put together here: a caption in the past tense and a
passage of a novel about like things and people. Its context is made as the main job makes one: the mean of the sentence
vectors of the captions nearest in the bank, some or many.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipelines.training.files import save_arrays
from pipelines.training.texts import Tokens

HERO_ID = -1
"""In a passage's ids, stands for whom the story is about."""


@dataclass(frozen=True)
class StorySet:
    """Openings, passages of each style, and captions near each opening's subject.

    Attributes:
        bank: sentence vectors of the caption bank `[K, S]`, half precision.
        near: places in the bank of the captions nearest to each opening's photo or caption, best first `[Q, k]`.
        openings: ids of Q openings.
        captions: ids of the captions that they were.
        names: ids of what HERO_ID can become.
        heroes: the place in `names` of each opening's man and woman `[Q, 2]`.
        passages: ids with HERO_ID.
        women: whether a passage's hero is a woman `[P]`.
        rows: for each style the places of passages that suit each opening `[styles, Q, passages]`.
        styles: style vectors less that of captions `[styles, S]`.
    """

    bank: np.ndarray
    near: np.ndarray
    openings: Tokens
    captions: Tokens
    names: Tokens
    heroes: np.ndarray
    passages: Tokens
    women: np.ndarray
    rows: np.ndarray
    styles: np.ndarray

    def compose(self, style: int, query: int, draw: np.random.Generator) -> np.ndarray:
        """Returns the ids of one story: an opening and a passage in a style that suits it."""
        place = draw.choice(self.rows[style, query])
        passage = self.passages[place]
        (blanks,) = np.nonzero(passage == HERO_ID)
        name = self.names[self.heroes[query, int(self.women[place])]]
        pieces = [self.openings[query]]
        for first, last in zip([0, *(blanks + 1)], [*blanks, len(passage)], strict=True):
            pieces += [passage[first:last], name]
        return np.concatenate(pieces[:-1])

    def context(self, query: int, count: int) -> np.ndarray:
        """Returns the mean sentence vector `[S]` of the captions nearest to an opening's subject."""
        return self.bank[self.near[query, :count]].mean(axis=0, dtype=np.float32)

    def save(self, path: Path) -> None:
        """Writes the arrays to one file."""
        arrays: dict[str, np.ndarray] = {}
        for name, value in vars(self).items():
            arrays |= (
                {f"{name}.ids": value.ids, f"{name}.starts": value.starts}
                if isinstance(value, Tokens)
                else {name: value}
            )
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> "StorySet":
        """Returns what `save` wrote."""
        with np.load(path) as arrays:
            packed = [name.removesuffix(".ids") for name in arrays.files if name.endswith(".ids")]
            values: dict[str, Any] = {name: Tokens(arrays[f"{name}.ids"], arrays[f"{name}.starts"]) for name in packed}
            values |= {name: arrays[name] for name in arrays.files if "." not in name}
            return cls(**values)


def proper_names(books: Sequence[Sequence[str]]) -> frozenset[str]:
    """Returns the words, in lower case, that books write with a capital more than twice as often as without."""
    capital: Counter[str] = Counter()
    plain: Counter[str] = Counter()
    for book in books:
        for paragraph in book:
            for word in paragraph.split()[1:]:
                (plain if word[:1].islower() else capital)[word.lower()] += 1
    return frozenset(word for word, count in capital.items() if word[:1].isalpha() and count > 2 * plain[word])


def topics(texts: Tokens, word_vectors: np.ndarray, rarity: np.ndarray, batch_size: int = 4096) -> np.ndarray:
    """Returns what texts are about, `[K, W]` of unit length: their words' mean vector, rare words counting more.

    Args:
        texts: ids.
        word_vectors: `[V, W]`, near for words of like topics.
        rarity: weight of each word `[V]`.
    """
    rows = np.repeat(np.arange(len(texts)), texts.lengths)  # [R]
    sums = np.zeros((len(texts), word_vectors.shape[1]), np.float32)  # [K, W]
    weighted = (word_vectors * rarity[:, None]).astype(np.float32)  # [V, W]
    for first in range(0, len(texts), batch_size):
        last = min(first + batch_size, len(texts))
        part = slice(texts.starts[first], texts.starts[last])
        known = texts.ids[part] >= 0  # [r]
        np.add.at(sums, rows[part][known], weighted[texts.ids[part][known]])
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)  # [K, W]


def match_passages(
    queries: np.ndarray, people: np.ndarray, passages: np.ndarray, cast: np.ndarray, count: int, most: int
) -> np.ndarray:
    """Returns the places of `count` passages for each query `[Q, count]`: near in topic and about the same sexes.

    A passage that is near to everything would soon end every story, so nearness counts less where it is common, and a
    passage that `most` queries have gives way.

    Args:
        queries: topics `[Q, W]`.
        people: whether men and women suit each query `[Q, 2]`.
        passages: topics `[P, W]`.
        cast: men and women in each passage `[P, 2]`.
        count: passages a query gets.
        most: queries that may get the same passage, as far as there are others near.
    """
    draw = np.random.default_rng(0)
    used = np.zeros(len(passages), np.int64)  # [P]
    table, sexes = torch.from_numpy(passages), torch.from_numpy(cast)  # [P, W], [P, 2]
    some = torch.from_numpy(queries[draw.choice(len(queries), min(4096, len(queries)), replace=False)])  # [N, W]
    hub = (table @ some.T).topk(min(64, len(some)), dim=1).values.mean(dim=1)  # [P]
    rows = np.zeros((len(queries), count), np.int64)  # [Q, count]
    wide = min(40 * count, len(passages))
    order = draw.permutation(len(queries))  # [Q]
    for first in range(0, len(queries), 512):
        part = order[first : first + 512]
        people_part = torch.from_numpy(people[part])  # [N, 2]
        fit = people_part @ sexes.T - (1 - people_part) @ sexes.T  # [N, P]
        scores = torch.from_numpy(queries[part]) @ table.T - 0.5 * hub + 0.15 * fit  # [N, P]
        for row, places in zip(part, scores.topk(wide, dim=1).indices.numpy(), strict=True):
            free = places[np.argsort(used[places] >= most, kind="stable")][:count]
            rows[row] = free
            used[free] += 1
    return rows
