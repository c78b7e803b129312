"""Protocols of the five networks of a pack, each with the entry in the card that opens it."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from model_handlers.families.entry import CardEntry, File, OptionalFile, PackFiles
from model_handlers.nets.front import Hypothesis
from model_handlers.nets.search_rules import NO_RULES, SearchRules


class FeatureNetwork(Protocol):
    """Turns pixels into feature vectors.

    Attributes:
        width: F, the width of a feature vector.
        device: device on which it runs.
    """

    width: int
    device: torch.device

    def see(self, pixels: Tensor) -> Tensor:
        """Returns feature vectors `[N, F]` float32.

        Args:
            pixels: the network's input `[N, 3, side, side]` float32, or grey levels `[N, side, side, 3]` uint8.
        """

    def scaled(self, pixels: Tensor) -> Tensor:
        """Returns the network's input `[N, 3, side, side]` for pixels as in `see`."""


class FeaturesEntry(CardEntry):
    """Card entry for a feature network.

    Attributes:
        family: key of the table, if needed followed by a colon and a name within the family.
        width: F, the width of a feature vector.
        preprocessing: recipe that turns photos into the network's pixels.
    """

    family: str
    width: int
    preprocessing: dict[str, Any] = {}

    @abstractmethod
    def open(self, files: PackFiles, device: torch.device) -> FeatureNetwork:
        """Returns the network, ready on the device."""


class JointEmbedder(Protocol):
    """Puts captions and photos into one space, in which the dot product is the similarity.

    Attributes:
        width: J, the width of a joint embedding.
        feature_width: F, the width of the feature vectors that it takes.
        device: device on which it runs.
    """

    width: int
    feature_width: int
    device: torch.device

    def embed(self, captions: Sequence[str]) -> np.ndarray:
        """Returns embeddings `[K, J]` float32 of unit length, in the order of the captions."""

    def embed_photos(self, features: Tensor) -> Tensor:
        """Returns embeddings `[N, J]` float64 of unit length, from feature vectors `[N, F]` of any length."""


class JointEmbeddingEntry(CardEntry):
    """Card entry for a joint embedding.

    Attributes:
        encoder: kind of sentence encoder, a key of the table.
    """

    encoder: str

    @property
    @abstractmethod
    def width(self) -> int:
        """J, the width of a joint embedding."""

    @property
    @abstractmethod
    def feature_width(self) -> int:
        """F, the width of the feature vectors that it takes."""

    @abstractmethod
    def open(self, files: PackFiles, device: torch.device) -> JointEmbedder:
        """Returns the network, ready on the device."""


class SentenceEncoder(Protocol):
    """Turns texts into sentence vectors.

    Attributes:
        width: S, the width of a sentence vector.
    """

    width: int

    def encode(self, texts: Sequence[str], *, batch_size: int = 512) -> np.ndarray:
        """Returns sentence vectors `[N, S]` float32; each text, of one or more sentences, is one sequence.

        Args:
            texts: texts with at least one word each.
            batch_size: number of texts in a batch.

        Raises:
            ValueError: a text has no word.
        """


class SentenceEncoderEntry(CardEntry):
    """Card entry for a sentence encoder.

    Attributes:
        family: key of the table.
    """

    family: str

    @property
    @abstractmethod
    def width(self) -> int:
        """S, the width of a sentence vector."""

    @abstractmethod
    def open(self, files: PackFiles, device: torch.device) -> SentenceEncoder:
        """Returns the encoder, ready on the device."""


class Decoder(Protocol):
    """Turns shifted sentence vectors into passages.

    Attributes:
        width: S, the width of a sentence vector.
    """

    width: int

    def search(
        self,
        contexts: np.ndarray | Tensor,
        beam_width: int,
        rules: SearchRules = NO_RULES,
        styles: np.ndarray | Tensor | None = None,
        whole: bool = False,
    ) -> list[list[Hypothesis]]:
        """Returns each context's hypotheses in the order in which they finished.

        Args:
            contexts: shifted sentence vectors `[N, S]`.
            beam_width: number of hypotheses for each context.
            rules: rules of the search; the defaults are those of the original.
            styles: style vector of each context `[N, S]`; only contrast needs it.
            whole: continue after the winner is known, as the original's search does.
        """

    def passage(self, words: Sequence[int]) -> str:
        """Returns the words of ids joined by spaces.

        Raises:
            ValueError: an id has no word.
        """


class DecoderEntry(CardEntry):
    """Card entry for a story decoder.

    Attributes:
        family: key of the table.
    """

    family: str

    @property
    @abstractmethod
    def width(self) -> int:
        """S, the width of the sentence vectors that it takes."""

    @abstractmethod
    def open(self, files: PackFiles, device: torch.device, precision: str = "float32") -> Decoder:
        """Returns the decoder, ready on the device, for one of PRECISIONS."""


class CaptionWriter(Protocol):
    """Writes captions for photos.

    Attributes:
        width: J, the width of a joint embedding.
    """

    width: int

    def write(self, photos: Tensor, count: int) -> list[list[str]]:
        """Returns captions for each photo without duplicates.

        Args:
            photos: joint embeddings `[N, J]` of unit length.
            count: minimum number of captions for each photo, if the search finds as many.
        """

    def costs(self, photos: Tensor, texts: Sequence[str]) -> list[float]:
        """Returns each caption's cost per word in nats, including its end, as a caption of its photo `[K, J]`."""


class CaptionWriterEntry(CardEntry):
    """Card entry for a caption writer.

    Attributes:
        family: key of the table.
    """

    family: str

    @property
    @abstractmethod
    def width(self) -> int:
        """J, the width of the joint embeddings that it takes."""

    @abstractmethod
    def open(self, files: PackFiles, device: torch.device, precision: str = "float32") -> CaptionWriter:
        """Returns the writer, ready on the device, for one of PRECISIONS."""


class CaptionsEntry(CardEntry):
    """Card entry for the caption bank.

    Attributes:
        texts: file of the captions, one on each line.
        embeddings: file of their joint embeddings `[K, J]`, if they are computed ahead.
        sentence_vectors: file of their sentence vectors `[K, S]`, likewise.
    """

    texts: File
    embeddings: OptionalFile = None
    sentence_vectors: OptionalFile = None
