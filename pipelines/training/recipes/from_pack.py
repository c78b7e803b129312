"""Parts of a model pack for training a story decoder: sentence encoder, joint embedding, captions, styles."""

from dataclasses import dataclass

import numpy as np
import torch

from configs.schema import ConfigError
from model_handlers.families.entry import of_family
from model_handlers.families.word_joint_embedding import WordJointEmbeddingEntry
from model_handlers.nets.joint_embedding import JointEmbedding
from model_handlers.pack import Pack
from pipelines.corpora.texts import Tokens, Vocabulary
from pipelines.training.recipes.joint import embed_texts
from pipelines.training.recipes.text_vectors import TableEncoder, sentence_vectors
from pipelines.training.recipes.transfer import pack_encoder

NEEDED = ("joint_embedding", "sentence_encoder", "captions", "source_style", "styles", "passages")


@dataclass(frozen=True)
class Surroundings:
    """The networks, captions and styles of the pack that a story decoder will work with.

    Attributes:
        words: vocabulary of the sentence encoder and the decoder.
        encoder: sentence encoder.
        joint_words: vocabulary of the joint embedding.
        joint: joint embedding.
        bank: captions of the caption bank, tokenised.
        source_style: vector of the caption style `[S]`.
        styles: vectors `[S]`, by name, of the styles that keep passages.
        passages: sentence vectors of the passages that each style keeps `[P, S]`.
    """

    words: Vocabulary
    encoder: TableEncoder
    joint_words: Vocabulary
    joint: JointEmbedding
    bank: list[str]
    source_style: np.ndarray
    styles: dict[str, np.ndarray]
    passages: dict[str, np.ndarray]

    @classmethod
    def of_pack(cls, location: str) -> "Surroundings":
        """Returns the parts of a pack.

        Raises:
            ConfigError: the pack lacks one of the parts.
            PackError: there is no pack, or it is damaged.
        """
        pack = Pack.open(location)
        missing = [name for name in NEEDED if name not in pack.components]
        if missing:
            hint = "; pipelines.fit_style --passages makes passages" if "passages" in missing else ""
            raise ConfigError(f"network.pack {location}: has no {', '.join(missing)}{hint}")
        weights, words = pack_encoder(pack)
        joint = of_family(pack.joint_embedding, WordJointEmbeddingEntry, pack.location, "the training")
        pairs = pack.json(joint.vocabulary)
        kept = {name: np.array(pack.array(file), np.float32) for name, file in pack.passages.items()}
        styles = {name: np.array(pack.array(pack.styles[name]), np.float32).reshape(-1) for name in kept}
        return cls(
            words=words,
            encoder=TableEncoder(weights).eval().requires_grad_(False),
            joint_words=Vocabulary([word for word, _ in sorted(pairs, key=lambda pair: pair[1])]),
            joint=joint.load(pack, torch.device("cpu")),
            bank=pack.lines(pack.captions.texts),
            source_style=pack.array(pack.source_style).reshape(-1),
            styles=styles,
            passages=kept,
        )

    def bank_vectors(self) -> np.ndarray:
        """Returns the sentence vectors of the bank `[K, S]`, half precision."""
        return sentence_vectors(self.encoder, Tokens.of(self.words.encode(text) for text in self.bank))

    def bank_embeddings(self) -> np.ndarray:
        """Returns the joint embeddings of the bank `[K, J]`, half precision."""
        return self.embed(self.bank)

    def embed(self, captions: list[str]) -> np.ndarray:
        """Returns joint embeddings `[N, J]` of captions, half precision."""
        ids = Tokens.of(self.joint_words.encode(text) for text in captions)
        return embed_texts(self.joint, ids).detach().half().numpy()

    def embed_photos(self, features: np.ndarray) -> np.ndarray:
        """Returns joint embeddings `[N, J]` of feature vectors `[N, F]`, half precision."""
        with torch.inference_mode():
            return self.joint.embed_images(torch.from_numpy(features)).half().numpy()
