"""Content words."""

from pipelines.evaluation.content_words import FUNCTION_WORDS, content_words, shared_content


def test_content_words_are_of_letters_and_carry_meaning() -> None:
    text = "`` The well-known dog 's -- 3 DOGS , ca n't run . ''"
    assert content_words(text.split()) == ["well-known", "dog", "dogs", "run"]


def test_a_word_is_found_again_as_often_as_it_is_there() -> None:
    text, other = "the dog saw a dog and a cat .", "A Dog with one cat"
    assert shared_content(text.split(), other.split()) == (2, 4)
    assert shared_content(["the", "."], ["dog"]) == (0, 0)


def test_function_words_are_lower_case_words() -> None:
    assert 150 <= len(FUNCTION_WORDS) <= 250
    assert all(word.isalpha() and word.islower() for word in FUNCTION_WORDS)
