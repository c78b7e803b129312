"""Families in their tables: entries typed, networks with the pack's weights, and the errors of wrong cards."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_handlers.caption_writer import WriterHandler
from model_handlers.captions import CaptionHandler
from model_handlers.families import tables
from model_handlers.families.backbone import BackboneEntry
from model_handlers.families.entry import PackFiles, of_family
from model_handlers.families.gru_decoder import GruDecoderEntry
from model_handlers.families.protocols import (
    CaptionWriterEntry,
    DecoderEntry,
    FeaturesEntry,
    JointEmbeddingEntry,
    SentenceEncoderEntry,
)
from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEntry
from model_handlers.features import FeatureHandler
from model_handlers.handler import Placement
from model_handlers.nets.front import Hypothesis
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.pack_writer import PackWriter
from model_handlers.sentences import SentenceHandler
from model_handlers.stories import Passage, StoryHandler

CPU = torch.device("cpu")
Place = Callable[..., Placement]
NAMES = ["features", "joint_embedding", "sentence_encoder", "decoders"]


def typed_entry(pack: Pack, name: str) -> Any:
    return pack.decoder("sea") if name == "decoders" else getattr(pack, name)


def load(pack: Pack, name: str) -> nn.Module:
    return typed_entry(pack, name).load(pack, CPU)


def entry_of(card: Mapping[str, Any], name: str) -> dict[str, Any]:
    return card["decoders"]["sea"] if name == "decoders" else card[name]


@pytest.mark.parametrize("name", NAMES)
def test_networks_have_the_packs_weights(tiny_pack: Callable[..., Pack], name: str) -> None:
    pack = tiny_pack()
    net = load(pack, name)
    stored = pack.tensors(entry_of(pack.components, name)["weights"])
    state = net.state_dict()
    assert state.keys() == stored.keys() and len(state) > 3
    assert all(torch.equal(state[key], value) for key, value in stored.items())
    assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_do_not_fit_the_card_are_refused(tiny_pack: Callable[..., Pack], name: str) -> None:
    def edit(writer: PackWriter) -> None:
        entry = entry_of(writer.components, name)
        entry["width" if name == "features" else "dim_word"] += 1

    pack = tiny_pack("misfit", edit)
    with pytest.raises(PackError, match=r"(?s)/misfit/\w+.safetensors: does not fit the card \(.*size mismatch"):
        load(pack, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_tensor_is_refused(tiny_pack: Callable[..., Pack], name: str) -> None:
    def edit(writer: PackWriter) -> None:
        file = entry_of(writer.components, name)["weights"]
        writer.add_tensors(file, {"other": torch.zeros(1)})

    with pytest.raises(PackError, match=r"(?s)Missing key\(s\).*Unexpected key\(s\)"):
        load(tiny_pack("cut", edit), name)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_what_the_card_holds(tiny_pack: Callable[..., Pack], name: str) -> None:
    """Keys of other versions stay, and no default gets in: a new pack is to have the digest of its card."""
    pack = tiny_pack("more", lambda writer: entry_of(writer.components, name).update(later=[1, {"a": None}]))
    assert typed_entry(pack, name).as_card() == entry_of(pack.components, name)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("features", ["widths", "hidden"]),
        ("joint_embedding", ["dim_image", "vocabulary"]),
        ("sentence_encoder", ["uni", "weights"]),
        ("decoders", ["n_words", "deep_output"]),
    ],
)
def test_all_that_is_missing_is_said_at_once(tiny_pack: Callable[..., Pack], name: str, sizes: list[str]) -> None:
    def edit(writer: PackWriter) -> None:
        for size in sizes:
            del entry_of(writer.components, name)[size]
        entry_of(writer.components, name)["n_words" if "n_words" not in sizes else "dim"] = "many"

    pack = tiny_pack("sizeless", edit)
    called = "decoder sea" if name == "decoders" else name
    missing = [f"{pack.location}/pack.json: {called}: {size} is missing" for size in sizes]
    for _ in range(2):
        with pytest.raises(PackError) as raised:
            typed_entry(pack, name)
        assert [problem for problem in raised.value.problems if problem.endswith("is missing")] == missing
    if name in ("joint_embedding", "decoders"):
        (other,) = set(raised.value.problems) - set(missing)
        assert f"{called}: " in other and "= 'many': Input should be a valid integer" in other
    assert pack.entry_problems() == {called: raised.value.problems}


@pytest.mark.parametrize(
    ("name", "key", "known"),
    [
        ("features", "family", "vgg19, timm"),
        ("joint_embedding", "encoder", "gru, lstm, bow"),
        ("sentence_encoder", "family", "skip_thoughts"),
        ("decoders", "family", "gru"),
    ],
)
def test_unknown_families_are_refused(tiny_pack: Callable[..., Pack], name: str, key: str, known: str) -> None:
    other = tiny_pack("other", lambda writer: entry_of(writer.components, name).update({key: "bird:wren"}))
    with pytest.raises(PackError, match=f"/other/pack.json: .*: {key} 'bird:wren' is unknown; it can be {known}$"):
        typed_entry(other, name)
    none = tiny_pack("none", lambda writer: entry_of(writer.components, name).pop(key))
    with pytest.raises(PackError, match=f"/none/pack.json: .*: {key} is missing; it can be {known}$"):
        typed_entry(none, name)


def test_what_works_on_one_family_only(tiny_pack: Callable[..., Pack]) -> None:
    pack = tiny_pack()
    entry = of_family(pack.sentence_encoder, SkipThoughtsEntry, pack.location, "the tool")
    assert (entry.width, entry.tables()) == (7, ["uni.npy", "bi.npy"])
    with pytest.raises(PackError, match="/tiny: the tool works on SkipThoughts only, not on GruDecoder"):
        of_family(pack.decoder("sea"), SkipThoughtsEntry, pack.location, "the tool")


def test_widths(tiny_pack: Callable[..., Pack]) -> None:
    pack = tiny_pack()
    assert (pack.features.width, pack.joint_embedding.feature_width, pack.joint_embedding.width) == (5, 5, 4)
    assert (pack.sentence_encoder.width, pack.decoder("sea").width) == (7, 7)
    assert pack.decoder("sea").open(pack, CPU).width == pack.sentence_encoder.open(pack, CPU).width == 7
    assert pack.joint_embedding.open(pack, CPU).width == 4 and pack.features.open(pack, CPU).width == 5


@pytest.mark.parametrize("encoder", ["gru", "lstm", "bow"])
def test_every_sentence_encoder_of_the_joint_embedding(tiny_pack: Any, encoder: str) -> None:
    pack = tiny_pack(encoder, lambda writer: tiny_pack.add_joint_embedding(writer, encoder))
    net = load(pack, "joint_embedding")
    embedding = net.embed_sentences(torch.tensor([[2, 3, 0]]), torch.tensor([3]))  # [1, 4]
    assert type(net.encoder).__name__ == {"gru": "GRU", "lstm": "LSTM", "bow": "NoneType"}[encoder]
    assert embedding.norm().item() == pytest.approx(1)


def test_a_pack_without_that_decoder_says_what_it_has(tiny_pack: Callable[..., Pack]) -> None:
    with pytest.raises(PackError, match="no decoder 'romance'; the pack has sea"):
        tiny_pack().decoder("romance")
    bare = tiny_pack("bare", lambda writer: writer.components.pop("decoders"))
    with pytest.raises(PackError, match="no decoder 'sea'; the pack has none"):
        bare.decoder("sea")


class Shifted(nn.Module):
    """A backbone whose file holds one of three tensors: one is computed at construction, one counts."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1))
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("shift", torch.arange(3.0), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels * self.scale + self.shift


class ShiftedEntry(BackboneEntry):
    def build(self) -> nn.Module:
        return Shifted()


def test_buffers_that_no_file_holds_are_computed(
    tiny_pack: Callable[..., Pack], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Swin and BEiT: their tables of relative places are in no weight file."""

    def edit(writer: PackWriter) -> None:
        tensors = {"scale": torch.tensor([2.0]), "count": torch.tensor(123_456_789)}
        weights = writer.add_tensors("shifted.safetensors", tensors)
        writer.components["features"] = {"family": "shifted", "width": 3, "weights": weights}

    monkeypatch.setitem(tables.FEATURES, "shifted", ShiftedEntry)
    net = load(tiny_pack("shifted", edit), "features")
    assert net(torch.ones(3)).tolist() == [2, 3, 4]
    assert net.count.item() == 123_456_789


class Bright:
    """A feature network: the brightest level of each channel."""

    def __init__(self, device: torch.device) -> None:
        self.width, self.device = 3, device

    def see(self, pixels: Tensor) -> Tensor:
        return self.scaled(pixels).amax(dim=(2, 3))  # [N, 3]

    def scaled(self, pixels: Tensor) -> Tensor:
        return pixels


class BrightEntry(FeaturesEntry):
    def open(self, files: PackFiles, device: torch.device) -> Bright:
        return Bright(device)


class Lengths:
    """A joint embedding of one direction for long captions and one for short ones."""

    def __init__(self, device: torch.device) -> None:
        self.width, self.feature_width, self.device = 2, 3, device

    def embed(self, captions: Sequence[str]) -> np.ndarray:
        return np.float32([[len(text) > 5, len(text) <= 5] for text in captions])  # [K, 2]

    def embed_photos(self, features: Tensor) -> Tensor:
        unit = features[:, :2].double()  # [N, 2]
        return unit / unit.norm(dim=1, keepdim=True)  # [N, 2]


class LengthsEntry(JointEmbeddingEntry):
    @property
    def width(self) -> int:
        return 2

    @property
    def feature_width(self) -> int:
        return 3

    def open(self, files: PackFiles, device: torch.device) -> Lengths:
        return Lengths(device)


class Letters:
    """A sentence encoder that counts letters."""

    width = 1

    def encode(self, texts: Sequence[str], *, batch_size: int = 512) -> np.ndarray:
        return np.float32([[len(text)] for text in texts])  # [N, 1]


class LettersEntry(SentenceEncoderEntry):
    scale: int

    @property
    def width(self) -> int:
        return self.scale

    def open(self, files: PackFiles, device: torch.device) -> Letters:
        return Letters()


class Parrot:
    """A decoder and caption writer that says one text of its file."""

    def __init__(self, width: int, lines: list[str]) -> None:
        self.width, self.lines = width, lines

    def search(self, contexts: Any, beam_width: int, *_: Any) -> list[list[Hypothesis]]:
        return [[Hypothesis((int(context[0]), 0), 1.5)] for context in contexts]

    def passage(self, words: Sequence[int]) -> str:
        return self.lines[words[0]]

    def write(self, photos: Tensor, count: int) -> list[list[str]]:
        return [self.lines for _ in photos]

    def costs(self, photos: Tensor, texts: Sequence[str]) -> list[float]:
        return [0.0] * len(texts)


class ParrotEntry(DecoderEntry):
    lines: str

    @property
    def width(self) -> int:
        return 1

    def open(self, files: PackFiles, device: torch.device, precision: str = "float32") -> Parrot:
        return Parrot(self.width, files.lines(self.lines))


class ParrotWriterEntry(CaptionWriterEntry):
    lines: str

    @property
    def width(self) -> int:
        return 2

    def open(self, files: PackFiles, device: torch.device, precision: str = "float32") -> Parrot:
        return Parrot(self.width, files.lines(self.lines))


def test_a_new_family_of_each_component_is_one_row(
    tiny_pack: Callable[..., Pack], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From pixels to a story, by handlers that know nothing of the families."""
    monkeypatch.setitem(tables.FEATURES, "bright", BrightEntry)
    monkeypatch.setitem(tables.JOINT_EMBEDDINGS, "lengths", LengthsEntry)
    monkeypatch.setitem(tables.SENTENCE_ENCODERS, "letters", LettersEntry)
    monkeypatch.setitem(tables.CAPTION_WRITERS, "parrot", ParrotWriterEntry)
    monkeypatch.setitem(tables.DECODERS, "parrot", ParrotEntry)

    def edit(writer: PackWriter) -> None:
        lines = writer.add_lines("lines.txt", ["a boat", "it rained ."])
        writer.components["features"] = {"family": "bright:most", "width": 3}
        writer.components["joint_embedding"] = {"encoder": "lengths"}
        writer.components["sentence_encoder"] = {"family": "letters", "scale": 1}
        writer.components["caption_writer"] = {"family": "parrot", "lines": lines}
        writer.components["decoders"] = {"own": {"family": "parrot", "lines": lines}}

    where = place(tiny_pack("new", edit))

    def run(handler: Any, item: Any) -> Any:
        (found,) = handler.run_inference([item], handler.load_model())
        return found

    feature = run(FeatureHandler(where), np.stack([np.full((2, 2), level, np.float32) for level in (1, 0, 7)]))
    assert feature.tolist() == [1, 0, 7]
    assert run(CaptionHandler(where, 2), feature) == [("a dog .", 1.0), ("two cats", 1.0)]
    assert run(WriterHandler(where, 2, 2, retrieve=False), feature) == [("a boat", 1.0), ("it rained .", 1.0)]
    vectors = run(SentenceHandler(where), ["a"])
    assert vectors.tolist() == [[1]]
    story = run(StoryHandler(where, "own", 1), vectors[0])
    assert story == Passage("it rained .", "It rained.", 1.5, 1)


def test_a_family_may_share_a_class(tiny_pack: Callable[..., Pack], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tables.DECODERS, "own", GruDecoderEntry)
    own = tiny_pack("own", lambda writer: writer.components["decoders"]["sea"].update(family="own"))
    assert load(own, "decoders").hidden is not None


def test_the_reference_names_every_family_and_key() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/pack-format.md").read_text()
    rows = [line for line in page.partition("## Entries")[2].splitlines() if line.startswith("|")]
    components = {
        "features": tables.FEATURES,
        "joint_embedding": tables.JOINT_EMBEDDINGS,
        "sentence_encoder": tables.SENTENCE_ENCODERS,
        "caption_writer": tables.CAPTION_WRITERS,
        "decoder": tables.DECODERS,
    }
    for component, families in components.items():
        for family, kind in families.items():
            (row,) = (row for row in rows if re.search(rf"\b{component}\b", row) and f"`{family}" in row.split("|")[1])
            _, _, needed, optional, _ = row.split("|")
            fields = {name: field.is_required() for name, field in kind.model_fields.items()}
            fields.pop("encoder" if component == "joint_embedding" else "family")
            assert set(re.findall(r"`(\w+)`", needed)) == {name for name, must in fields.items() if must}
            assert set(re.findall(r"`(\w+)`", optional)) == {name for name, must in fields.items() if not must}
