"""Written captions: what the beam search finds, ranked by the joint embedding, with or without the nearest ones."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from model_handlers import caption_writer
from model_handlers.caption_writer import RankedWriter, WriterHandler
from model_handlers.captions import CaptionHandler, open_index
from model_handlers.consensus import Consensus
from model_handlers.families.gru_writer import GruWriter
from model_handlers.handler import Placement
from model_handlers.nets.search import beam_search
from model_handlers.nets.story_decoder import StoryDecoder
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.pack_writer import PackWriter
from model_handlers.words import PackVocabulary

CPU = torch.device("cpu")
FEATURE, JOINT, WORDS = 5, 4, [["a", 2], ["dog", 3], [".", 4], ["two", 5], ["cats", 6]]
Place = Callable[..., Placement]


def add_writer(tiny_pack: Any, ends: float = 0.0) -> Callable[[PackWriter], None]:
    """Returns an edit that puts a random caption writer into a pack; `ends` makes an end of a caption likelier."""

    def edit(writer: PackWriter) -> None:
        draw = torch.Generator().manual_seed(1)
        state = StoryDecoder(JOINT, 3, 6, 7, True).state_dict()
        state = {name: torch.randn(value.shape, generator=draw) * 1.5 for name, value in state.items()}
        state["logits.bias"][0] += ends
        writer.components["caption_writer"] = {
            "family": "gru", "dim_context": JOINT, "dim_word": 3, "dim": 6, "n_words": 7, "deep_output": True,
            "weights": writer.add_tensors("writer.safetensors", state),
            "vocabulary": writer.add_json("writer.json", WORDS),
        }  # fmt: skip

    return edit


@pytest.fixture
def pack(tiny_pack: Any) -> Pack:
    """Returns the tiny pack with a caption writer."""
    return tiny_pack("writing", add_writer(tiny_pack))


def features(count: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(size=(count, FEATURE)).astype(np.float32))


def infer(handler: Any, batch: list[np.ndarray]) -> list[Any]:
    return list(handler.run_inference(batch, handler.load_model()))


class Chain:
    """Stands in for a decoder: next-word probabilities by the word before, whatever the photo.

    `a dog` 0.4, `cats` 0.3, the end at once 0.2, an unknown word 0.1; `dog` may go on with `dog` for ever.
    """

    TABLE = {
        -1: [0.2, 0.1, 0.4, 0.0, 0.0, 0.0, 0.3],
        2: [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        3: [0.75, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0],
        6: [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0],
    }

    state = torch.nn.Linear(2, 1, device="meta")
    logits = torch.nn.Linear(1, 7, device="meta")  # on no CPU, so that searches take `step`

    def initial_state(self, photos: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(photos), 1)  # [N, 1]

    def __call__(self, context: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        before = torch.nn.functional.pad(words[:, :-1], (1, 0), value=-1)  # [N, T]
        rows = [[self.TABLE.get(word, self.TABLE[-1]) for word in row] for row in before.tolist()]
        return torch.tensor(rows).clamp(min=1e-30).log()  # [N, T, V]

    def step(self, words: torch.Tensor, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([self.TABLE.get(word, self.TABLE[-1]) for word in words.tolist()]).log(), states


CHAIN_SHARES = {
    "a dog": 0.4 * 0.75,
    "cats": 0.3 * 0.5,
    "a dog dog": 0.4 * 0.25 * 0.75,
    "a dog dog dog": 0.4 * 0.75 / 16,
}


def test_captions_are_those_of_the_chain_by_similarity_and_likelihood(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = pack.joint_embedding.open(pack, CPU)
    writer = RankedWriter(GruWriter(Chain(), PackVocabulary(WORDS, 7), CPU), embedder)  # type: ignore[arg-type]
    photos = embedder.embed_photos(torch.from_numpy(np.stack(features(6))))  # [6, J]
    texts = ["a dog", "cats", "a dog dog", "a dog dog dog"]
    scores = photos @ torch.from_numpy(embedder.embed(texts)).double().T  # [6, 4]
    costs = {text: -math.log(share) / (len(text.split()) + 1) for text, share in CHAIN_SHARES.items()}
    orders = {}
    for fluency in (0, 0.1, 100):
        monkeypatch.setattr(caption_writer, "FLUENCY", fluency)
        orders[fluency] = [[text for text, _ in found] for found in writer.write(photos, 5)]
        for row, found in zip(scores.tolist(), writer.write(photos, 5), strict=True):
            similarities = dict(zip(texts, row, strict=True))
            expected = sorted(texts, key=lambda text: fluency * costs[text] - similarities[text])
            assert [text for text, _ in found] == expected
            assert [score for _, score in found] == pytest.approx([similarities[t] for t in expected], abs=1e-6)
        assert [[text for text, _ in row] for row in writer.write(photos, 2)] == [row[:2] for row in orders[fluency]]
    assert len({row[0] for row in orders[0]}) > 1 and {row[0] for row in orders[100]} == {"a dog"}


def test_a_caption_without_an_end_counts_where_no_other_is(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = pack.joint_embedding.open(pack, CPU)
    writer = RankedWriter(GruWriter(Chain(), PackVocabulary(WORDS, 7), CPU), embedder)  # type: ignore[arg-type]
    photos = embedder.embed_photos(torch.from_numpy(np.stack(features(1))))  # [1, J]
    monkeypatch.setattr(Chain, "TABLE", {-1: [0, 0, 1.0, 0, 0, 0, 0], 2: [0, 0, 1.0, 0, 0, 0, 0]})
    ((match, *others),) = writer.write(photos, 5)
    assert match[0] == " ".join(["a"] * 24) and others == []
    monkeypatch.setattr(Chain, "TABLE", {-1: [1.0, 0, 0, 0, 0, 0, 0]})
    assert writer.write(photos, 5) == [[]]


def test_a_packs_writer_writes_by_beam_search(pack: Pack, place: Place) -> None:
    batch = features(4)
    net, embedder = pack.caption_writer.load(pack, CPU), pack.joint_embedding.open(pack, CPU)
    vocabulary = PackVocabulary(WORDS, 7)
    writer = RankedWriter(GruWriter(net, vocabulary, CPU), embedder)
    for found, feature in zip(infer(WriterHandler(place(pack), 100, 8, False), batch), batch, strict=True):
        photo = embedder.embed_photos(torch.from_numpy(feature)[None])  # [1, J]
        (hypotheses,) = beam_search(net.step, net.initial_state(photo.float()), 8, 24)
        words = [one.words for one in hypotheses if one.words[-1] == 0 and len(one.words) > 1 and 1 not in one.words]
        texts = [vocabulary.decode(some[:-1]) for some in words]
        assert len(found) > 1 and sorted(text for text, _ in found) == sorted(texts)
        scores = [float(embedder.embed([text])[0].astype(np.float64) @ photo[0].numpy()) for text, _ in found]
        assert [score for _, score in found] == pytest.approx(scores, abs=1e-6)
        costs = writer.writer.costs(photo.float().expand(len(found), -1), [text for text, _ in found])
        for (text, _), cost in zip(found, costs, strict=True):
            (one,) = (one for one in hypotheses if vocabulary.decode(one.words[:-1]) == text and one.words[-1] == 0)
            assert cost == pytest.approx(one.cost / len(one.words), abs=1e-5)
        ranked = [caption_writer.FLUENCY * cost - score for score, cost in zip(scores, costs, strict=True)]
        assert ranked == sorted(ranked)


@pytest.mark.parametrize("retrieve", [False, True])
def test_any_batch_gives_each_photo_what_it_gets_alone(pack: Pack, place: Place, retrieve: bool) -> None:
    handler, batch = WriterHandler(place(pack), 6, 4, retrieve), features(7)
    alone = [infer(handler, [feature])[0] for feature in batch]
    for order in (list(range(7)), [6, 0, 3, 3]):
        for number, found in zip(order, infer(handler, [batch[number] for number in order]), strict=True):
            assert [text for text, _ in found] == [text for text, _ in alone[number]]
            assert [score for _, score in found] == pytest.approx([score for _, score in alone[number]], abs=1e-6)


def test_written_and_nearest_captions_are_one_ranking(
    pack: Pack, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = features(8)
    nearest = infer(CaptionHandler(place(pack), 6), batch)
    written = infer(WriterHandler(place(pack), 9, 4, False), batch)
    monkeypatch.setattr(caption_writer, "NEAREST", 6)
    monkeypatch.setattr(caption_writer, "NEIGHBOURS", 3)
    both, few = (infer(WriterHandler(place(pack), count, 4, True), batch) for count in (5, 2))
    embedder = pack.joint_embedding.open(pack, CPU)
    writer = RankedWriter(pack.caption_writer.open(pack, CPU), embedder)
    photos = embedder.embed_photos(torch.from_numpy(np.stack(batch)))  # [8, J]
    consensus = Consensus(open_index(pack, embedder).captions)
    mixed = agreed = False
    for photo, near, own, merged, two in zip(photos, nearest, written, both, few, strict=True):
        texts = [text for text, _ in merged]
        similarities = dict([*own, *near])
        alike = photo.float().expand(len(similarities), -1)  # [K, J]
        costs = dict(zip(similarities, writer.writer.costs(alike, list(similarities)), strict=True))
        agreement = consensus.among([text for text, _ in near[:3]])
        alone = {text: 0.15 * costs[text] - similarities[text] for text in similarities}
        ranked = sorted(alone, key=lambda text: alone[text] - 0.8 * agreement(text))
        assert texts == ranked[:5] and len(set(texts)) == len(texts)
        agreed = agreed or texts != sorted(alone, key=lambda text: alone[text])[:5]
        assert [score for _, score in merged] == pytest.approx([similarities[text] for text in texts], abs=1e-6)
        assert [text for text, _ in two] == texts[:2]
        mixed = mixed or bool(set(texts) & dict(own).keys() and set(texts) & dict(near).keys())
    assert mixed and agreed


def test_each_caption_comes_once_and_the_first_of_equals_first(pack: Pack) -> None:
    embedder = pack.joint_embedding.open(pack, CPU)
    writer = RankedWriter(GruWriter(Chain(), PackVocabulary(WORDS, 7), CPU), embedder)  # type: ignore[arg-type]
    photos = torch.ones(3, 2, dtype=torch.float64)  # [3, J]
    matches = [("cats", 0.5), ("a dog", 0.4), ("cats", 0.9)]
    ranked = writer.rank(photos, [matches, [], matches[1:]], 5)
    assert ranked == [[("cats", 0.5), ("a dog", 0.4)], [], [("cats", 0.9), ("a dog", 0.4)]]
    assert writer.rank(photos[:1], [[*matches, ("cats", 0.0)]], 1) == [[("cats", 0.5)]]


def test_costs_that_are_known_are_not_computed_again(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = RankedWriter(GruWriter(Chain(), PackVocabulary(WORDS, 7), CPU), pack.joint_embedding.open(pack, CPU))  # type: ignore[arg-type]
    costed: list[str] = []
    compute = writer.writer.costs

    def count(photos: torch.Tensor, texts: list[str]) -> list[float]:
        costed.extend(texts)
        return compute(photos, texts)

    monkeypatch.setattr(writer.writer, "costs", count)
    costs: list[dict[str, float]] = [{"cats": 100.0}, {}]
    photos = torch.ones(2, 2, dtype=torch.float64)  # [2, J]
    ranked = writer.rank(photos, [[("cats", 0.9), ("a dog", 0.1)]] * 2, 1, costs=costs)
    assert [row[0][0] for row in ranked] == ["a dog", "cats"]
    assert costed == ["a dog", "cats", "a dog"] and [sorted(row) for row in costs] == [["a dog", "cats"]] * 2


def test_no_caption_bank_is_needed_to_write(tiny_pack: Any, place: Place) -> None:
    def edit(writer: PackWriter) -> None:
        add_writer(tiny_pack)(writer)
        del writer.components["captions"]

    pack = tiny_pack("bare", edit)
    assert infer(WriterHandler(place(pack), 5, 5, False), features(1))[0]
    with pytest.raises(PackError, match="has no captions"):
        infer(WriterHandler(place(pack), 5, 5, True), features(1))


def test_a_writer_that_says_nothing_is_that_photos_error(tiny_pack: Any, place: Place) -> None:
    pack = tiny_pack("mute", add_writer(tiny_pack, ends=1e6))
    for found in infer(WriterHandler(place(pack), 5, 5, False), features(2)):
        assert isinstance(found, ValueError) and "wrote no caption" in str(found)
    nearest = infer(CaptionHandler(place(pack), 5), features(2))
    for found, near in zip(infer(WriterHandler(place(pack), 5, 5, True), features(2)), nearest, strict=True):
        assert {text for text, _ in found} == {text for text, _ in near}


def test_a_wrong_feature_vector_is_that_photos_error(pack: Pack, place: Place) -> None:
    good = features(1)[0]
    found = infer(
        WriterHandler(place(pack), 5, 5, False), [good, np.zeros(5, np.float32), np.ones(4, np.float32), good]
    )
    assert [isinstance(one, ValueError) for one in found] == [False, True, True, False]
    assert "all zeros" in str(found[1]) and "shape (4,)" in str(found[2]) and found[0] == found[3]


def test_packs_without_a_writer_or_with_a_strange_one_are_refused(tiny_pack: Any) -> None:
    with pytest.raises(PackError, match="the pack has no caption_writer"):
        _ = tiny_pack("plain").caption_writer

    def edit(writer: PackWriter) -> None:
        add_writer(tiny_pack)(writer)
        writer.components["caption_writer"]["family"] = "bird"

    with pytest.raises(PackError, match="caption_writer: family 'bird' is unknown; it can be gru"):
        _ = tiny_pack("strange", edit).caption_writer
