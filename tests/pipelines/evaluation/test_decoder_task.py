"""Perplexity by hand on small decoders, wrong vectors, unknown words, and the command on a tiny pack."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model_handlers.nets.story_decoder import StoryDecoder
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines.evaluate import main
from pipelines.evaluation.book_texts import Book
from pipelines.evaluation.decoder_task import draw_passages, left_out, other_places, pieces_by_length, text_costs
from pipelines.evaluation.own_vectors import all_lower


def zeroed(net: StoryDecoder) -> StoryDecoder:
    """Returns the decoder with nothing but zeros: all words are equally likely."""
    for value in net.parameters():
        value.detach().zero_()
    return net.requires_grad_(False)


def test_costs_of_a_decoder_that_knows_how_often_words_come() -> None:
    net = zeroed(StoryDecoder(2, 2, 3, 4, deep_output=True))
    shares = torch.tensor([0.5, 0.25, 0.125, 0.125])
    net.logits.bias.copy_(shares.log())
    costs = text_costs(net, np.ones((2, 2), np.float32), [[2, 1, 0], [0]])
    np.testing.assert_allclose(costs, np.log(2) * np.asarray([3 + 2 + 1, 1]), rtol=1e-6)


def test_costs_of_a_decoder_that_minds_its_vector() -> None:
    net = zeroed(StoryDecoder(2, 2, 2, 4, deep_output=False))
    net.state.weight.copy_(20 * torch.eye(2))
    net.logits.weight[2:] = 8 * torch.eye(2)  # the state, halved at each step, raises one word each
    first = np.log(np.exp([4, 0, 0, 0]).sum()) - np.asarray([4, 0])
    second = np.log(np.exp([2, 0, 0, 0]).sum())
    costs = text_costs(net, np.eye(2, dtype=np.float32)[[0, 1, 1]], [[2, 0], [2, 0], [3, 0]])
    np.testing.assert_allclose(costs, [first[0] + second, first[1] + second, first[0] + second], rtol=1e-6)


def test_texts_cost_what_the_decoder_pays_step_by_step(story_pack: Pack) -> None:
    net = story_pack.decoder("romance").load(story_pack, torch.device("cpu"))
    draw = np.random.default_rng(0)
    texts = [[*draw.integers(1, 60, size).tolist(), 0] for size in (9, 1, 0, 5, 5, 30)]
    vectors = draw.normal(size=(len(texts), 48)).astype(np.float32)
    wanted = []
    for vector, text in zip(vectors, texts, strict=True):
        state, total = net.initial_state(torch.from_numpy(vector[None])), 0.0
        for before, word in zip([-1, *text], text, strict=False):
            logits, state = net.step(torch.tensor([before]), state)
            chances = logits.softmax(dim=1)
            total -= float(chances[0, word].double().log())
        wanted.append(total)
    np.testing.assert_allclose(text_costs(net, vectors, texts), wanted, rtol=1e-5)


def test_pieces_hold_each_text_once_and_few_words() -> None:
    lengths = np.random.default_rng(0).integers(1, 61, 300).tolist()
    pieces = list(pieces_by_length([*lengths, 500], cells=240))
    assert sorted(np.concatenate(pieces)) == list(range(301))
    assert all(len(piece) * max(lengths[place] for place in piece) <= 240 for piece in pieces[1:])
    assert pieces[0].tolist() == [300]


@pytest.mark.parametrize("count", [2, 3, 50])
def test_a_wrong_vector_is_never_the_texts_own(count: int) -> None:
    others = other_places(count)
    assert sorted(others) == list(range(count)) and (others != np.arange(count)).all()


def test_passages_come_from_all_books_up_to_the_limit() -> None:
    books = [Book(name, [[[name] * 9]] * 50) for name in "abc"]
    passages = draw_passages(books, 200)
    assert len(passages) == 20 and {text[0] for text in passages} == set("abc")
    assert len(draw_passages(books, 10**6)) == 150
    assert left_out([Book("d", [[["d"] * 61, ["d"] * 39]])]) == pytest.approx(0.61)


def test_case_is_the_vocabularys() -> None:
    assert all_lower([["dog", 2], ["I", 60]], 60)
    assert not all_lower([["dog", 2], ["I", 59]], 60)


@pytest.fixture
def even_pack(story_pack: Pack, tmp_path: Path) -> Pack:
    """Returns the golden pack with a decoder `even` to which all of its 12 words are equally likely."""
    words = ["a", "and", "the", "dog", "train", "street", ".", "?", "!", "pizza"]
    net = zeroed(StoryDecoder(48, 2, 3, 12, deep_output=True))
    writer = PackWriter(str(tmp_path / "even"), story_pack)
    entry = {"dim_context": 48, "dim_word": 2, "dim": 3, "n_words": 12, "deep_output": True, "family": "gru"}
    weights = writer.add_tensors("even.safetensors", net.state_dict())
    vocabulary = writer.add_json("even.json", [[word, place] for place, word in enumerate(words, 2)])
    writer.components["decoders"]["even"] = entry | {"weights": weights, "vocabulary": vocabulary}
    return writer.finish()


def test_the_command_on_equal_chances(even_pack: Pack, evaluate: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A dog and the train!\n\nThe man?\n\n" + "A dog " * 30 + "ran.\n")
    found = evaluate("decoder", f"--pack={even_pack.location}", "--decoder=even", f"--texts={tmp_path}/a.txt")
    assert found["perplexity"] == pytest.approx(12) and found["perplexity_wrong_vector"] == pytest.approx(12)
    assert found["unk_rate"] == pytest.approx(1 / 9)  # man; words are in lower case for this decoder
    assert found["left_out"] == pytest.approx(62 / 71)
    assert (found["case"], found["decoder"]) == ("lower", "even")
    assert (found["tokens"], found["passages"], found["books"]) == (11, 2, 1)


def test_the_command_on_the_golden_decoder(story_pack: Pack, evaluate: Any, books: Callable[..., str]) -> None:
    found = evaluate("decoder", f"--pack={story_pack.location}", books(), "--limit=500", "--decoder=romance")
    assert 500 <= found["tokens"] < 561 and 0 < found["unk_rate"] < 1
    assert 1 < found["perplexity"] != found["perplexity_wrong_vector"] > 1
    assert found["case"] == "kept"


def test_one_passage_has_no_wrong_vector(even_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("A dog.\n")
    assert main(["decoder", f"--pack={even_pack.location}", "--decoder=even", f"--texts={tmp_path}/a.txt"]) == 2
    assert "fewer than two passages" in capsys.readouterr().err


def test_the_decoder_must_be_there_and_fit(even_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decoder", f"--pack={even_pack.location}", "--decoder=gone", "--texts=none"]) == 2
    printed = capsys.readouterr().err
    assert "--decoder" in printed and "no decoder 'gone'" in printed and "--texts none: no file" in printed
    writer = PackWriter(str(tmp_path / "wide"), even_pack)
    writer.components["decoders"]["even"]["dim_context"] = 50
    wide = writer.finish()
    assert main(["decoder", f"--pack={wide.location}", "--decoder=even", "--texts=none"]) == 2
    assert "wants vectors 50 wide, the sentence encoder's are 48" in capsys.readouterr().err
