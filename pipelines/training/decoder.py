"""The story decoder's training: on texts' own vectors, and on contexts as the main job makes them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model_handlers.nets.story_decoder import StoryDecoder
from pipelines.training.arithmetic import autocast
from pipelines.training.loop import Loss, Task
from pipelines.training.passages import Source
from pipelines.training.stories import StorySet
from pipelines.training.texts import END, Tokens, padded
from pipelines.training.thoughts import Autoencoder, Batches, decoder_states, drop_words, jitter, text_loss


@dataclass(frozen=True)
class DecoderConfig:
    """How the story decoder learns; it begins as the decoder that the sentence encoder learned with.

    Args:
        stories: share of batches that are stories, with shifted mean vectors as contexts.
        plain: share of batches that are captions, with mean vectors as they are.
        own: share of batches of texts with their own vectors.
        noise: largest length of the random vector added to a context.
        end_margin: nats by which a new sentence must beat the end of the text inside a story. Beam search adds up costs
            and would stop early otherwise.
        end_weight: weight of that margin's loss.
    """

    tokens: int = 3500
    negatives: int = 0
    stories: float = 0.55
    plain: float = 0.1
    own: float = 0.35
    noise: float = 0.12
    word_dropout: float = 0.1
    end_margin: float = 30.0
    end_weight: float = 0.02


def sentence_starts(ids: Tensor, lengths: Tensor, ends: Tensor) -> Tensor:
    """Returns where a text `[N, T]` goes on after the end of a sentence, as a mask `[N, T]`.

    Args:
        ids: texts with a closing 0.
        lengths: words with the closing 0 `[N]`.
        ends: ids of the marks that end a sentence.
    """
    inside = torch.arange(ids.shape[1]) < lengths[:, None] - 1  # [N, T]
    after = torch.zeros_like(inside)  # [N, T]
    after[:, 1:] = torch.isin(ids[:, :-1], ends)
    return inside & after


def early_end_loss(decoder: StoryDecoder, states: Tensor, ids: Tensor, starts: Tensor, margin: float) -> Tensor:
    """Returns the mean shortfall of the margin, in nats, by which the next word beats the end of the text.

    Args:
        decoder: whose output layer counts.
        states: of `decoder_states` `[N, T, W]`.
        ids: the texts `[N, T]`.
        starts: where it counts `[N, T]`.
        margin: wanted difference of logits.
    """
    rows, words = states[starts], ids[starts]  # [R, W], [R]
    if not len(rows):
        return torch.zeros(())
    weight, bias = decoder.logits.weight, decoder.logits.bias  # [V, W], [V]
    lead = (rows * (weight[words] - weight[END])).sum(dim=1) + bias[words] - bias[END]  # [R]
    return (margin - lead).clamp(min=0).mean()


class DecoderTask(Task):
    """Trains a `StoryDecoder`; the sentence encoder stays as it is."""

    def __init__(
        self,
        config: DecoderConfig,
        encoder: Autoencoder,
        sources: Mapping[str, Source],
        shares: Mapping[str, float],
        stories: StorySet,
        plain: tuple[np.ndarray, Tokens],
        shift: np.ndarray,
        ends: list[int],
        held_out: Mapping[str, Tokens],
    ) -> None:
        """Makes the task.

        Args:
            config: how to learn.
            encoder: the trained autoencoder; its decoder is trained on.
            sources: texts by kind.
            shares: how often each kind is drawn with its own vectors.
            stories: stories with their contexts.
            plain: mean vectors `[P, S]`, and a caption for each.
            shift: b - c `[S]`.
            ends: ids of the marks that end a sentence.
            held_out: texts that judge.
        """
        self.config, self.sources, self.stories, self.plain, self.held_out = config, sources, stories, plain, held_out
        self.encoder = encoder.eval().requires_grad_(False)
        self.model: StoryDecoder = encoder.decoder.requires_grad_(True)
        self.batches = Batches(sources, shares, config.tokens)
        self.shift = torch.as_tensor(shift.astype(np.float32))  # [S]
        self.ends = torch.tensor(ends)
        queries = np.random.default_rng(0).permutation(len(stories.contexts))
        self.dev, self.train = queries[: len(queries) // 50], queries[len(queries) // 50 :]

    def _draw(self, draw: np.random.Generator) -> tuple[str, list[np.ndarray], Tensor]:
        """Returns a batch's kind, its texts, and its contexts `[N, S]`."""
        config = self.config
        shares = np.asarray([config.stories, config.plain, config.own])
        kind = ("story", "plain", "own")[int(draw.choice(3, p=shares / shares.sum()))]
        if kind == "story":
            return kind, *self.composed(draw.choice(self.train, config.tokens // 32), draw)
        if kind == "plain":
            contexts, captions = self.plain
            places = draw.choice(len(captions), config.tokens // 16)
            return kind, [captions[place] for place in places], torch.as_tensor(contexts[places].astype(np.float32))
        name, places = self.batches.draw(draw)
        texts = [self.sources[name].texts[place] for place in places]
        return name, texts, self.own_vectors(texts)

    def composed(self, queries: np.ndarray, draw: np.random.Generator) -> tuple[list[np.ndarray], Tensor]:
        """Returns a story for each query, and the shifted contexts `[N, S]`."""
        contexts = torch.as_tensor(self.stories.contexts[queries].astype(np.float32)) + self.shift  # [N, S]
        return [self.stories.compose(int(query), draw) for query in queries], contexts

    def own_vectors(self, texts: list[np.ndarray]) -> Tensor:
        """Returns the texts' own sentence vectors `[N, S]`."""
        ids, lengths = (torch.as_tensor(array) for array in padded(texts, closing=False))  # [N, T], [N]
        with torch.no_grad():
            return self.encoder.encode(ids, lengths)

    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        """Returns the loss of one batch: of its tokens, and in stories of the margin before an early end."""
        kind, texts, contexts = self._draw(draw)
        ids, lengths = (torch.as_tensor(array) for array in padded(texts))  # [N, T], [N]
        contexts = jitter(contexts, self.config.noise)  # [N, S]
        with autocast():
            states = decoder_states(self.model, contexts, ids, drop_words(ids, self.config.word_dropout))  # [N, T, W]
        value = text_loss(self.model, states, ids, lengths, self.config.negatives)
        figures = {f"nll_{kind}": float(value.detach())}
        if kind == "story":
            starts = sentence_starts(ids, lengths, self.ends)  # [N, T]
            early = early_end_loss(self.model, states.float(), ids, starts, self.config.end_margin)
            figures["early"] = float(early.detach())
            value = value + self.config.end_weight * early
        return Loss(value, int(lengths.sum()), figures)

    def evaluate(self) -> dict[str, float]:
        """Returns losses a token: on stories of held-out contexts, and on held-out texts with their own vectors."""
        texts, contexts = self.composed(self.dev[:256], np.random.default_rng(0))
        figures = {"dev_stories_nll": self._nll(texts, contexts)}
        for name, held in self.held_out.items():
            rows = [held[place] for place in range(len(held))]
            figures[f"{name}_nll"] = self._nll(rows, self.own_vectors(rows))
        return figures | {"score": -sum(figures.values())}

    def _nll(self, texts: list[np.ndarray], contexts: Tensor) -> float:
        ids, lengths = (torch.as_tensor(array) for array in padded(texts))  # [N, T], [N]
        return float(text_loss(self.model, decoder_states(self.model, contexts, ids, ids), ids, lengths))
