"""The training of the joint embedding in 2015 (Kiros, Salakhutdinov and Zemel 2014; SPEC section 13)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from model_handlers.nets.joint_embedding import JointEmbedding
from pipelines.corpora.texts import padded
from pipelines.training.engine.loop import Loss, Task
from pipelines.training.recipe_2015.practice_2015 import RECIPE, EqualLengthBatches, begin_as_in_2015, decayed
from pipelines.training.recipes.joint import PhotoSet, embed_texts, hinge, recalls


@dataclass(frozen=True)
class OriginalJointConfig:
    """Sizes and loss, with the values of the program of 2015.

    Args:
        vocabulary: maximum rows of the word table; the program of 2015 used every word.
        margin: margin by which a right pair must beat each wrong one.
        maxlen: captions of this many words or more are left out.
        decay: weight of the sum of all squared weights.
    """

    recipe: str = RECIPE
    dim_word: int = 300
    dim: int = 1024
    vocabulary: int = 50000
    batch_size: int = 128
    maxlen: int = 100
    margin: float = 0.2
    decay: float = 0.0


def joint_loss(
    model: JointEmbedding, features: Tensor, ids: Tensor, lengths: Tensor, margin: float, decay: float = 0.0
) -> Tensor:
    """Returns the sum of the hinge losses of all wrong pairs in both directions; image vectors are not normalised.

    Args:
        model: joint embedding. Sentence vectors always have unit length, image vectors only at inference.
        features: feature vectors of unit length `[N, F]`.
        ids: one caption per photo, with its closing 0 `[N, T]`.
        lengths: words of each caption with the closing 0 `[N]`.
        margin: margin by which a right pair must win.
        decay: weight of the sum of squared weights.
    """
    similarity = model.image_projection(features) @ model.embed_sentences(ids, lengths).T  # [N, N]
    return decayed(hinge(similarity, margin, hardest=False), model, decay)


class OriginalJointTask(Task):
    """Trains a `JointEmbedding` on captions with their photos; each caption is one example."""

    def __init__(
        self, config: OriginalJointConfig, n_words: int, train: PhotoSet, dev: PhotoSet, seed: int = 1
    ) -> None:
        self.config, self.photos, self.dev = config, train, dev
        self.owners = np.empty(len(train.captions), np.int64)  # [K]: the photo of each caption
        for photo, places in enumerate(train.rows):
            self.owners[list(places)] = photo
        self.batches = EqualLengthBatches(train.captions.lengths, config.batch_size, config.maxlen, seed)
        self.model: JointEmbedding = JointEmbedding(train.features.shape[1], config.dim_word, config.dim, n_words)
        begin_as_in_2015(self.model)
        nn.init.xavier_uniform_(self.model.image_projection.weight)

    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        """Returns the summed hinge loss of the step's batch."""
        places = self.batches.of_step(step)
        arrays = padded([self.photos.captions[place] for place in places])
        ids, lengths = (torch.as_tensor(array) for array in arrays)  # [N, T], [N]
        features = torch.as_tensor(self.photos.features[self.owners[places]].astype(np.float32))  # [N, F]
        unit = features / features.norm(dim=1, keepdim=True)  # [N, F]
        value = joint_loss(self.model, unit, ids, lengths, self.config.margin, self.config.decay)
        return Loss(value, int(lengths.sum()))

    def evaluate(self) -> dict[str, float]:
        """Returns recalls on the held-out photos; the score is their sum, as in the program of 2015."""
        images = self.model.embed_images(torch.as_tensor(self.dev.features))  # [N, J]
        figures = recalls(images @ embed_texts(self.model, self.dev.captions).T, self.dev.rows)
        return figures | {"score": sum(figures.values())}
