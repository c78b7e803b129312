"""The readings of sentence vectors: their texts, their scores by hand, and the command on a tiny pack."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from configs.schema import ConfigError
from model_handlers.handler import Placement
from model_handlers.pack import Pack
from model_handlers.sentences import SentenceHandler
from pipelines.evaluate import main
from pipelines.evaluation.book_texts import Book
from pipelines.evaluation.readings import (
    CHOICES,
    Pairs,
    draw_pairs,
    draw_questions,
    halves,
    length_labels,
    nearest_choice,
    next_sentence,
    same_photo,
    without_end,
)
from pipelines.evaluation.sentences_task import WordMeans


def numbered(book: str, count: int = 60) -> Book:
    """Returns a book whose every sentence is another one."""
    return Book(book, [[[book, f"{place}", "?" if place % 2 else "."] for place in range(count)]])


def test_each_sentence_is_asked_with_others_of_its_book() -> None:
    pairs = draw_pairs([numbered("a"), numbered("b")], 100)
    assert len(pairs.firsts) == 100 and len(set(pairs.texts)) == len(pairs.texts)
    for first, choices in zip(pairs.firsts, pairs.choices, strict=True):
        book, number, _ = pairs.texts[first].split()
        texts = [pairs.texts[place] for place in choices]
        assert texts[0].split()[:2] == [book, f"{int(number) + 1}"]
        assert len(set(texts)) == CHOICES and pairs.texts[first] not in texts
        assert {text.split()[0] for text in texts} == {book}


def test_a_book_that_says_the_same_again_and_again_is_left_out() -> None:
    again = Book("c", [[["c", "."]] * 50])
    pairs = draw_pairs([numbered("a"), again], 1000)
    assert {text.split()[0] for text in pairs.texts} == {"a"}
    with pytest.raises(ConfigError, match="0 pairs of sentences in c; 30 are the least"):
        draw_pairs([again], 1000)


def pairs_of(count: int) -> Pairs:
    """Returns pairs in which text i is followed by text i + count, and offered with those after it."""
    choices = (np.arange(count)[:, None] + np.arange(CHOICES)) % count + count
    return Pairs([f"{place}" for place in range(2 * count)], np.zeros(2 * count), np.arange(count), choices)


@pytest.mark.parametrize("canonical", [False, True])
def test_the_next_sentence_is_found_by_a_map_that_must_be_learned(canonical: bool) -> None:
    draw = np.random.default_rng(0)
    turn = np.linalg.qr(draw.normal(size=(8, 8)))[0]
    pairs, halves_ = [pairs_of(200), pairs_of(100)], []
    for half in pairs:
        firsts = draw.normal(size=(len(half.firsts), 8))
        halves_.append(np.concatenate([firsts, firsts @ turn]) + 5)
    assert next_sentence(pairs, halves_, canonical) == 100
    untold = [np.random.default_rng(1).normal(size=vectors.shape) for vectors in halves_]
    assert next_sentence(pairs, untold, canonical) < 25
    assert next_sentence(pairs, [np.ones_like(vectors) for vectors in halves_], canonical) == 0  # ties are no hits


def test_nearest_choice_by_hand() -> None:
    vectors = np.asarray([[1.0, 0.1], [0.0, 1.0], [1.0, 0.0], [0.0, 9.0], [-1.0, 0.0]])
    choices = np.asarray([[2, 3, 4], [2, 3, 4]])
    assert nearest_choice((np.copy, np.copy), vectors, np.asarray([0, 1]), choices) == 50


def test_lengths_fall_into_bins_of_like_numbers() -> None:
    halves_ = [Pairs([], sizes, np.zeros(0), np.zeros(0)) for sizes in (np.arange(60), np.asarray([0, 9, 10, 59, 99]))]
    fitted, judged = length_labels(halves_)
    assert np.bincount(fitted).tolist() == [10] * 6
    assert judged.tolist() == [0, 0, 1, 5, 5]


def test_questions_and_as_many_others_lose_their_end() -> None:
    assert without_end(["``", "Why", "?", "''"]) == (["``", "Why"], ["?", "''"])
    assert without_end(["No"]) == (["No"], []) and without_end(["?"]) == ([], ["?"])
    marked = draw_questions([numbered("a", 100)], 80)
    assert marked.labels.tolist() == [0] * 40 + [1] * 40
    for text, label in zip(marked.texts, marked.labels, strict=True):
        assert text.split() == ["a", f"{int(text.split()[1])}"] and int(text.split()[1]) % 2 == label
    with pytest.raises(ConfigError, match="5 questions, or other sentences, in a"):
        draw_questions([numbered("a", 10)], 80)


def test_halves_share_no_book_or_no_paragraph() -> None:
    books = [numbered(name) for name in "abc"]
    assert [[book.name for book in half] for half in halves(books)] == [["a", "c"], ["b"]]
    one = Book("a", [[["x"]], [["y"]], [["z"]]])
    assert [half[0].paragraphs for half in halves([one])] == [[[["x"]]], [[["y"]], [["z"]]]]


def test_same_photo_by_hand() -> None:
    angles = np.radians([0, 10, 30, 35, 80])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.asarray([[1], [2], [3], [4], [5]])
    groups = np.asarray([0, 0, 1, 2, 1])
    assert same_photo(groups, vectors) == {"R@1": 40, "R@10": 80}  # the fourth is alone


def test_means_of_words_are_of_the_encoders_tables(story_pack: Pack) -> None:
    encoder = SentenceHandler(Placement(story_pack.location, story_pack.digest, "cpu")).load_model().get()
    rows = encoder.rows("A dog on a street .")
    assert len(rows) == 6
    tables = [np.asarray(story_pack.array(f"{part}_table.npy"), np.float64) for part in ("uni", "bi")]
    wanted = np.concatenate([table[rows].sum(axis=0) / 6 for table in tables])
    found = WordMeans(story_pack, encoder)(["A dog on a street .", "dog"])
    np.testing.assert_allclose(found[0], wanted, atol=1e-6)
    assert found.shape == (2, 20)


def test_the_command(story_pack: Pack, evaluate: Any, books: Callable[..., str], photo_data: Any) -> None:
    captions = photo_data(dev=3, train=2).flags[1]
    found = evaluate("sentences", f"--pack={story_pack.location}", books(), captions, "--limit=200")
    assert list(found) == ["next_sentence", "length", "question", "same_photo"]
    for name in ("length", "question"):
        assert list(found[name]) == ["accuracy", "mean_of_words"]
    assert {"accuracy", "mean_of_words"} < set(found["next_sentence"])
    assert set(found["same_photo"]) == {"R@1", "R@10", "mean_of_words_R@1", "mean_of_words_R@10"}
    assert all(0 <= value <= 100 for part in found.values() for value in part.values())
    assert found["length"]["accuracy"] > 25  # chance is a sixth, and even random weights count words a little


def test_all_that_is_wrong_comes_at_once(story_pack: Pack, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [f"--pack={story_pack.location}", "--texts=gone", "--captions=gone.tsv", "--json"]
    assert main(["sentences", *flags]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "--texts gone: no file" in printed.err and "--captions gone.tsv" in printed.err
