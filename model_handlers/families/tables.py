"""Tables of the families of each component; a new family is a row here and a file beside this one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic

from pydantic import ValidationError

from model_handlers.families.entry import CardEntry, Kind
from model_handlers.families.gru_decoder import GruDecoderEntry
from model_handlers.families.gru_writer import GruWriterEntry
from model_handlers.families.protocols import (
    CaptionsEntry,
    CaptionWriterEntry,
    DecoderEntry,
    FeaturesEntry,
    JointEmbeddingEntry,
    SentenceEncoderEntry,
)
from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEntry
from model_handlers.families.timm_backbones import TimmEntry
from model_handlers.families.vgg19 import Vgg19Entry
from model_handlers.families.word_joint_embedding import WordJointEmbeddingEntry
from model_handlers.pack_card import CARD, PackError

FEATURES: dict[str, type[FeaturesEntry]] = {"vgg19": Vgg19Entry, "timm": TimmEntry}
JOINT_EMBEDDINGS: dict[str, type[JointEmbeddingEntry]] = {
    "gru": WordJointEmbeddingEntry,
    "lstm": WordJointEmbeddingEntry,
    "bow": WordJointEmbeddingEntry,
}
SENTENCE_ENCODERS: dict[str, type[SentenceEncoderEntry]] = {"skip_thoughts": SkipThoughtsEntry}
CAPTION_WRITERS: dict[str, type[CaptionWriterEntry]] = {"gru": GruWriterEntry}
DECODERS: dict[str, type[DecoderEntry]] = {"gru": GruDecoderEntry}


@dataclass(frozen=True)
class Component(Generic[Kind]):
    """A component, with the way to read its entry in the card.

    Attributes:
        families: entry class of each family.
        key: key of the entry whose value, up to a colon, names the family.
    """

    families: Mapping[str, type[Kind]]
    key: str = "family"

    def family(self, entry: Mapping[str, Any]) -> type[Kind] | None:
        """Returns the entry class of an entry's family, None if the family is not in the table."""
        return self.families.get(str(entry.get(self.key)).partition(":")[0])

    def read(self, entry: Mapping[str, Any], location: str, name: str) -> Kind:
        """Returns an entry of the card as a typed object.

        Args:
            entry: entry as stored in the card.
            location: location of the pack.
            name: name of the component.

        Raises:
            PackError: the entry is wrong; lists all its problems.
        """
        kind = self.family(entry)
        if kind is not None:
            return typed(entry, kind, location, name)
        problem = f"{self.key} {entry[self.key]!r} is unknown" if self.key in entry else f"{self.key} is missing"
        raise PackError([f"{location}/{CARD}: {name}: {problem}; it can be {', '.join(self.families)}"])


def typed(entry: Mapping[str, Any], kind: type[Kind], location: str, name: str) -> Kind:
    """Returns an entry of the card as an object of a class.

    Raises:
        PackError: the entry is wrong; lists all its problems.
    """
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        found = [(".".join(map(str, one["loc"])), one) for one in error.errors()]
        raise PackError(
            [
                f"{location}/{CARD}: {name}: {key} is missing"
                if one["type"] == "missing"
                else f"{location}/{CARD}: {name}: {key} = {one['input']!r}: {one['msg']}"
                for key, one in found
            ]
        ) from error


FEATURES_COMPONENT = Component(FEATURES)
JOINT_EMBEDDING_COMPONENT = Component(JOINT_EMBEDDINGS, "encoder")
SENTENCE_ENCODER_COMPONENT = Component(SENTENCE_ENCODERS)
CAPTION_WRITER_COMPONENT = Component(CAPTION_WRITERS)
DECODER_COMPONENT = Component(DECODERS)


def entry_classes(components: Mapping[str, Any]) -> dict[str, tuple[Mapping[str, Any], type[CardEntry] | None]]:
    """Returns the entries of a card's components by name, each with its class, None for unknown families."""
    tables: dict[str, Component[Any]] = {
        "features": FEATURES_COMPONENT,
        "joint_embedding": JOINT_EMBEDDING_COMPONENT,
        "sentence_encoder": SENTENCE_ENCODER_COMPONENT,
        "caption_writer": CAPTION_WRITER_COMPONENT,
    }
    there = {name: components[name] for name in tables if name in components}
    found: dict[str, tuple[Mapping[str, Any], type[CardEntry] | None]]
    found = {name: (entry, tables[name].family(entry)) for name, entry in there.items()}
    if "captions" in components:
        found["captions"] = (components["captions"], CaptionsEntry)
    decoders = components.get("decoders", {}).items()
    return found | {f"decoder {name}": (entry, DECODER_COMPONENT.family(entry)) for name, entry in decoders}
