"""Passages and stories: lines of lyrics, the best of a search, and equal stories in any batch."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from model_handlers.handler import Placement
from model_handlers.nets.detokeniser import detokenise
from model_handlers.nets.front import Hypothesis
from model_handlers.nets.search import beam_search, best_hypothesis
from model_handlers.nets.search_rules import Marks, SearchRules, ruled_search
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.pack_writer import PackWriter
from model_handlers.stories import Passage, StoryHandler, lyric_lines

CPU = torch.device("cpu")
Place = Callable[..., Placement]


def ending(bias: float) -> Callable[[PackWriter], None]:
    """Returns an edit of the decoder that adds to the logit of the end."""

    def edit(writer: PackWriter) -> None:
        tensors = load_file(writer.root / "sea.safetensors")
        tensors["logits.bias"][0] += bias
        writer.add_tensors("sea.safetensors", tensors)

    return edit


def contexts(count: int) -> list[np.ndarray]:
    return [row.astype(np.float32) for row in np.random.default_rng(3).normal(size=(count, 7))]


@pytest.mark.parametrize(
    ("passage", "lines"),
    [
        ("the sea , the sea .", ["The sea", "The sea."]),
        (", the sea", ["The sea"]),  # the original crashed on a comma first or last
        ("the sea ,", ["The sea"]),
        ("the sea , , the sea", ["The sea", "", "The sea"]),
        (", ,", [""]),
        (",", []),
        ("", []),
        ("the sea", ["The sea"]),
    ],
)
def test_lines_of_lyrics(passage: str, lines: list[str]) -> None:
    assert lyric_lines(passage) == lines


def test_stories_are_the_best_of_their_searches(tiny_pack: Callable[..., Pack], place: Place) -> None:
    pack, batch = tiny_pack("ends", ending(1.0)), contexts(6)
    handler = StoryHandler(place(pack), "sea", 4)
    passages = handler.run_inference(batch, handler.load_model())
    net = pack.decoder("sea").load(pack, CPU)
    words = {2: "the", 3: "sea", 4: ",", 5: "."}
    for passage, context in zip(passages, batch, strict=True):
        (hypotheses,) = beam_search(net.step, net.initial_state(torch.from_numpy(context)[None]), 4)
        best = best_hypothesis(hypotheses)
        assert best is not None and isinstance(passage, Passage)
        text = " ".join(words[number] for number in best.words[:-1])
        assert (passage.passage, passage.story, passage.words) == (text, detokenise(text), len(best.words) - 1)
        assert passage.cost == pytest.approx(best.cost, rel=1e-5)
    assert len({passage.passage for passage in passages}) > 1


def test_rules_are_those_of_the_vocabulary(tiny_pack: Callable[..., Pack], place: Place) -> None:
    """Word 5 is the full stop: stories end after it, and where none came, all of it is told."""
    handler = StoryHandler(place(tiny_pack("ends", ending(1.0))), "sea", 4, rules=SearchRules(min_words=3, max_words=9))
    passages = handler.run_inference(contexts(6), handler.load_model())
    assert all(isinstance(passage, Passage) and passage.words <= 9 for passage in passages)
    ended = [passage for passage in passages if passage.words < 9]
    assert ended and all(passage.passage.endswith(".") for passage in ended)


def test_contrast_takes_a_pair_of_vectors(tiny_pack: Callable[..., Pack], place: Place) -> None:
    pack, rules = tiny_pack("ends", ending(1.0)), SearchRules(max_words=8, contrast=1.0)
    handler = StoryHandler(place(pack), "sea", 4, rules=rules)
    pairs = list(np.stack([contexts(6), contexts(7)[1:]], axis=1))  # 6 x [2, 7]
    told = handler.run_inference(pairs, handler.load_model())
    plain = StoryHandler(place(pack), "sea", 4, rules=SearchRules(max_words=8))
    untold = plain.run_inference(contexts(6), plain.load_model())
    assert [one.passage for one in told] != [one.passage for one in untold]
    net = pack.decoder("sea").load(pack, CPU)
    vector, own = (torch.from_numpy(pairs[2][row])[None] for row in (0, 1))  # [1, 7], [1, 7]
    marks = Marks(frozenset([5]), frozenset())
    (hypotheses,) = ruled_search(net.step, net.initial_state(vector), 4, rules, marks, net.initial_state(own))
    best = best_hypothesis(hypotheses)
    assert best is not None and told[2].words == len(best.words) - 1
    assert told[2].cost == pytest.approx(best.cost, rel=1e-5)
    pairs[1] = contexts(1)[0]
    pairs[3][1, 0] = np.nan
    second, fourth = (handler.run_inference(pairs, handler.load_model())[one] for one in (1, 3))
    assert "a shifted vector and its style vector, not an array of shape (7,)" in str(second)
    assert "style vector has values that are not finite" in str(fourth)


@pytest.mark.parametrize("rules", [SearchRules(), SearchRules(max_words=8, contrast=0.5)])
def test_all_that_a_search_found_is_ranked(tiny_pack: Callable[..., Pack], place: Place, rules: SearchRules) -> None:
    handler = StoryHandler(place(tiny_pack("ends", ending(1.0))), "sea", 4, rules=rules)
    batch = list(np.stack([contexts(6), contexts(7)[1:]], axis=1)) if rules.contrast else contexts(6)
    for item, told in zip(batch, handler.run_inference(batch, handler.load_model()), strict=True):
        passages, ranks = zip(*handler.ranked(item), strict=True)
        assert passages[0].passage == told.passage and passages[0].cost == pytest.approx(told.cost, rel=1e-5)
        assert list(ranks) == sorted(ranks) and 1 < len(set(passages)) == len(passages) <= 4
        assert rules.contrast or list(ranks) == [passage.cost for passage in passages]


def test_any_batch_gives_each_photo_what_it_gets_alone(tiny_pack: Callable[..., Pack], place: Place) -> None:
    batch = contexts(6)
    handler = StoryHandler(place(tiny_pack("ends", ending(1.0))), "sea", 3)
    loaded = handler.load_model()
    alone = [handler.run_inference([context], loaded)[0] for context in batch]
    for order in ([0, 1, 2, 3, 4, 5], [4, 1, 1, 5]):
        for where, passage in zip(order, handler.run_inference([batch[one] for one in order], loaded), strict=True):
            assert passage.passage == alone[where].passage and passage.words == alone[where].words
            assert passage.cost == pytest.approx(alone[where].cost, rel=1e-5)


def test_an_empty_story_is_that_photos_error(tiny_pack: Callable[..., Pack], place: Place) -> None:
    """Beam width 1 and an immediate end, which the original answered with a ValueError (SPEC section 10)."""
    handler = StoryHandler(place(tiny_pack("mute", ending(100.0))), "sea", 1)
    results = handler.run_inference(contexts(3), handler.load_model())
    assert [str(result) for result in results] == [
        "the decoder ended at once and the beam has no other passage; try a wider beam"
    ] * 3
    assert all(isinstance(result, ValueError) for result in results)
    wider = StoryHandler(place(tiny_pack("wider", ending(20.0))), "sea", 2)
    assert all(passage.words == 1 for passage in wider.run_inference(contexts(3), wider.load_model()))


def test_an_unfinished_passage_loses_its_last_word(tiny_pack: Callable[..., Pack], place: Place) -> None:
    handler = StoryHandler(place(tiny_pack()), "sea", 2)
    model = handler.load_model().get()
    told = handler.tell([Hypothesis((2, 3, 4), 1.5), Hypothesis((3, 0), 2.0)], model)
    assert told == Passage("the sea", "The sea", 1.5, 2)


def test_lyrics_are_lines(tiny_pack: Callable[..., Pack], place: Place) -> None:
    handler = StoryHandler(place(tiny_pack()), "sea", 2, lyric=True)
    told = handler.tell([Hypothesis((4, 2, 3, 4, 2, 3, 5, 0), 1.0)], handler.load_model().get())
    assert told == Passage(", the sea , the sea .", "The sea\nThe sea.", 1.0, 7)


def test_an_id_without_a_word_is_told(tiny_pack: Callable[..., Pack], place: Place) -> None:
    """A vocabulary may be shorter than the decoder's output; `dropped` has id 9 of 6."""
    handler = StoryHandler(place(tiny_pack()), "sea", 2)
    with pytest.raises(ValueError, match="the decoder chose id 9, which is not in its vocabulary"):
        handler.tell([Hypothesis((2, 9, 0), 1.0)], handler.load_model().get())


def test_wrong_sentence_vectors_are_that_photos_error(tiny_pack: Callable[..., Pack], place: Place) -> None:
    batch = contexts(4)
    batch[1] = np.full(7, np.nan, np.float32)
    batch[3] = np.zeros(6, np.float32)
    handler = StoryHandler(place(tiny_pack("ends", ending(1.0))), "sea", 2)
    first, second, third, fourth = handler.run_inference(batch, handler.load_model())
    assert isinstance(first, Passage) and isinstance(third, Passage)
    assert "shifted sentence vector has values that are not finite" in str(second)
    assert "shifted sentence vector has shape (6,), the pack needs (7,)" in str(fourth)


def test_a_decoder_that_is_not_there_ends_the_run(tiny_pack: Callable[..., Pack], place: Place) -> None:
    handler = StoryHandler(place(tiny_pack()), "romance", 2)
    with pytest.raises(PackError, match="no decoder 'romance'; the pack has sea"):
        handler.run_inference(contexts(1), handler.load_model())


def test_decoders_of_a_pack_are_models_of_their_own(tiny_pack: Callable[..., Pack], place: Place) -> None:
    def edit(writer: PackWriter) -> None:
        ending(1.0)(writer)
        entry = writer.components["decoders"]["sea"]
        words = [["THE", 2], ["SEA", 3], [";", 4], ["!", 5]]
        writer.components["decoders"]["loud"] = {**entry, "vocabulary": writer.add_json("loud.json", words)}

    where = place(tiny_pack("two", edit))
    sea, loud = StoryHandler(where, "sea", 2), StoryHandler(where, "loud", 2)
    (quiet,), (shouted,) = (each.run_inference(contexts(1), each.load_model()) for each in (sea, loud))
    assert shouted.passage == quiet.passage.upper().replace(",", ";").replace(".", "!") != quiet.passage
