"""Measures of stories, counted by hand: subjects, repeats, twins, pairs and copies."""

import pytest

from pipelines.evaluation.quotations import find_copies, words_of
from pipelines.evaluation.story_measures import Subjects, distinct_pairs, percent, repeats, told_twice
from pipelines.evaluation.wordnet import find_wordnet, open_wordnet


@pytest.fixture(scope="module")
def subjects() -> Subjects:
    return Subjects(open_wordnet(find_wordnet()))


@pytest.mark.parametrize(
    ("story", "shared"),
    [
        ("The dogs would not stop.", True),  # a form of the word
        ("A hound of his, I thought.", True),  # a hyponym
        ("He was a canine of a man.", True),  # a hypernym
        ("She walked to the lawn; the grasses were high.", True),
        ("He was on the sofa, and that was all.", False),  # `the` and `on` are no content words
        ("The cat would not stop.", False),
        ("", False),
    ],
)
def test_a_story_about_the_captions(subjects: Subjects, story: str, shared: bool) -> None:
    assert subjects.share(story, ["a dog on the grass .", "the dogs bark"]) is shared


def test_nothing_is_shared_with_captions_without_content(subjects: Subjects) -> None:
    assert not subjects.share("The dog was on the grass.", ["on the", ""])
    assert not subjects.share("The dog was on the grass.", [])


@pytest.mark.parametrize(
    ("story", "has"),
    [
        ("The rockets flew.", True),
        ("A man was in the sky.", False),  # two photos have a man, and the sky is in one caption of three
        ("The missile flew.", False),  # a related word is another word
        ("", False),
    ],
)
def test_a_story_with_the_rarest_word_on_which_captions_agree(subjects: Subjects, story: str, has: bool) -> None:
    captions = [["a man and a rocket", "a rocket , a man", "the man in the sky"], ["a man", "two men", "the dog"]]
    assert subjects.rarest([story, "The man ran."], captions) == [has, True]


def test_photos_whose_captions_do_not_agree_are_not_counted(subjects: Subjects) -> None:
    captions = [["a dog", "a cat"], ["dogs bark", "a dog"], []]
    assert subjects.rarest(["The dog.", "A dog.", "A dog."], captions) == [True]
    assert subjects.rarest([], []) == []


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ("a b c d a b c d a b c d", True),
        ("a b c d a b c d", False),
        ("a b c x a b c y a b c z", False),
        ("a a a a a a", True),  # overlaps count
        ("a a a a a", False),
        ("", False),
    ],
)
def test_four_words_three_times(text: str, repeated: bool) -> None:
    assert repeats(text.split()) is repeated


def test_shares_by_hand() -> None:
    assert told_twice(["a", "b", "a", "A"]) == [True, False, True, False]
    assert percent([True, False, True, False]) == 50 and percent([]) is None
    assert distinct_pairs([["a", "b", "a", "b"], ["a", "b"]]) == 2 / 4  # ab, ba, ab, and ab
    assert distinct_pairs([["a"], []]) is None


def test_words_of_a_book() -> None:
    assert words_of('"Don\u2019t," said Mr. O\'Neil--"it\'s _mine_ 2!"') == (
        ["don't", "said", "mr", "o'neil", "it's", "mine", "2"]
    )


BOOKS = ["He came in.\nI do not know what\nyou mean, she said.", "It was the best of times, and the worst."]


@pytest.mark.parametrize(
    ("story", "copied"),
    [
        ("A dog ran. i do not know WHAT you mean!", True),  # over the book's line breaks
        ("I do not know what you thought.", False),  # six words of it are there, not the seventh
        ("I do not know what.", False),  # too short to count
        ("It was the best of times.", True),  # a part of the book's sentence
        ("It was the best. Of times and the worst.", False),  # no sentence of its own has six words of the book
        ("You mean she said it was the best of times.", False),  # not across two books
    ],
)
def test_copies_of_a_book(story: str, copied: bool) -> None:
    assert find_copies([story, "Nothing of that is in any book."], BOOKS) == [copied, False]


def test_a_sentence_that_two_stories_share_counts_for_both() -> None:
    stories = ["It was the best of times.", "No.", "Oh! It was the best of times."]
    assert find_copies(stories, BOOKS) == [True, False, True]
    assert find_copies(stories, []) == [False, False, False]
    assert find_copies([], BOOKS) == []
