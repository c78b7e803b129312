"""The training of the sentence encoder in 2015: from a sentence to the previous and the next one.

Kiros et al. (2015), SPEC section 13. Both decoders start from the encoder's unchanged last state. They share
the output layer with each other, and the word table also with the encoder, which reads the closing 0 too in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from model_handlers.nets.skip_thoughts import SkipThoughts
from pipelines.corpora.texts import UNKNOWN, Tokens, Vocabulary, padded, split_sentences
from pipelines.training.data.passages import Source
from pipelines.training.engine.loop import Loss, Task
from pipelines.training.recipe_2015.practice_2015 import (
    RECIPE,
    EqualLengthBatches,
    begin_as_in_2015,
    decayed,
    summed_nll,
)


@dataclass(frozen=True)
class OriginalThoughtsConfig:
    """Sizes and sentences, with the values of the program of 2015.

    Args:
        uni: width of the forward encoder; 0 leaves it out.
        bi: width of each encoder of the bidirectional part; 0 leaves it out.
        vocabulary: rows of the word table.
        maxlen: a sentence of this many words or more is left out with its neighbours.
        decay: weight of the sum of all squared weights.
    """

    recipe: str = RECIPE
    dim_word: int = 620
    uni: int = 2400
    bi: int = 0
    vocabulary: int = 20000
    batch_size: int = 64
    maxlen: int = 30
    decay: float = 0.0


@dataclass(frozen=True)
class Sentences:
    """Sentences in the order of the books, and the places of those with usable neighbours on both sides."""

    texts: Tokens
    places: np.ndarray

    @classmethod
    def of_books(cls, books: Sequence[Sequence[str]], vocabulary: Vocabulary, maxlen: int) -> "Sentences":
        """Returns the lower-case sentences of books whose paragraphs are tokens joined by spaces."""
        texts: list[list[int]] = []
        books_of: list[int] = []
        for number, book in enumerate(books):
            for paragraph in book:
                for sentence in split_sentences(paragraph.lower().split()):
                    texts.append([vocabulary.ids.get(word, UNKNOWN) for word in sentence])
                    books_of.append(number)
        tokens, owners = Tokens.of(texts), np.asarray(books_of)
        short = tokens.lengths < maxlen
        right = short[:-2] & short[1:-1] & short[2:] & (owners[:-2] == owners[2:])
        return cls(tokens, np.flatnonzero(right) + 1)

    @classmethod
    def of_source(cls, source: Source, maxlen: int) -> "Sentences":
        """Returns the texts of prepared books, one sentence each; both neighbours are of the same paragraph."""
        short = source.texts.lengths < maxlen
        followed = np.asarray(source.neighbours) >= 0
        right = short[:-2] & short[1:-1] & short[2:] & followed[:-2] & followed[1:-1]
        return cls(source.texts, np.flatnonzero(right) + 1)


class OriginalThoughts(nn.Module):
    """A word table, a `SkipThoughts` encoder, and the two decoders that train it."""

    def __init__(self, config: OriginalThoughtsConfig, n_words: int) -> None:
        super().__init__()
        self.table = nn.Embedding(n_words, config.dim_word)
        self.encoder = SkipThoughts(config.dim_word, config.uni, config.bi)
        self.next = nn.GRU(config.dim_word, self.encoder.dim, batch_first=True)
        self.previous = nn.GRU(config.dim_word, self.encoder.dim, batch_first=True)
        self.logits = nn.Linear(self.encoder.dim, n_words)
        begin_as_in_2015(self)

    def encode(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Returns unnormalised sentence vectors `[N, S]` of ids with their closing 0 `[N, T]`."""
        words = self.table(ids)  # [N, T, W]
        vectors: Tensor = self.encoder(words, words, lengths, normalise=False)  # [N, S]
        return vectors

    def neighbour_loss(self, decoder: nn.GRU, vectors: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """Returns the summed loss of the neighbours `[N, T]`, given the sentence vectors `[N, S]`."""
        shown = self.table(ids)[:, :-1]  # [N, T - 1, W]
        inputs = torch.cat([torch.zeros_like(self.table(ids[:, :1])), shown], dim=1)  # [N, T, W]
        states, _ = decoder(inputs, vectors[None])  # [N, T, S]
        return summed_nll(self.logits(states), ids, lengths)


class OriginalThoughtsTask(Task):
    """Trains an `OriginalThoughts` on the sentences of books."""

    def __init__(
        self, config: OriginalThoughtsConfig, n_words: int, train: Sentences, dev: Sentences, seed: int = 1
    ) -> None:
        self.config, self.train, self.dev = config, train, dev
        lengths = train.texts.lengths[train.places]
        self.batches = EqualLengthBatches(lengths, config.batch_size, config.maxlen, seed)
        self.model: OriginalThoughts = OriginalThoughts(config, n_words)

    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        """Returns the summed loss of the neighbours of the step's sentences."""
        value, tokens = self._loss(self.train, self.train.places[self.batches.of_step(step)])
        nll = float(value.detach()) / tokens
        return Loss(decayed(value, self.model, self.config.decay), tokens, {"nll": nll})

    def _loss(self, sentences: Sentences, places: np.ndarray) -> tuple[Tensor, int]:
        """Returns the summed loss of both neighbours of sentences, and the number of their words."""
        model, texts = self.model, sentences.texts
        vectors = model.encode(*_batch(texts, places))  # [N, S]
        after, before = _batch(texts, places + 1), _batch(texts, places - 1)
        value = model.neighbour_loss(model.next, vectors, *after)
        value = value + model.neighbour_loss(model.previous, vectors, *before)
        return value, int(after[1].sum() + before[1].sum())

    def evaluate(self) -> dict[str, float]:
        """Returns the loss per token of the neighbours of held-out sentences."""
        total, tokens = 0.0, 0
        for first in range(0, len(self.dev.places), self.config.batch_size):
            value, count = self._loss(self.dev, self.dev.places[first : first + self.config.batch_size])
            total, tokens = total + float(value), tokens + count
        return {"dev_books_nll": total / tokens, "score": -total / tokens}


def _batch(texts: Tokens, places: np.ndarray) -> tuple[Tensor, Tensor]:
    """Returns ids `[N, T]` and lengths `[N]`, both with the closing 0."""
    ids, lengths = padded([texts[place] for place in places])
    return torch.as_tensor(ids), torch.as_tensor(lengths)
