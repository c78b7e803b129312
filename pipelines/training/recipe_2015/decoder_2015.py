"""The training of the story decoder in 2015: a passage from its own sentence vector (SPEC section 13)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model_handlers.nets.story_decoder import StoryDecoder
from pipelines.corpora.texts import Tokens, padded
from pipelines.training.engine.loop import Loss, Task
from pipelines.training.recipe_2015.practice_2015 import (
    RECIPE,
    EqualLengthBatches,
    begin_as_in_2015,
    decayed,
    summed_nll,
)
from pipelines.training.recipes.text_vectors import TableEncoder


@dataclass(frozen=True)
class OriginalDecoderConfig:
    """Sizes, passages and loss, with the values of the program of 2015 where it had any.

    Args:
        vocabulary: rows of the word table, for the most frequent words.
        maxlen: passages of this many words or more are left out.
        least: minimum words of a passage.
        decay: weight of the sum of all squared weights.
        style_words: the style vector is the mean of passages with more words.
    """

    recipe: str = RECIPE
    dim_word: int = 620
    dim: int = 1600
    deep_output: bool = False
    vocabulary: int = 40000
    batch_size: int = 16
    maxlen: int = 100
    least: int = 5
    decay: float = 0.0
    style_words: int = 100


def decoder_loss(model: StoryDecoder, contexts: Tensor, ids: Tensor, lengths: Tensor, decay: float = 0.0) -> Tensor:
    """Returns the summed negative log likelihood of passages with teacher forcing.

    Args:
        model: story decoder.
        contexts: sentence vectors `[N, S]`.
        ids: passages with their closing 0 `[N, T]`.
        lengths: words of each passage with the closing 0 `[N]`.
        decay: weight of the sum of squared weights.
    """
    return decayed(summed_nll(model(contexts, ids), ids, lengths), model, decay)


@dataclass(frozen=True)
class Passages:
    """The same passages twice: as ids of the decoder's words, and of the sentence encoder's words."""

    written: Tokens
    read: Tokens


class OriginalDecoderTask(Task):
    """Trains a `StoryDecoder` on passages; the sentence encoder is frozen and encodes each batch when it is drawn."""

    def __init__(
        self,
        config: OriginalDecoderConfig,
        n_words: int,
        encoder: TableEncoder,
        passages: Passages,
        held_out: Mapping[str, Passages],
        seed: int = 1,
    ) -> None:
        self.config, self.encoder, self.passages, self.held_out = config, encoder, passages, held_out
        self.batches = EqualLengthBatches(passages.written.lengths, config.batch_size, config.maxlen, seed)
        self.model: StoryDecoder = StoryDecoder(
            encoder.encoder.dim, config.dim_word, config.dim, n_words, config.deep_output
        )
        begin_as_in_2015(self.model)

    def _batch(self, passages: Passages, places: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the contexts `[N, S]`, ids `[N, T]` and lengths `[N]` of passages."""
        read = [passages.read[place] for place in places]
        words, counts = (torch.as_tensor(array) for array in padded(read, closing=False))  # [N, T], [N]
        with torch.no_grad():
            vectors = self.encoder.table(words)  # [N, T, W]
            contexts = self.encoder.encoder(vectors, vectors, counts)  # [N, S]
        written = padded([passages.written[place] for place in places])
        ids, lengths = (torch.as_tensor(array) for array in written)  # [N, T], [N]
        return contexts, ids, lengths

    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        """Returns the summed loss of the step's batch."""
        contexts, ids, lengths = self._batch(self.passages, self.batches.of_step(step))
        value = decoder_loss(self.model, contexts, ids, lengths, self.config.decay)
        tokens = int(lengths.sum())
        return Loss(value, tokens, {"nll": float(value.detach()) / tokens})

    def evaluate(self) -> dict[str, float]:
        """Returns the loss per token on held-out passages."""
        figures = {f"{name}_nll": self._nll(passages) for name, passages in self.held_out.items()}
        return figures | {"score": -sum(figures.values())}

    def _nll(self, passages: Passages) -> float:
        order = np.argsort(passages.written.lengths, kind="stable")
        total, tokens = 0.0, 0
        for first in range(0, len(order), self.config.batch_size):
            contexts, ids, lengths = self._batch(passages, order[first : first + self.config.batch_size])
            total += float(decoder_loss(self.model, contexts, ids, lengths))
            tokens += int(lengths.sum())
        return total / tokens
