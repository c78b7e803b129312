"""Stories to learn from, with the contexts that the decoder will be given in use.

No corpus tells a photo's story in the manner of a novel. Each is put together here: an opening (a romantic caption
about the same thing, or the caption itself where there is none near) and a passage of a novel about like things. Its
context is made as the main job makes one: the mean of the sentence vectors of the nearest captions.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipelines.training.lexicon import FEELINGS, FEMALE, FIRST_OR_SECOND, MALE, NO_START, SCENES, THIRD
from pipelines.training.texts import Tokens, Vocabulary, passages_of

_MARKS = (".", ",", ";", "!", "?", "'s", "n't", "--")


@dataclass(frozen=True)
class StorySet:
    """Contexts `[Q, S]` before the shift, openings and passages, and which of them suit each context."""

    contexts: np.ndarray
    openings: Tokens
    opening_rows: np.ndarray
    passages: Tokens
    passage_rows: np.ndarray

    def compose(self, query: int, draw: np.random.Generator) -> np.ndarray:
        """Returns the ids of one story of a context: an opening and a passage that suit it, drawn evenly."""
        openings = self.opening_rows[query]
        opening = draw.choice(openings[openings >= 0])
        return np.concatenate([self.openings[opening], self.passages[draw.choice(self.passage_rows[query])]])

    def save(self, path: Path) -> None:
        """Writes the arrays to one file."""
        np.savez(
            path,
            contexts=self.contexts,
            opening_ids=self.openings.ids,
            opening_starts=self.openings.starts,
            opening_rows=self.opening_rows,
            passage_ids=self.passages.ids,
            passage_starts=self.passages.starts,
            passage_rows=self.passage_rows,
        )

    @classmethod
    def load(cls, path: Path) -> "StorySet":
        """Returns what `save` wrote."""
        with np.load(path) as arrays:
            openings = Tokens(arrays["opening_ids"], arrays["opening_starts"])
            passages = Tokens(arrays["passage_ids"], arrays["passage_starts"])
            return cls(arrays["contexts"], openings, arrays["opening_rows"], passages, arrays["passage_rows"])


def proper_names(books: Sequence[Sequence[str]]) -> frozenset[str]:
    """Returns the words, in lower case, that books write with a capital more than twice as often as without."""
    capital: Counter[str] = Counter()
    plain: Counter[str] = Counter()
    for book in books:
        for paragraph in book:
            for word in paragraph.split()[1:]:
                (plain if word[:1].islower() else capital)[word.lower()] += 1
    return frozenset(word for word, count in capital.items() if word[:1].isalpha() and count > 2 * plain[word])


def romance_passages(
    books: Sequence[Sequence[str]], vocabulary: Vocabulary, limits: Sequence[tuple[int, int]] = ((12, 32), (9, 20))
) -> Iterator[np.ndarray]:
    """Yields passages of books in the third person that tell of feelings, or of a scene in two words or more.

    None has speech, names or unknown words in it, and none comes twice. Paragraphs are cut once for each of `limits`,
    the least and the most words of a passage.
    """
    barred = (proper_names(books) - FIRST_OR_SECOND) | FIRST_OR_SECOND
    draw = np.random.default_rng(0)
    seen: set[str] = set()
    for book in books:
        for paragraph in book:
            words = paragraph.lower().split()
            for least, most in limits:
                for passage in passages_of(words, least, most, draw):
                    text = " ".join(passage)
                    if text not in seen and _is_romance(passage, barred, vocabulary):
                        seen.add(text)
                        yield np.asarray([vocabulary.ids[word] for word in passage], np.int32)


def _is_romance(passage: Sequence[str], barred: frozenset[str], vocabulary: Vocabulary) -> bool:
    words = set(passage)
    if passage[0] in NO_START or words & barred or not words & THIRD:
        return False
    if not words & FEELINGS and len(words & SCENES) < 2:
        return False
    return all(word in vocabulary.ids and (word[0].isalpha() or word in _MARKS) for word in passage)


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
        np.add.at(sums, rows[part], weighted[texts.ids[part]])
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)  # [K, W]


def persons(texts: Tokens, vocabulary: Vocabulary) -> np.ndarray:
    """Returns whether each text speaks of men and of women, `[K, 2]` as 0 and 1."""
    flags = np.zeros((len(texts), 2), np.float32)  # [K, 2]
    for column, words in enumerate((MALE, FEMALE)):
        ids = [vocabulary.ids[word] for word in words if word in vocabulary.ids]
        hits = np.isin(texts.ids, ids)  # [R]
        rows = np.repeat(np.arange(len(texts)), texts.lengths)  # [R]
        flags[np.unique(rows[hits]), column] = 1
    return flags


def match_passages(
    queries: np.ndarray, people: np.ndarray, passages: np.ndarray, cast: np.ndarray, count: int, most: int
) -> np.ndarray:
    """Returns the places of `count` passages for each query `[Q, count]`: near in topic and about the same sexes.

    A passage that is near to everything would soon end every story, so nearness counts less where it is common, and a
    passage that `most` queries have gives way.

    Args:
        queries: topics `[Q, W]`.
        people: men and women in each query `[Q, 2]`.
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
    wide = min(150 * count, len(passages))
    order = draw.permutation(len(queries))  # [Q]
    for first in range(0, len(queries), 512):
        part = order[first : first + 512]
        people_part = torch.from_numpy(people[part])  # [N, 2]
        fit = people_part @ sexes.T - (1 - people_part) @ sexes.T  # [N, P]
        scores = torch.from_numpy(queries[part]) @ table.T - 0.5 * hub + 0.1 * fit  # [N, P]
        for row, places in zip(part, scores.topk(wide, dim=1).indices.numpy(), strict=True):
            free = places[np.argsort(used[places] >= most, kind="stable")][:count]
            rows[row] = free
            used[free] += 1
    return rows
