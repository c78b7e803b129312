"""Training texts: captions, sentences, passages, vocabulary, and the rules of the caption bank."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipelines.corpora.texts import (
    Vocabulary,
    book_paragraphs,
    normalise_caption,
    padded,
    passages_of,
    split_sentences,
)
from pipelines.training.data.passages import book_source, cached, caption_source, read_cached, swapped
from pipelines.training.recipes.writer import choose_captions, is_fluent


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (" a couple of zebras are standing field", "a couple of zebras are standing field ."),
        ('" Cafe Express " sign covered in graffiti.', "cafe express sign covered in graffiti ."),
        ("A dog's ball .", "a dog 's ball ."),
    ],
)
def test_captions_have_one_form(raw: str, wanted: str) -> None:
    assert normalise_caption(raw) == wanted


def test_captions_can_keep_their_case() -> None:
    assert normalise_caption("A Dog of NASA", lower=False) == "A Dog of NASA ."


def test_paragraphs_leave_headings_out_and_keep_case() -> None:
    text = 'CHAPTER I\n\n"You are late," said Mr. Bruff,\nand he _smiled_ at the poor girl.\n\nTo be continued\n'
    assert list(book_paragraphs(text)) == ["`` You are late , '' said Mr. Bruff , and he smiled at the poor girl ."]


def test_sentences_end_after_marks_and_closing_quotes() -> None:
    text = "`` Go ! '' she said . He went . And"
    tokens = text.split()
    found = [" ".join(sentence) for sentence in split_sentences(tokens)]
    assert found == ["`` Go ! ''", "she said .", "He went .", "And"]


def test_passages_are_whole_sentences_within_the_limits() -> None:
    paragraph = ("one two three . " * 20 + "long " * 30 + ". four five .").split()
    passages = list(passages_of(paragraph, 5, 12, np.random.default_rng(0)))
    assert passages and all(5 <= len(passage) <= 12 and passage[-1] == "." for passage in passages)
    assert all("long" not in passage for passage in passages)


def test_the_shortest_passages_are_sentences_and_short_ones_join_the_next() -> None:
    text = "one two . three . four five six seven . eight ."
    found = [" ".join(passage) for passage in passages_of(text.split(), 3, 9, None)]
    assert found == ["one two .", "three . four five six seven ."]


def test_vocabulary_ranks_words_and_knows_no_others() -> None:
    vocabulary = Vocabulary.of_counts(Counter({"a": 5, "dog": 3, "cat": 3, "rare": 1}), size=5)
    assert vocabulary.words == ["a", "cat", "dog"]
    assert vocabulary.encode("a rare dog") == [2, 1, 4]
    assert vocabulary.decode([2, 4, 0, 3]) == "a dog"


def test_sources_survive_the_disk(tmp_path: Path) -> None:
    vocabulary = Vocabulary(["she", "ran", "."])
    books = [["She ran . She ran . she ran ran ."]]
    source = book_source(books, vocabulary, 3, 4, unknown=0.0)
    photos = caption_source(["she ran .", "ran .", "she ."], vocabulary, [[0, 1, 2]])
    cached(tmp_path / "texts.npz", {"books": source, "photos": photos})
    again = read_cached(tmp_path / "texts.npz")
    assert [text.tolist() for text in again["books"].texts] == [[2, 3, 4], [2, 3, 4], [2, 3, 3, 4]]
    assert again["books"].neighbours.tolist() == [1, 2, -1]
    assert again["photos"].neighbours.tolist() == [1, 2, 0]
    ids, lengths = padded([again["photos"].texts[0], again["photos"].texts[1]])
    assert ids.tolist() == [[2, 3, 4, 0], [3, 4, 0, 0]] and lengths.tolist() == [4, 3]


def test_a_thing_that_captions_hardly_name_takes_the_place_of_one_like_it() -> None:
    captions = ["a plane stands on a runway .", "a dog runs .", "a tower at night .", "a jet and a plane fly ."]
    made = ["a rocket stands on a runway .", "a rocket at night ."]
    assert swapped([*captions, "a plane " + "and a bird " * 4 + "."]) == made, "one thing, in a short caption"
    assert swapped(captions, most=1) == made[:1]


@pytest.mark.parametrize(
    ("caption", "fluent"),
    [
        ("a man rides a horse on the beach .", True),
        ("a man rides a horse on the", False),
        ("a man rides a horse on the .", False),
        ("a man man rides on the beach .", False),
        ("people and other people on the beach .", False),
        ("two women look at the sky with clouds in the sky .", False),
        ("an rocket flies through the evening sky .", False),
        ("a old man rides a horse .", False),
        ("a one armed man sees an hour glass in a uniform .", True),
        ("a cat sits on top of two cats .", False),
        ("a man and a woman sit on a bench in a park and on the grass .", True),
        ("a man in a no. 7 shirt runs .", False),
        ("a dog runs .", False),
    ],
)
def test_fluent_captions(caption: str, fluent: bool) -> None:
    assert is_fluent(caption) == fluent


def test_the_bank_holds_nothing_of_the_data_and_no_subject_too_often() -> None:
    fresh = [(f"a man rides a horse past {place} trees .", 1.0) for place in "abcdefgh"]
    copied = [("the dog runs over the wet sand .", 0.1), ("a cat sleeps on a red chair .", 0.2)]
    candidates = [*copied, *fresh, ("a girl sings in the old church .", 1.1), ("a boy sings a very odd thing .", 9.0)]
    chosen = choose_captions(candidates, frozenset({"a dog runs over the wet sand ."}), 100, 1.7, 2)
    assert chosen == [copied[1][0], *(text for text, _ in fresh[:2]), "a girl sings in the old church ."]
