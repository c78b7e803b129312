"""Base of the entries of a pack's card, and the loading of weights into a network."""

from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from model_handlers.pack_card import Json, PackError

Net = TypeVar("Net", bound=nn.Module)
Kind = TypeVar("Kind", bound="CardEntry")


class FileMark:
    """Marker of an entry's field that names a file of the pack."""


File = Annotated[str, FileMark()]
"""The name of a file of the pack."""

OptionalFile = Annotated[str | None, FileMark()]
"""The name of a file of the pack, or None if there is none."""


class PackFiles(Protocol):
    """Files of a pack as families read them; see `Pack`."""

    location: str

    def tensors(self, file: str) -> dict[str, Tensor]:
        """Returns a safetensors file's tensors by name."""

    def array(self, file: str) -> np.ndarray:
        """Returns a `.npy` file's array."""

    def json(self, file: str) -> Json:
        """Returns the content of a JSON file."""

    def lines(self, file: str) -> list[str]:
        """Returns a text file's lines."""


class CardEntry(BaseModel):
    """A component's entry in the card. Keys unknown to this version are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @classmethod
    def file_keys(cls) -> list[str]:
        """Returns the keys whose values name files of the pack."""
        fields = cls.model_fields.items()
        return [name for name, field in fields if any(isinstance(mark, FileMark) for mark in field.metadata)]

    def as_card(self) -> dict[str, Any]:
        """Returns the entry as stored in the card, with the given keys only."""
        return self.model_dump(exclude_unset=True)


def of_family(entry: CardEntry, kind: type[Kind], location: str, what: str) -> Kind:
    """Returns the entry if it is of the given family.

    Args:
        entry: entry of a pack's card.
        kind: entry class of the family.
        location: location of the pack.
        what: what needs this family, for messages.

    Raises:
        PackError: the entry is of another family.
    """
    if not isinstance(entry, kind):
        found = type(entry).__name__.removesuffix("Entry")
        raise PackError([f"{location}: {what} works on {kind.__name__.removesuffix('Entry')} only, not on {found}"])
    return entry


def load_network(build: Callable[[], Net], files: PackFiles, weights: str, device: torch.device) -> Net:
    """Returns a network with the pack's weights, ready for inference.

    Args:
        build: makes the network.
        files: files of the pack.
        weights: file of the weights.
        device: device on which the network will run.

    Raises:
        PackError: the weights do not fit the network, or its sizes do not fit each other.
    """
    try:
        with torch.device("meta"):
            net = build()
        if dict(net.named_buffers()).keys() - net.state_dict().keys():
            net = build()  # some buffers are not in the file: the constructor computes them
        net.load_state_dict(files.tensors(weights), assign=True)
    except (RuntimeError, ValueError) as error:
        raise PackError([f"{files.location}/{weights}: does not fit the card ({error})"]) from error
    net.to(device).eval().requires_grad_(False)
    return net
