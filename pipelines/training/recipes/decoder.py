"""Training of the story decoder: on texts with their own vectors, and on contexts made as in the main job."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model_handlers.nets.story_decoder import StoryDecoder
from pipelines.corpora.texts import Tokens, padded
from pipelines.training.data.passages import Source
from pipelines.training.data.story_set import StorySet
from pipelines.training.engine.loop import Loss, Task
from pipelines.training.recipes.text_vectors import TableEncoder
from pipelines.training.recipes.thoughts import Batches, TextLengths, decoder_states, drop_words, jitter, text_loss

DRAWN = 4
"""Stories drawn for each one that is used, so that the stories of a batch have similar lengths."""

SELDOM = 20
"""A word that fewer openings have counts as if this many had it, so that it is not drawn even more often."""


@dataclass(frozen=True)
class DecoderConfig(TextLengths):
    """How the story decoder learns.

    Args:
        pack: pack with the networks, captions and styles that the decoder will work with.
        start: training of a sentence encoder, or a pack, with the initial decoder; by default that of `pack`.
        stories: share of batches that are stories, with shifted mean vectors as contexts.
        near: share of the stories whose passage is one of those nearest to the opening, as in use. All passages of a
            style are drawn equally often; otherwise only a few that are near to many openings would be learned.
        seldom: preference for openings with rare words: their chance is the number of openings that have their rarest
            word, to the power -seldom. With 0 most openings are about dogs and men, and then so are the stories of cats
            and rockets.
        vague: share of the stories whose context has the style's mean vector instead of the passage's own. The stories
            that are neither near nor vague have any passage of the books.
        plain: share of batches that are captions, with unshifted mean vectors.
        own: share of batches that are texts with their own vectors.
        least_strength: minimum strength of the shift; the maximum is 2 minus this.
        noise: maximum length of the random vector added to a context.
    """

    pack: str = ""
    start: str = ""
    tokens: int = 3500
    negatives: int = 0
    stories: float = 0.55
    near: float = 0.5
    seldom: float = 0.5
    vague: float = 0.15
    plain: float = 0.1
    own: float = 0.35
    least_strength: float = 0.8
    noise: float = 0.12
    word_dropout: float = 0.1


class DecoderTask(Task):
    """Trains a `StoryDecoder`; the sentence encoder is frozen."""

    def __init__(
        self,
        config: DecoderConfig,
        encoder: TableEncoder,
        model: StoryDecoder,
        sources: Mapping[str, Source],
        shares: Mapping[str, float],
        stories: StorySet,
        held_out: Mapping[str, Tokens],
    ) -> None:
        """Makes the task.

        Args:
            config: settings of the training.
            encoder: sentence encoder.
            model: decoder to train further.
            sources: texts by kind.
            shares: share of each kind among the texts with their own vectors.
            stories: stories with their contexts.
            held_out: held-out texts for the evaluation.
        """
        self.config, self.sources, self.stories, self.held_out = config, sources, stories, held_out
        self.encoder = encoder.eval().requires_grad_(False)
        self.model: StoryDecoder = model
        self.batches = Batches(sources, shares, config.tokens)
        queries = np.random.default_rng(0).permutation(len(stories.openings))
        held = max(1, len(queries) // 50)
        self.dev, self.train = queries[:held], queries[held:]
        weights = seldom_weights(stories.openings, config.seldom)[self.train]  # [train]
        self.chances = weights / weights.sum()  # [train]
        self.likely = [passage_shares(rows[self.train], weights) for rows in stories.rows]  # [train x passages] each

    def _draw(self, draw: np.random.Generator) -> tuple[str, list[np.ndarray], Tensor]:
        """Returns the kind of a batch, its texts, and its contexts `[N, S]`."""
        config = self.config
        shares = np.asarray([config.stories, config.plain, config.own])
        kind = ("story", "plain", "own")[int(draw.choice(3, p=shares / shares.sum()))]
        if kind == "own":
            name, places = self.batches.draw(draw)
            texts = [self.sources[name].texts[place] for place in places]
            return name, texts, self.own_vectors(texts)
        drawn = draw.choice(self.train, DRAWN * config.tokens // 16, p=self.chances)  # [M]
        if kind == "plain":
            texts = [self.stories.captions[query] for query in drawn]
            rows = self._of_one_length(texts, draw)
            return kind, [texts[row] for row in rows], self.contexts(drawn[rows], draw)
        drawn, passages, targets = self._passages(drawn, draw)  # [M], [M], [M, S]
        texts = [self.stories.compose(query, place) for query, place in zip(drawn, passages, strict=True)]
        rows = self._of_one_length(texts, draw)
        strength = draw.uniform(config.least_strength, 2 - config.least_strength, (len(rows), 1))  # [N, 1]
        shift = torch.as_tensor((strength * (targets[rows] - self.stories.source)).astype(np.float32))  # [N, S]
        return kind, [texts[row] for row in rows], self.contexts(drawn[rows], draw) + shift

    def _passages(self, queries: np.ndarray, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns openings `[M]`, the place of a passage for each `[M]`, and target vectors `[M, S]`.

        The target vectors replace the caption style.

        Args:
            queries: openings `[M]`; kept for passages that are not near, and redrawn for the others.
            draw: generator of all random choices.
        """
        stories, config = self.stories, self.config
        style = draw.integers(len(stories.styles), size=len(queries))  # [M]
        wanted = draw.random(len(queries))  # [M]
        pairs = np.zeros(len(queries), np.int64)  # [M]
        for place, likely in enumerate(self.likely):
            pairs[style == place] = np.searchsorted(likely, wanted[style == place], side="right")
        pairs = np.minimum(pairs, self.train.size * stories.rows.shape[2] - 1)  # [M]
        row, column = np.divmod(pairs, stories.rows.shape[2])  # [M], [M]
        kind = draw.random(len(queries))  # [M]
        vague = kind < config.vague  # [M]
        far = kind >= config.vague + config.near  # [M]
        openings = np.where(far, queries, self.train[row])  # [M]
        any_passage = draw.integers(len(stories.passages), size=len(queries))  # [M]
        places = np.where(far, any_passage, stories.rows[style, openings, column])  # [M]
        targets = np.where(vague[:, None], stories.styles[style], stories.vectors[places].astype(np.float32))  # [M, S]
        return openings, places, targets

    def _of_one_length(self, texts: list[np.ndarray], draw: np.random.Generator) -> np.ndarray:
        """Returns the places of texts of similar length that fill a batch."""
        lengths = np.asarray([len(text) + 1 for text in texts])  # [M]
        order = np.argsort(lengths, kind="stable")  # [M]
        wide = max(1, min(self.config.tokens // int(lengths.mean()), len(order)))
        first = int(draw.integers(len(order) - wide + 1))
        return order[first : first + wide]

    def contexts(self, queries: np.ndarray, draw: np.random.Generator) -> Tensor:
        """Returns mean vectors `[N, S]` of some or many captions near the subject of each opening, before the shift."""
        most = self.stories.near.shape[1]
        counts = np.rint(most ** draw.random(len(queries))).astype(int)  # [N], from 1 to k
        rows = [self.stories.context(int(query), count) for query, count in zip(queries, counts, strict=True)]
        return torch.as_tensor(np.stack(rows))  # [N, S]

    def own_vectors(self, texts: list[np.ndarray]) -> Tensor:
        """Returns the texts' own sentence vectors `[N, S]`."""
        ids, lengths = (torch.as_tensor(array) for array in padded(texts, closing=False))  # [N, T], [N]
        with torch.no_grad():
            return self.encoder.encode(ids, lengths)

    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        """Returns the loss of one batch."""
        kind, texts, contexts = self._draw(draw)
        ids, lengths = (torch.as_tensor(array) for array in padded(texts))  # [N, T], [N]
        contexts = jitter(contexts, self.config.noise)  # [N, S]
        states = decoder_states(self.model, contexts, ids, drop_words(ids, self.config.word_dropout))  # [N, T, W]
        value = text_loss(self.model, states, ids, lengths, self.config.negatives)
        return Loss(value, int(lengths.sum()), {f"nll_{kind}": float(value.detach())})

    def evaluate(self) -> dict[str, float]:
        """Returns losses per token: on stories of held-out openings, and on held-out texts with their own vectors."""
        draw, dev, stories = np.random.default_rng(0), self.dev[:256], self.stories
        places = stories.rows[np.arange(len(dev)) % len(stories.styles), dev, 0]  # [N]
        shift = torch.as_tensor(stories.vectors[places].astype(np.float32) - stories.source)  # [N, S]
        contexts = self.contexts(dev, draw) + shift  # [N, S]
        texts = [stories.compose(query, place) for query, place in zip(dev, places, strict=True)]
        figures = {"dev_stories_nll": self._nll(texts, contexts)}
        for name, held in self.held_out.items():
            rows = [held[place] for place in range(len(held))]
            figures[f"{name}_nll"] = self._nll(rows, self.own_vectors(rows))
        return figures | {"score": -sum(figures.values())}

    def _nll(self, texts: list[np.ndarray], contexts: Tensor) -> float:
        ids, lengths = (torch.as_tensor(array) for array in padded(texts))  # [N, T], [N]
        return float(text_loss(self.model, decoder_states(self.model, contexts, ids, ids), ids, lengths))


def passage_shares(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns cumulative probabilities `[Q x passages]` of the pairs of an opening and one of its passages.

    All passages have the same probability; that of an opening for a passage is proportional to its weight.

    Args:
        rows: passages of each opening `[Q, passages]`.
        weights: weights of the openings `[Q]`.
    """
    _, which = np.unique(rows, return_inverse=True)
    which, weigh = which.reshape(-1), np.repeat(weights, rows.shape[1])  # [Q x passages] both
    shares = weigh / np.bincount(which, weigh)[which]  # [Q x passages]
    sums: np.ndarray = np.cumsum(shares) / (which.max() + 1)  # [Q x passages]
    return sums


def seldom_weights(texts: Tokens, power: float) -> np.ndarray:
    """Returns a weight for each text `[N]`: the number of texts that have its rarest word, to the power `-power`.

    A word in fewer than SELDOM texts counts as if it were in SELDOM texts.
    """
    words = [np.unique(texts[place]) for place in range(len(texts))]
    times = np.bincount(np.concatenate(words))  # [vocabulary]
    return np.asarray([max(SELDOM, times[own].min()) for own in words]) ** -power
