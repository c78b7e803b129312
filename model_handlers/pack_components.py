"""The components of a pack as typed entries of its card."""

from collections.abc import Callable
from functools import partial
from typing import Any

from model_handlers.families.protocols import (
    CaptionsEntry,
    CaptionWriterEntry,
    DecoderEntry,
    FeaturesEntry,
    JointEmbeddingEntry,
    SentenceEncoderEntry,
)
from model_handlers.families.tables import (
    CAPTION_WRITER_COMPONENT,
    DECODER_COMPONENT,
    FEATURES_COMPONENT,
    JOINT_EMBEDDING_COMPONENT,
    SENTENCE_ENCODER_COMPONENT,
    typed,
)
from model_handlers.pack_card import Json, PackError


class PackComponents:
    """Components of a pack. Everything that reads an entry raises PackError if it is missing or wrong.

    Args:
        location: location of the pack.
        card: checked card of the pack.
    """

    def __init__(self, location: str, card: dict[str, Any]) -> None:
        self.location = location
        self.card = card

    @property
    def components(self) -> dict[str, Any]:
        """The components as stored in the card."""
        found: dict[str, Any] = self.card["components"]
        return found

    def component(self, name: str) -> Json:
        """Returns a component as stored in the card.

        Raises:
            PackError: the pack was made without it.
        """
        if name not in self.components:
            there = ", ".join(sorted(self.components)) or "nothing"
            raise PackError([f"{self.location}: the pack has no {name}; it has {there}"])
        return self.components[name]

    @property
    def features(self) -> FeaturesEntry:
        """The feature network."""
        return FEATURES_COMPONENT.read(self.component("features"), self.location, "features")

    @property
    def joint_embedding(self) -> JointEmbeddingEntry:
        """The joint embedding."""
        return JOINT_EMBEDDING_COMPONENT.read(self.component("joint_embedding"), self.location, "joint_embedding")

    @property
    def sentence_encoder(self) -> SentenceEncoderEntry:
        """The sentence encoder."""
        return SENTENCE_ENCODER_COMPONENT.read(self.component("sentence_encoder"), self.location, "sentence_encoder")

    @property
    def caption_writer(self) -> CaptionWriterEntry:
        """The caption writer."""
        return CAPTION_WRITER_COMPONENT.read(self.component("caption_writer"), self.location, "caption_writer")

    @property
    def captions(self) -> CaptionsEntry:
        """The caption bank."""
        return typed(self.component("captions"), CaptionsEntry, self.location, "captions")

    @property
    def decoders(self) -> list[str]:
        """The names of the story decoders."""
        return list(self.components.get("decoders", {}))

    def decoder(self, name: str) -> DecoderEntry:
        """Returns a story decoder.

        Raises:
            PackError: the pack has no decoder of that name, or its entry is wrong.
        """
        if name not in self.decoders:
            there = ", ".join(sorted(self.decoders)) or "none"
            raise PackError([f"{self.location}: no decoder {name!r}; the pack has {there}"])
        return DECODER_COMPONENT.read(self.components["decoders"][name], self.location, f"decoder {name}")

    @property
    def default_decoder(self) -> str:
        """The name of the pack's default decoder, empty if there is none."""
        return str(self.card.get("defaults", {}).get("decoder", ""))

    @property
    def source_style(self) -> str:
        """The file of the source style's vector."""
        return str(self.component("source_style"))

    @property
    def styles(self) -> dict[str, str]:
        """The files of the styles' vectors, by style."""
        return self._files("styles")

    @property
    def spreads(self) -> dict[str, str]:
        """The files of the styles' maps, by style."""
        return self._files("spreads")

    @property
    def passages(self) -> dict[str, str]:
        """The files of the vectors of passages, by style."""
        return self._files("passages")

    def _files(self, group: str) -> dict[str, str]:
        files: dict[str, str] = self.components.get(group, {})
        return files

    def entry_problems(self) -> dict[str, list[str]]:
        """Returns the problems of the card's entries, by component."""
        single = ("features", "joint_embedding", "sentence_encoder", "caption_writer", "captions")
        reads: dict[str, Callable[[], object]] = {}
        for name in single:
            if name in self.components:
                reads[name] = partial(getattr, self, name)
        for name in self.decoders:
            reads[f"decoder {name}"] = partial(self.decoder, name)
        found: dict[str, list[str]] = {}
        for name, read in reads.items():
            try:
                read()
            except PackError as error:
                found[name] = error.problems
        return found
