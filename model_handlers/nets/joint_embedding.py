"""The joint image-sentence embedding of Kiros, Salakhutdinov and Zemel (2014): one space for photos and captions."""

import torch
from torch import Tensor, nn

from model_handlers.nets.gru import last_state

ENCODERS = ("gru", "lstm", "bow")


class JointEmbedding(nn.Module):
    """Puts feature vectors and sentences into one space where the dot product is the similarity (SPEC sections 4-5).

    Args:
        dim_image: F, width of a feature vector.
        dim_word: W, width of a word vector; `bow` needs it equal to `dim`.
        dim: J, width of the joint space.
        n_words: V, rows of the word table; row 0 ends a sentence, row 1 is the unknown word.
        encoder: `gru`, `lstm` or `bow` (the sum of the word vectors).

    Raises:
        ValueError: the encoder is none of the three, or `bow` has different widths.
    """

    def __init__(self, dim_image: int, dim_word: int, dim: int, n_words: int, encoder: str = "gru") -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise ValueError(f"sentence encoder {encoder!r} is unknown; it can be {', '.join(ENCODERS)}")
        if encoder == "bow" and dim_word != dim:
            raise ValueError(f"a bow encoder needs dim_word ({dim_word}) equal to dim ({dim})")
        self.word_vectors = nn.Embedding(n_words, dim_word)
        self.encoder: nn.GRU | nn.LSTM | None = None
        if encoder == "gru":
            self.encoder = nn.GRU(dim_word, dim, batch_first=True)
        elif encoder == "lstm":
            self.encoder = nn.LSTM(dim_word, dim, batch_first=True)
        self.image_projection = nn.Linear(dim_image, dim)

    def embed_images(self, features: Tensor) -> Tensor:
        """Returns joint embeddings `[N, J]` of unit length from feature vectors `[N, F]` of any length.

        A feature vector of zeros has no direction and gives NaN, as in the original.
        """
        unit = features / features.norm(dim=1, keepdim=True)  # [N, F]
        embeddings = self.image_projection(unit)  # [N, J]
        unit_embeddings: Tensor = embeddings / embeddings.norm(dim=1, keepdim=True)  # [N, J]
        return unit_embeddings

    def embed_sentences(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Returns joint embeddings `[N, J]` of unit length from word ids.

        Args:
            words: `[N, T]` int64, each sentence closed by id 0 and padded beyond it with any ids.
            lengths: `[N]`, words of each sentence with its closing id, at least 1.
        """
        vectors = self.word_vectors(words)  # [N, T, W]
        if self.encoder is None:
            mask = torch.arange(words.shape[1], device=words.device) < lengths[:, None]  # [N, T]
            states = (vectors * mask[:, :, None]).sum(dim=1)  # [N, J]
        else:
            states = last_state(self.encoder, vectors, lengths)  # [N, J]
        unit_embeddings: Tensor = states / states.norm(dim=1, keepdim=True)  # [N, J]
        return unit_embeddings
