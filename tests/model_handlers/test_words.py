"""Vocabularies: texts to ids and back."""

import pytest

from model_handlers.words import PackVocabulary, split_words

PAIRS = [["a", 2], ["A", 3], ["dog", 4], ["'s", 5], ["caf\udce9", 6], ["motioning", 7], ["ritz", 8]]


def test_words_are_split_at_ascii_white_space_alone() -> None:
    text = " a \tdog\n\x0b\x0c\rcaf\u00e9\x85x\xa0y\u2028z\x1cw  "
    assert split_words(text) == ["a", "dog", "caf\u00e9\x85x\xa0y\u2028z\x1cw"]
    assert split_words(" \n") == split_words("") == []


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("A dog a", [3, 4, 2, 0]),
        ("Dog", [1, 0]),  # case is kept
        ("a cat", [2, 1, 0]),
        ("motioning ritz", [1, 1, 0]),  # ids at or above n_words
        ("caf\udce9", [6, 0]),
        ("<eos> UNK", [1, 1, 0]),
        ("", [0]),
        ("dog's", [1, 0]),  # tokenised already
    ],
)
def test_ids_of_texts(text: str, ids: list[int]) -> None:
    assert PackVocabulary(PAIRS, 7).encode(text) == ids


def test_words_can_be_looked_up_in_lower_case() -> None:
    assert PackVocabulary(PAIRS, 7, lower=True).encode("A DOG") == [2, 4, 0]


def test_texts_can_be_tokenised_first() -> None:
    assert PackVocabulary(PAIRS, 7, tokenised=False).encode("a dog's") == [2, 4, 5, 0]


def test_words_of_ids() -> None:
    assert PackVocabulary(PAIRS, 7).decode([3, 4, 1, 0, 2]) == "A dog UNK <eos> a"
    assert PackVocabulary(PAIRS, 7).decode([]) == ""


def test_the_two_ids_without_words_of_their_own_cannot_be_taken() -> None:
    assert PackVocabulary([["x", 0], ["y", 1]], 7).decode([0, 1]) == "<eos> UNK"


@pytest.mark.parametrize("number", [7, 9, -1])
def test_an_id_without_a_word_is_told(number: int) -> None:
    with pytest.raises(ValueError, match=f"the decoder chose id {number}, which is not in its vocabulary"):
        PackVocabulary(PAIRS, 7).decode([2, number])


def test_ids_of_the_words_that_are_known() -> None:
    assert PackVocabulary(PAIRS, 7).ids(["dog", "a", "unheard"]) == frozenset([2, 4])
