"""Training of the joint embedding: to find the right photo for a caption, and the reverse, in a batch."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from model_handlers.nets.gru import last_state
from model_handlers.nets.joint_embedding import JointEmbedding
from pipelines.corpora.texts import UNKNOWN, Tokens, Vocabulary, padded
from pipelines.training.engine.arithmetic import autocast
from pipelines.training.engine.loop import Loss, Task

LONG = 8  # one caption in eight counts as a long one
FEW = 0.15  # a word describes a scene only if at most this share of the photos has it in their captions


@dataclass(frozen=True)
class JointConfig:
    """Sizes of the network and settings of its training.

    Args:
        loss: `softmax` (cross entropy over the batch), `hinge` (the sum over wrong pairs, as in 2014) or `hardest`
            (the hinge of only the worst wrong pair, which collapses if training starts with it).
        temperature: divisor of the similarities in the softmax.
        margin: margin by which a right pair must beat the wrong ones in a hinge loss.
        word_dropout: share of words shown as unknown.
        dropout: dropout rate of word vectors and feature vectors.
        pseudo_share: share of a batch that are class prototypes with captions about the class.
        noise: maximum length of the random vector added to a feature vector, in units of the photos' mean distance
            from their centre. It keeps the projection small in directions that photos with captions do not cover, so
            that other photos are not projected to random places.
        views: number of crops of each photo to learn from besides the whole photo, half of them mirrored.
        outside: whether to start with wordllama's word vectors, reduced to `dim_word`, instead of random ones.
        start: folder of an earlier training whose weights this one starts from.
    """

    dim_word: int = 128
    dim: int = 384
    vocabulary: int = 6000
    batch_size: int = 192
    loss: str = "softmax"
    temperature: float = 0.06
    margin: float = 0.2
    word_dropout: float = 0.1
    dropout: float = 0.2
    pseudo_share: float = 0.0
    noise: float = 0.0
    views: int = 0
    outside: bool = False
    start: str = ""


@dataclass(frozen=True)
class PhotoSet:
    """Feature vectors `[N, F]` of photos, rows of each photo's captions in `captions`, and `views` of crops."""

    features: np.ndarray
    captions: Tokens
    rows: Sequence[Sequence[int]]
    views: Sequence[np.ndarray] = ()

    def draw(self, photos: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """Returns feature vectors `[n, F]` of photos, each of a random view."""
        tables = (self.features, *self.views)
        return np.stack([tables[draw.integers(len(tables))][photo] for photo in photos])  # [n, F]

    @cached_property
    def photos_of(self) -> dict[int, np.ndarray]:
        """Places of the photos whose captions have a word, for each word that few photos, but at least three, have."""
        places: dict[int, set[int]] = defaultdict(set)
        for photo, rows in enumerate(self.rows):
            for row in rows:
                for word in self.captions[row].tolist():
                    places[word].add(photo)
        most = FEW * len(self.features)
        return {word: np.asarray(sorted(own)) for word, own in places.items() if 3 <= len(own) <= most}

    def draw_like(self, caption: np.ndarray, draw: np.random.Generator) -> int:
        """Returns the place of a photo whose captions share a word, preferably a rare one, or of any photo."""
        words = [word for word in caption.tolist() if word in self.photos_of]
        if not words:
            return int(draw.integers(len(self.features)))
        rarity = np.asarray([len(self.photos_of[word]) ** -0.5 for word in words])
        return int(draw.choice(self.photos_of[words[draw.choice(len(words), p=rarity / rarity.sum())]]))


@dataclass(frozen=True)
class Prototypes:
    """Classes that photos may show: mean feature vectors `[C, F]`, and rows of captions about each class.

    Each class is drawn in proportion to its weight in `weights` `[C]`.
    """

    features: np.ndarray
    captions: Tokens
    rows: Sequence[Sequence[int]]
    weights: np.ndarray

    def draw(
        self, count: int, photos: PhotoSet, draw: np.random.Generator, replace: bool = False
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Returns pseudo photos of some classes: feature vectors `[n, F]`, and a caption for each.

        Each is a photo to which some or much of the class is added: for "a rocket in the sky" a photo of the sky.

        Args:
            count: number of pseudo photos.
            photos: photos to which the class is added.
            draw: generator of all random choices.
            replace: whether a class may be drawn more than once.
        """
        shares = self.weights / self.weights.sum()  # [C]
        classes = draw.choice(len(self.rows), count, replace=replace, p=shares)  # [n]
        captions = [self.captions[draw.choice(self.rows[place])] for place in classes]
        centre = photos.features.mean(axis=0)  # [F]
        scenes = photos.features[[photos.draw_like(caption, draw) for caption in captions]]  # [n, F]
        spread = draw.uniform(0.4, 1.0, (count, 1)) * (scenes - centre)  # [n, F]
        reach = draw.uniform(0.35, 1.25, (count, 1)) * (self.features[classes] - centre)  # [n, F]
        return centre + reach + spread, captions


def embed_texts(model: JointEmbedding, texts: Tokens, batch_size: int = 512) -> Tensor:
    """Returns joint embeddings `[K, J]` of texts in their order."""
    order = np.argsort(texts.lengths, kind="stable")
    embeddings = torch.zeros(len(texts), model.image_projection.out_features)  # [K, J]
    for first in range(0, len(order), batch_size):
        places = order[first : first + batch_size]
        ids, lengths = padded([texts[place] for place in places])
        embeddings[places] = model.embed_sentences(torch.as_tensor(ids), torch.as_tensor(lengths)).float()  # [N, J]
    return embeddings


def recalls(similarity: Tensor, rows: Sequence[Sequence[int]]) -> dict[str, float]:
    """Returns R@1, R@5 and R@10 in percent, both ways, from similarities `[N, K]` and each photo's caption rows."""
    owner = torch.empty(similarity.shape[1], dtype=torch.long)  # [K]
    for photo, places in enumerate(rows):
        owner[list(places)] = photo
    mine = owner[None] == torch.arange(len(rows))[:, None]  # [N, K]
    best = similarity.masked_fill(~mine, -torch.inf).max(dim=1).values  # [N]
    image_ranks = (similarity > best[:, None]).sum(dim=1)  # [N]
    true = similarity[owner, torch.arange(len(owner))]  # [K]
    text_ranks = (similarity > true[None]).sum(dim=0)  # [K]
    figures = {}
    for name, ranks in (("image_to_text", image_ranks), ("text_to_image", text_ranks)):
        for k in (1, 5, 10):
            figures[f"{name}_R@{k}"] = 100 * float((ranks < k).float().mean())
    return figures


class JointTask(Task):
    """Trains a `JointEmbedding` on photos with captions, and on class prototypes with captions about the class."""

    def __init__(
        self,
        config: JointConfig,
        vocabulary: Vocabulary,
        train: PhotoSet,
        dev: PhotoSet,
        prototypes: Prototypes | None = None,
        word_vectors: np.ndarray | None = None,
    ) -> None:
        self.config, self.photos, self.dev, self.prototypes = config, train, dev, prototypes
        self.model: JointEmbedding = JointEmbedding(
            train.features.shape[1], config.dim_word, config.dim, vocabulary.size, "gru"
        )
        nn.init.xavier_uniform_(self.model.image_projection.weight)
        nn.init.uniform_(self.model.word_vectors.weight, -0.1, 0.1)
        if word_vectors is not None:
            self.model.word_vectors.weight.data[2:] = torch.from_numpy(word_vectors)  # [V - 2, W]
        self.distance = float(np.linalg.norm(train.features - train.features.mean(axis=0), axis=1).mean())
        unit = train.features / np.linalg.norm(train.features, axis=1, keepdims=True)  # [N, F]
        projection = self.model.image_projection
        projection.bias.data = -projection.weight.data @ torch.as_tensor(unit.mean(axis=0))  # [J]

    def _batch(self, draw: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
        """Returns feature vectors `[N, F]`, and a caption for each."""
        pseudo = int(self.config.batch_size * self.config.pseudo_share) if self.prototypes else 0
        photos = draw.choice(len(self.photos.rows), self.config.batch_size - pseudo, replace=False)
        features = [self.photos.draw(photos, draw)]  # [N, F]
        captions = [self.photos.captions[draw.choice(self.photos.rows[photo])] for photo in photos]
        if pseudo and self.prototypes:
            more, about = self.prototypes.draw(pseudo, self.photos, draw)
            features.append(more)  # [N, F]
            captions += about
        rows = np.concatenate(features).astype(np.float32)  # [N, F]
        if self.config.noise:
            away = draw.standard_normal(rows.shape, np.float32)  # [N, F]
            lengths = self.config.noise * self.distance * draw.random((len(rows), 1), np.float32)  # [N, 1]
            rows += away * (lengths / np.linalg.norm(away, axis=1, keepdims=True))  # [N, F]
        return np.maximum(rows, 0), captions

    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        """Returns the loss of one batch, in both directions."""
        features, captions = self._batch(draw)
        captions = [np.where(draw.random(len(text)) < self.config.word_dropout, UNKNOWN, text) for text in captions]
        ids, lengths = padded(captions)
        images = self.model.embed_images(self._dropout(torch.as_tensor(features)))  # [N, J]
        sentences = self._embed(torch.as_tensor(ids), torch.as_tensor(lengths))  # [N, J]
        similarity = images @ sentences.T  # [N, N]
        if self.config.loss == "softmax":
            value = contrast(similarity / self.config.temperature)
        else:
            value = hinge(similarity, self.config.margin, hardest=self.config.loss == "hardest") / len(captions)
        return Loss(value, int(lengths.sum()))

    def _dropout(self, values: Tensor) -> Tensor:
        return nn.functional.dropout(values, self.config.dropout)  # as values

    def _embed(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Returns joint embeddings `[N, J]` of captions `[N, T]`.

        The few long ones are embedded separately; otherwise all would be padded to the longest.
        """
        assert isinstance(self.model.encoder, nn.GRU)
        order = lengths.argsort(stable=True)  # [N]
        few = len(order) // LONG
        parts = []
        for rows in order.split([len(order) - few, few] if few else [len(order)]):
            texts = words[rows, : int(lengths[rows[-1]])]  # [n, T]
            vectors = self._dropout(self.model.word_vectors(texts))  # [n, T, W]
            with autocast():
                parts.append(last_state(self.model.encoder, vectors, lengths[rows]))  # [n, J]
        return nn.functional.normalize(torch.cat(parts)[order.argsort()])  # [N, J]

    def evaluate(self) -> dict[str, float]:
        """Returns recalls on the held-out photos; the score is their sum."""
        images = self.model.embed_images(torch.as_tensor(self.dev.features))  # [N, J]
        figures = recalls(images @ embed_texts(self.model, self.dev.captions).T, self.dev.rows)
        return figures | {"score": sum(figures.values())}


def contrast(scores: Tensor) -> Tensor:
    """Returns the mean cross entropy of the diagonal of `scores` `[N, N]` over rows, plus that over columns."""
    right = torch.arange(len(scores))  # [N]
    return nn.functional.cross_entropy(scores, right) + nn.functional.cross_entropy(scores.T, right)


def hinge(similarity: Tensor, margin: float, hardest: bool) -> Tensor:
    """Returns the loss of a batch whose right pairs are on the diagonal of `similarity` `[N, N]` (SPEC section 13).

    Args:
        similarity: similarities with a row per photo and a column per caption.
        margin: margin by which the right pair must win.
        hardest: whether only the worst wrong pair of each row and column counts (Faghri et al. 2017), instead of all.
    """
    right = similarity.diagonal()  # [N]
    off = ~torch.eye(len(right), dtype=torch.bool)  # [N, N]
    by_photo = (margin + similarity - right[:, None]).clamp(min=0) * off  # [N, N]
    by_caption = (margin + similarity - right[None]).clamp(min=0) * off  # [N, N]
    if hardest:
        return by_photo.max(dim=1).values.sum() + by_caption.max(dim=0).values.sum()
    return by_photo.sum() + by_caption.sum()
