"""Training of the sentence encoder: a sentence must be recoverable from its vector, and its neighbour predictable.

Skip-thoughts (Kiros et al. 2015) decodes the previous and the next sentence. Here the decoder writes the sentence
itself. Two bags of words, of the sentence and of its neighbour (the next passage of the book, or another caption of the
same photo), are predicted only from the vector. They make the vector learn content words early.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from model_handlers.nets.search import greedy_search
from model_handlers.nets.skip_thoughts import SkipThoughts
from model_handlers.nets.story_decoder import StoryDecoder
from pipelines.corpora.texts import END, UNKNOWN, Tokens, padded
from pipelines.training.data.passages import Source
from pipelines.training.engine.arithmetic import autocast
from pipelines.training.engine.loop import Loss, Task

TEMPERATURE = 0.1  # divisor of the cosines of neighbours


@dataclass(frozen=True)
class TextLengths:
    """Limits for the passages of books to learn from.

    Args:
        least: minimum words of a passage.
        most: maximum words of a passage.
        unknown: maximum share of unknown words in a passage.
    """

    least: int = 5
    most: int = 60
    unknown: float = 0.1


@dataclass(frozen=True)
class ThoughtsConfig(TextLengths):
    """Sizes of encoder and decoder, and settings of their training.

    Args:
        tokens: words per batch.
        negatives: number of words outside a batch that its softmax includes; 0 for all.
        word_dropout: share of the decoder's input words shown as unknown.
        noise: maximum length of the random vector that is added to a sentence vector (of length 1).
        bag: weight of the loss of the bags of words, relative to that of the decoder.
        common: number of most frequent words that the bags leave out.
        follow: weight of the loss of finding a text's neighbour in the batch, by a linear map of the text's vector.
        followers: maximum number of neighbours of a batch among which each must be found.
        start: folder of an earlier training, or a model pack, whose weights this one starts from; words are added.
    """

    dim_word: int = 160
    uni: int = 0
    bi: int = 384
    dim: int = 640
    vocabulary: int = 9000
    tokens: int = 2500
    negatives: int = 1500
    word_dropout: float = 0.15
    noise: float = 0.15
    bag: float = 0.3
    common: int = 60
    follow: float = 0.0
    followers: int = 64
    start: str = ""


class Autoencoder(nn.Module):
    """A word table, a `SkipThoughts` encoder over it, the decoder, and the layers that predict the two bags."""

    def __init__(self, config: ThoughtsConfig, n_words: int) -> None:
        super().__init__()
        self.table = nn.Embedding(n_words, config.dim_word)
        self.encoder = SkipThoughts(config.dim_word, config.uni, config.bi)
        self.decoder = StoryDecoder(self.encoder.dim, config.dim_word, config.dim, n_words, deep_output=True)
        self.own_bag = nn.Linear(self.encoder.dim, config.dim_word)
        self.next_bag = nn.Linear(self.encoder.dim, config.dim_word)
        self.follower = nn.Linear(self.encoder.dim, self.encoder.dim, bias=False)
        nn.init.eye_(self.follower.weight)
        nn.init.normal_(self.table.weight, std=0.3)
        nn.init.normal_(self.decoder.word_vectors.weight, std=0.3)
        for layer in (self.decoder.state, self.own_bag, self.next_bag):
            nn.init.normal_(layer.weight, std=0.7)

    def encode(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Returns sentence vectors `[N, S]` of ids `[N, T]`, without the closing 0."""
        words = self.table(ids)  # [N, T, W]
        with autocast():
            vectors: Tensor = self.encoder(words, words, lengths)  # [N, S]
        return vectors


def decoder_states(decoder: StoryDecoder, contexts: Tensor, ids: Tensor, shown: Tensor) -> Tensor:
    """Returns the inputs `[N, T, W]` of the output layer for texts `[N, T]` of which the decoder sees `shown`."""
    start = torch.full_like(ids[:, :1], -1)  # [N, 1]
    inputs = decoder.embed(torch.cat([start, shown[:, :-1]], dim=1))  # [N, T, W]
    with autocast():
        states = decoder.run(inputs, decoder.initial_state(contexts).to(inputs.dtype))  # [N, T, H]
        return decoder.seen(states).float()  # [N, T, W]


def text_loss(decoder: StoryDecoder, states: Tensor, ids: Tensor, lengths: Tensor, negatives: int = 0) -> Tensor:
    """Returns the mean negative log likelihood of a token, the closing 0 included.

    With `negatives` the softmax runs over the batch's own words and about `negatives` other words, drawn at random. The
    logits of the others are raised by the log of the number of words that each represents.

    Args:
        decoder: decoder with the output layer.
        states: result of `decoder_states` `[N, T, W]`.
        ids: texts `[N, T]`.
        lengths: words of each text with its closing 0 `[N]`.
        negatives: approximate number of other words; 0 for the whole vocabulary.
    """
    weight: Tensor = decoder.logits.weight  # [V, W]
    bias: Tensor = decoder.logits.bias  # [V]
    mask = torch.arange(ids.shape[1]) < lengths[:, None]  # [N, T]
    rows, targets = states[mask], ids[mask]  # [R, W], [R]
    if negatives:
        share = negatives / len(weight)
        own = torch.zeros(len(weight), dtype=torch.bool).index_fill_(0, targets, True)  # [V]
        used = own | (torch.rand(len(weight)) < share)  # [V]
        raised = bias - torch.log(torch.where(own, 1.0, share))  # [V]
        targets = (used.cumsum(0) - 1)[targets]  # [R]
        weight, bias = weight[used], raised[used]  # [U, W], [U]
    with autocast():
        logits = nn.functional.linear(rows, weight, bias)  # [R, V or U]
    return nn.functional.cross_entropy(logits.float(), targets)


def drop_words(ids: Tensor, share: float) -> Tensor:
    """Returns the ids with a random share of them replaced by the unknown word."""
    return torch.where(torch.rand(ids.shape) < share, UNKNOWN, ids)


def jitter(vectors: Tensor, noise: float) -> Tensor:
    """Returns vectors `[N, S]`, each with a random vector of a length up to `noise` added."""
    away = torch.randn_like(vectors)  # [N, S]
    lengths = noise * torch.rand(len(vectors), 1)  # [N, 1]
    return vectors + nn.functional.normalize(away) * lengths  # [N, S]


class Batches:
    """Draws batches of texts of one source and of similar length."""

    def __init__(self, sources: Mapping[str, Source], shares: Mapping[str, float], tokens: int) -> None:
        self.sources, self.tokens = sources, tokens
        self.names = list(shares)
        total = sum(shares.values())
        self.shares = [shares[name] / total for name in self.names]
        self.orders = {name: sources[name].by_length for name in self.names}
        self.ends = {name: np.cumsum(sources[name].texts.lengths[self.orders[name]]) for name in self.names}

    def draw(self, draw: np.random.Generator) -> tuple[str, np.ndarray]:
        """Returns the name of a source and places of texts in it; all words of a source are equally likely."""
        name = self.names[int(draw.choice(len(self.names), p=self.shares))]
        ends = self.ends[name]
        middle = int(np.searchsorted(ends, draw.integers(ends[-1])))
        order = self.orders[name]
        wide = max(1, self.tokens // (len(self.sources[name].texts[order[middle]]) + 1))
        first = int(np.clip(middle - draw.integers(wide), 0, max(0, len(order) - wide)))
        return name, order[first : first + wide]


class ThoughtsTask(Task):
    """Trains an `Autoencoder` on captions and books."""

    def __init__(
        self,
        config: ThoughtsConfig,
        n_words: int,
        sources: Mapping[str, Source],
        shares: Mapping[str, float],
        held_out: Mapping[str, Tokens],
    ) -> None:
        self.config, self.sources, self.held_out = config, sources, held_out
        self.batches = Batches(sources, shares, config.tokens)
        self.model: Autoencoder = Autoencoder(config, n_words)

    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        """Returns the loss of one batch: that of the decoder plus those of the bags and of the followers."""
        name, places = self.batches.draw(draw)
        source, model = self.sources[name], self.model
        texts = [source.texts[place] for place in places]
        ids, lengths = (torch.as_tensor(array) for array in padded(texts))  # [N, T], [N]
        contexts = jitter(model.encode(ids, lengths - 1), self.config.noise)  # [N, S]
        shown = drop_words(ids, self.config.word_dropout)  # [N, T]
        states = decoder_states(model.decoder, contexts, ids, shown)  # [N, T, W]
        words = text_loss(model.decoder, states, ids, lengths, self.config.negatives)
        near = [source.texts[next_] if (next_ := source.neighbours[place]) >= 0 else None for place in places]
        bag = self._bag_loss(model.own_bag, contexts, texts) + self._bag_loss(model.next_bag, contexts, near)
        figures = {f"nll_{name}": float(words.detach()), "bag": float(bag.detach())}
        value = words + self.config.bag * bag
        if self.config.follow:
            follow = self._follow_loss(contexts, near, draw)
            figures["follow"] = float(follow.detach())
            value = value + self.config.follow * follow
        return Loss(value, int(lengths.sum()), figures)

    def _follow_loss(self, contexts: Tensor, near: Sequence[np.ndarray | None], draw: np.random.Generator) -> Tensor:
        """Returns the mean cross entropy of finding each text's neighbour among the neighbours of the batch."""
        rows = np.asarray([row for row, text in enumerate(near) if text is not None], np.int64)  # [M]
        rows = draw.permutation(rows)[: self.config.followers]  # [M]
        if len(rows) < 2:
            return torch.zeros(())
        ids, lengths = (torch.as_tensor(array) for array in padded([near[row] for row in rows], closing=False))
        neighbours = self.model.encode(ids, lengths)  # [M, S]
        with autocast():
            predicted = self.model.follower(contexts[torch.as_tensor(rows)])  # [M, S]
        predicted, neighbours = (part.float() - part.float().mean(dim=0) for part in (predicted, neighbours))
        cosines = nn.functional.normalize(predicted) @ nn.functional.normalize(neighbours).T  # [M, M]
        return nn.functional.cross_entropy(cosines / TEMPERATURE, torch.arange(len(rows)))

    def _bag_loss(self, layer: nn.Linear, contexts: Tensor, texts: Sequence[np.ndarray | None]) -> Tensor:
        """Returns the mean negative log likelihood of the texts' less common words; all texts have the same weight."""
        rows: list[int] = []
        words: list[int] = []
        shares: list[float] = []
        for row, text in enumerate(texts):
            rare = np.unique(text[text >= self.config.common + 2]) if text is not None else np.zeros(0, np.int32)
            rows += [row] * len(rare)
            words += rare.tolist()
            shares += [1 / max(1, len(rare))] * len(rare)
        if not rows:
            return torch.zeros(())
        used, place = np.unique(np.asarray(rows), return_inverse=True)
        logits = self.model.decoder.logits
        with autocast():
            hidden = torch.tanh(layer(contexts[torch.as_tensor(used)]).float())  # [U, W]
            scores = logits(hidden)  # [U, V]
        likely = torch.log_softmax(scores, dim=1, dtype=torch.float32)[
            torch.as_tensor(place), torch.tensor(words)
        ]  # [R]
        return -(likely * torch.tensor(shares)).sum() / len(used)

    def evaluate(self) -> dict[str, float]:
        """Returns for each held-out kind the loss per token and the share of content words that greedy search finds."""
        figures: dict[str, float] = {}
        for name, texts in self.held_out.items():
            figures |= {f"{name}_{key}": value for key, value in self._judge(texts).items()}
        return figures | {"score": -sum(figures[f"{name}_nll"] for name in self.held_out)}

    def _judge(self, texts: Tokens) -> dict[str, float]:
        order = np.argsort(texts.lengths, kind="stable")
        total, count, hits, wanted, exact = 0.0, 0, 0, 0, 0
        for first in range(0, len(order), 128):
            rows = [texts[place] for place in order[first : first + 128]]
            ids, lengths = (torch.as_tensor(array) for array in padded(rows))  # [N, T], [N]
            vectors = self.model.encode(ids, lengths - 1)  # [N, S]
            states = decoder_states(self.model.decoder, vectors, ids, ids)  # [N, T, W]
            tokens = int(lengths.sum())
            total += float(text_loss(self.model.decoder, states, ids, lengths)) * tokens
            count += tokens
            found = greedy_search(self.model.decoder.step, self.model.decoder.initial_state(vectors), max_words=40)
            for row, hypothesis in zip(rows, found, strict=True):
                hit, out_of = shared_words(row, hypothesis.words, self.config.common)
                hits, wanted = hits + hit, wanted + out_of
                exact += [word for word in hypothesis.words if word != END] == row.tolist()
        return {"nll": total / count, "content": 100 * hits / max(1, wanted), "exact": 100 * exact / len(order)}


def shared_words(text: Sequence[int] | np.ndarray, other: Sequence[int], common: int) -> tuple[int, int]:
    """Returns how many of a text's less common words `other` has too, and how many there are in all."""
    wanted = Counter(int(word) for word in text if word >= common + 2)
    return sum((wanted & Counter(int(word) for word in other)).values()), sum(wanted.values())
