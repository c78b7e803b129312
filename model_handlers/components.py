"""Networks built from a pack's components; each family is one entry in one table."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from model_handlers.nets.backbones import build_backbone
from model_handlers.nets.joint_embedding import JointEmbedding
from model_handlers.nets.skip_thoughts import SkipThoughts
from model_handlers.nets.story_decoder import StoryDecoder
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError

Entry = Mapping[str, Any]


def _skip_thoughts(entry: Entry) -> nn.Module:
    return SkipThoughts(entry["dim_word"], entry["uni"], entry["bi"])


def _joint_embedding(entry: Entry) -> nn.Module:
    sizes = (entry[name] for name in ("dim_image", "dim_word", "dim", "n_words", "encoder"))
    return JointEmbedding(*sizes)


def _story_decoder(entry: Entry) -> nn.Module:
    sizes = (entry[name] for name in ("dim_context", "dim_word", "dim", "n_words", "deep_output"))
    return StoryDecoder(*sizes)


def _backbone(entry: Entry) -> nn.Module:
    return build_backbone(entry["family"], entry)


SENTENCE_ENCODERS: dict[str, Callable[[Entry], nn.Module]] = {"skip_thoughts": _skip_thoughts}
DECODERS: dict[str, Callable[[Entry], nn.Module]] = {"gru": _story_decoder}


def build_features(pack: Pack, device: torch.device) -> nn.Module:
    """Returns the pack's backbone: pixels `[N, 3, 224, 224]` to feature vectors `[N, F]`."""
    return _load(pack, pack.component("features"), _backbone, device)


def build_joint_embedding(pack: Pack, device: torch.device) -> JointEmbedding:
    """Returns the pack's joint embedding."""
    net = _load(pack, pack.component("joint_embedding"), _joint_embedding, device)
    assert isinstance(net, JointEmbedding)
    return net


def build_sentence_encoder(pack: Pack, device: torch.device) -> SkipThoughts:
    """Returns the pack's skip-thought encoder, without its word tables."""
    entry = pack.component("sentence_encoder")
    net = _load(pack, entry, _member(pack, SENTENCE_ENCODERS, entry["family"], "sentence encoder"), device)
    assert isinstance(net, SkipThoughts)
    return net


def decoder_entry(pack: Pack, name: str) -> dict[str, Any]:
    """Returns the card's entry for a decoder.

    Raises:
        PackError: the pack has no decoder of that name.
    """
    decoders = pack.components.get("decoders", {})
    if name not in decoders:
        raise PackError([f"{pack.location}: no decoder {name!r}; the pack has {', '.join(sorted(decoders)) or 'none'}"])
    return decoders[name]


def build_decoder(pack: Pack, name: str, device: torch.device) -> StoryDecoder:
    """Returns one of the pack's story decoders."""
    return _build_decoder(pack, decoder_entry(pack, name), "decoder", device)


def build_caption_writer(pack: Pack, device: torch.device) -> StoryDecoder:
    """Returns the pack's caption writer: a decoder that a photo's joint embedding `[N, J]` starts."""
    return _build_decoder(pack, pack.component("caption_writer"), "caption writer", device)


def _build_decoder(pack: Pack, entry: Entry, what: str, device: torch.device) -> StoryDecoder:
    net = _load(pack, entry, _member(pack, DECODERS, entry["family"], what), device)
    assert isinstance(net, StoryDecoder)
    return net


def _member(pack: Pack, table: Mapping[str, Callable[[Entry], nn.Module]], family: str, what: str) -> Any:
    if family not in table:
        raise PackError([f"{pack.location}: {what} family {family!r} is unknown; it can be {', '.join(table)}"])
    return table[family]


def _load(pack: Pack, entry: Entry, build: Callable[[Entry], nn.Module], device: torch.device) -> nn.Module:
    """Returns the network with the pack's weights, ready for inference.

    Raises:
        PackError: the card's sizes are incomplete, or the weights do not fit them.
    """
    try:
        with torch.device("meta"):
            net = build(entry)
        if dict(net.named_buffers()).keys() - net.state_dict().keys():
            net = build(entry)  # some buffers are in no file: the constructor computes them
        net.load_state_dict(pack.tensors(entry["weights"]), assign=True)
    except (RuntimeError, ValueError) as error:
        raise PackError([f"{pack.location}/{entry['weights']}: does not fit the card ({error})"]) from error
    except KeyError as error:
        raise PackError([f"{pack.location}/pack.json: {error} is missing in a component"]) from error
    return net.to(device).eval().requires_grad_(False)
