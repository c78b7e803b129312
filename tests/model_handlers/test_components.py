"""Networks from a pack's components: weights put in place, and cards that do not fit them told."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from model_handlers import components
from model_handlers.components import (
    build_decoder,
    build_features,
    build_joint_embedding,
    build_sentence_encoder,
    decoder_entry,
)
from model_handlers.nets.backbones import FEATURES
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.pack_writer import PackWriter

CPU = torch.device("cpu")
BUILDERS = {
    "features": build_features,
    "joint_embedding": build_joint_embedding,
    "sentence_encoder": build_sentence_encoder,
    "decoders": lambda pack, device: build_decoder(pack, "sea", device),
}


def entry_of(card: Mapping[str, Any], name: str) -> dict[str, Any]:
    return card["decoders"]["sea"] if name == "decoders" else card[name]


@pytest.mark.parametrize("name", list(BUILDERS))
def test_networks_have_the_packs_weights(tiny_pack: Callable[..., Pack], name: str) -> None:
    pack = tiny_pack()
    net = BUILDERS[name](pack, CPU)
    stored = pack.tensors(entry_of(pack.components, name)["weights"])
    state = net.state_dict()
    assert state.keys() == stored.keys() and len(state) > 3
    assert all(torch.equal(state[key], value) for key, value in stored.items())
    assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("name", list(BUILDERS))
def test_weights_that_do_not_fit_the_card_are_told(tiny_pack: Callable[..., Pack], name: str) -> None:
    def edit(writer: PackWriter) -> None:
        entry = entry_of(writer.components, name)
        entry["width" if name == "features" else "dim_word"] += 1

    pack = tiny_pack("misfit", edit)
    with pytest.raises(PackError, match=r"(?s)/misfit/\w+.safetensors: does not fit the card \(.*size mismatch"):
        BUILDERS[name](pack, CPU)


@pytest.mark.parametrize("name", list(BUILDERS))
def test_a_missing_tensor_is_told(tiny_pack: Callable[..., Pack], name: str) -> None:
    def edit(writer: PackWriter) -> None:
        file = entry_of(writer.components, name)["weights"]
        writer.add_tensors(file, {"other": torch.zeros(1)})

    with pytest.raises(PackError, match=r"(?s)Missing key\(s\).*Unexpected key\(s\)"):
        BUILDERS[name](tiny_pack("cut", edit), CPU)


@pytest.mark.parametrize(
    ("name", "size"),
    [("features", "widths"), ("joint_embedding", "encoder"), ("sentence_encoder", "uni"), ("decoders", "deep_output")],
)
def test_a_missing_size_is_told(tiny_pack: Callable[..., Pack], name: str, size: str) -> None:
    def edit(writer: PackWriter) -> None:
        del entry_of(writer.components, name)[size]

    with pytest.raises(PackError, match=f"pack.json: '{size}' is missing in a component"):
        BUILDERS[name](tiny_pack("sizeless", edit), CPU)


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        ("features", "family", "feature family 'other' is unknown; it can be vgg19, timm"),
        ("joint_embedding", "encoder", "sentence encoder 'other' is unknown; it can be gru, lstm, bow"),
        ("sentence_encoder", "family", "sentence encoder family 'other' is unknown; it can be skip_thoughts"),
        ("decoders", "family", "decoder family 'other' is unknown; it can be gru"),
    ],
)
def test_unknown_families_are_told(tiny_pack: Callable[..., Pack], name: str, key: str, message: str) -> None:
    def edit(writer: PackWriter) -> None:
        entry_of(writer.components, name)[key] = "other"

    with pytest.raises(PackError, match=message):
        BUILDERS[name](tiny_pack("other", edit), CPU)


@pytest.mark.parametrize("encoder", ["gru", "lstm", "bow"])
def test_every_sentence_encoder_of_the_joint_embedding(tiny_pack: Any, encoder: str) -> None:
    pack = tiny_pack(encoder, lambda writer: tiny_pack.add_joint_embedding(writer, encoder))
    net = build_joint_embedding(pack, CPU)
    embedding = net.embed_sentences(torch.tensor([[2, 3, 0]]), torch.tensor([3]))  # [1, 4]
    assert type(net.encoder).__name__ == {"gru": "GRU", "lstm": "LSTM", "bow": "NoneType"}[encoder]
    assert embedding.norm().item() == pytest.approx(1)


def test_a_pack_without_that_decoder_tells_what_it_has(tiny_pack: Callable[..., Pack]) -> None:
    with pytest.raises(PackError, match="no decoder 'romance'; the pack has sea"):
        decoder_entry(tiny_pack(), "romance")
    bare = tiny_pack("bare", lambda writer: writer.components.pop("decoders"))
    with pytest.raises(PackError, match="no decoder 'sea'; the pack has none"):
        build_decoder(bare, "sea", CPU)


class Shifted(nn.Module):
    """A backbone whose file holds one of three tensors: one is computed at construction, one counts."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1))
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("shift", torch.arange(3.0), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels * self.scale + self.shift


def test_buffers_that_no_file_holds_are_computed(
    tiny_pack: Callable[..., Pack], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Swin and BEiT: their tables of relative places are in no weight file."""

    def edit(writer: PackWriter) -> None:
        tensors = {"scale": torch.tensor([2.0]), "count": torch.tensor(123_456_789)}
        weights = writer.add_tensors("shifted.safetensors", tensors)
        writer.components["features"] = {"family": "shifted", "width": 3, "weights": weights}

    monkeypatch.setitem(FEATURES, "shifted", lambda name, sizes: Shifted())
    net = build_features(tiny_pack("shifted", edit), CPU)
    assert net(torch.ones(3)).tolist() == [2, 3, 4]
    assert net.count.item() == 123_456_789


def test_a_new_decoder_family_is_one_entry(tiny_pack: Callable[..., Pack], monkeypatch: pytest.MonkeyPatch) -> None:
    def edit(writer: PackWriter) -> None:
        writer.components["decoders"]["sea"]["family"] = "own"

    monkeypatch.setitem(components.DECODERS, "own", components.DECODERS["gru"])
    assert build_decoder(tiny_pack("own", edit), "sea", CPU).hidden is not None
