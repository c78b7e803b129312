"""Joint embeddings `gru`, `lstm` and `bow`: from a sentence's word vectors, one by one or summed."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from model_handlers.families.entry import File, PackFiles, load_network
from model_handlers.families.protocols import JointEmbeddingEntry
from model_handlers.memory import Limit
from model_handlers.nets.joint_embedding import JointEmbedding
from model_handlers.tensors import on_device
from model_handlers.words import PackVocabulary


class WordJointEmbedder:
    """Joint embeddings of captions and photos.

    Args:
        net: the network.
        vocabulary: vocabulary of captions.
        device: device on which it runs.
    """

    def __init__(self, net: JointEmbedding, vocabulary: PackVocabulary, device: torch.device) -> None:
        self.net = net
        self.vocabulary = vocabulary
        self.device = device
        self.width = net.image_projection.out_features
        self.feature_width = net.image_projection.in_features
        self._limit = Limit("caption embeddings")

    @torch.inference_mode()
    def embed(self, captions: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """Returns embeddings `[K, J]` float32 of unit length, in the order of the captions."""
        ids = [self.vocabulary.encode(caption) for caption in captions]
        order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
        embeddings = np.empty((len(ids), self.width), np.float32)  # [K, J]
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            embeddings[places] = self._limit.run(self._embed_batch, [ids[place] for place in places])  # [N, J]
        return embeddings

    def _embed_batch(self, ids: Sequence[list[int]]) -> np.ndarray:
        lengths = on_device(torch.tensor([len(words) for words in ids]), self.device)  # [N]
        rows = [torch.tensor(words) for words in ids]
        words = on_device(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), self.device)  # [N, T]
        return self.net.embed_sentences(words, lengths).cpu().numpy()  # [N, J]

    @torch.inference_mode()
    def embed_photos(self, features: torch.Tensor) -> torch.Tensor:
        """Returns embeddings `[N, J]` float64 of unit length, from feature vectors `[N, F]` of any length."""
        unit = features.double() / features.double().norm(dim=1, keepdim=True)  # [N, F]
        weight, bias = self._projection
        photos = unit @ weight.T + bias  # [N, J]
        embeddings: torch.Tensor = photos / photos.norm(dim=1, keepdim=True)  # [N, J]
        return embeddings

    @cached_property
    def _projection(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights `[J, F]` and biases `[J]` for photos, in float64."""
        return self.net.image_projection.weight.double(), self.net.image_projection.bias.double()


class WordJointEmbeddingEntry(JointEmbeddingEntry):
    """Card entry for a joint embedding from word vectors.

    Attributes:
        dim_image: F, width of a feature vector.
        dim_word: W, width of a word vector.
        dim: J, width of a joint embedding.
        n_words: V, number of rows of the word table.
        weights: file of the network's state.
        vocabulary: file of the words with their ids.
        lower: look words up in lower case.
        tokenise: split captions with the tokeniser; otherwise they are already tokenised.
    """

    dim_image: int
    dim_word: int
    dim: int
    n_words: int
    weights: File
    vocabulary: File
    lower: bool = False
    tokenise: bool = False

    @property
    def width(self) -> int:
        """J, the width of a joint embedding."""
        return self.dim

    @property
    def feature_width(self) -> int:
        """F, the width of the feature vectors that it takes."""
        return self.dim_image

    def build(self) -> JointEmbedding:
        """Returns the module without its weights."""
        return JointEmbedding(self.dim_image, self.dim_word, self.dim, self.n_words, self.encoder)

    def load(self, files: PackFiles, device: torch.device) -> JointEmbedding:
        """Returns the module with the pack's weights."""
        return load_network(self.build, files, self.weights, device)

    def open(self, files: PackFiles, device: torch.device) -> WordJointEmbedder:
        """Returns the network, ready on the device."""
        vocabulary = PackVocabulary(files.json(self.vocabulary), self.n_words, self.lower, not self.tokenise)
        return WordJointEmbedder(self.load(files, device), vocabulary, device)
