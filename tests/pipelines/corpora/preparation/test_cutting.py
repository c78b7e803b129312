"""Books and captions become texts; headings, scraps and tables of numbers do not."""

from collections import Counter

import pytest

from pipelines.corpora.preparation import cutting
from pipelines.corpora.preparation.corpus_records import Part, Row, Rules, TextFile
from pipelines.corpora.preparation.cutting import (
    book_texts,
    caption_texts,
    mostly_no_letters,
    paragraphs,
    photo_texts,
    read_rows,
)

RULES = Rules(("books",), ("captions",), unit="sentence")


def test_paragraphs_end_at_blank_lines() -> None:
    assert list(paragraphs(["a\n", "b\n", " \n", "\n", "c\n", "\n"])) == ["a\nb\n", "c\n"]
    assert list(paragraphs([])) == list(paragraphs(["\n"])) == []


def test_a_paragraph_without_end_is_cut_after_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LONGEST", 5)
    assert list(paragraphs(["abc\n"] * 5)) == ["abc\nabc\n", "abc\nabc\n", "abc\n"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Oh!--No, no, no!", False),
        ("'Tis Émile's.", False),
        ("* * * *", True),
        ("12 April ........... 14", True),
        ("", False),
    ],
)
def test_texts_of_mostly_no_letters(text: str, wanted: bool) -> None:
    assert mostly_no_letters(text) is wanted


def test_books_are_cut_within_paragraphs() -> None:
    left_out: Counter[str] = Counter()
    lines = ["CHAPTER I\n", "\n", "The dog ran home at once.\n", "The cat slept on and on.\n", "\n", "Too short.\n"]
    texts = list(book_texts(lines, RULES, left_out))
    assert [(number, " ".join(words)) for number, words in texts] == [
        (1, "the dog ran home at once ."),
        (1, "the cat slept on and on ."),
    ]
    assert left_out == {"scraps": 2}


def test_a_paragraph_is_cut_by_its_own_words() -> None:
    rules = Rules(("books",), (), most=33)
    numbers = ("one", "two", "three", "four", "five", "six")
    sentences = [f"The {word} dog ran over the wide and empty field." for word in numbers]
    paragraph = " ".join(sentences * 4)
    alone = [words for _, words in book_texts([paragraph], rules, Counter())]
    later = [words for number, words in book_texts([sentences[0], "\n", paragraph], rules, Counter()) if number]
    assert alone == later and len({len(words) for words in alone}) > 1


def test_captions_have_a_form_and_a_length() -> None:
    left_out: Counter[str] = Counter()
    rules = Rules((), ("captions",), most=6)
    lines = ["A dog runs\n", "\n", " . \n", "7 8 9 a\n", "a b c d e f\n", "The cat .\n"]
    assert list(caption_texts(lines, rules, left_out)) == [(0, ["a", "dog", "runs", "."]), (5, ["the", "cat", "."])]
    assert left_out == {"scraps": 3}


def test_rows_go_to_the_kinds_of_their_splits() -> None:
    file = TextFile("a.tsv", "captions", "d", columns=("split", "caption", "image"))
    lines = ["train\ta dog\tx\n", "val\ta cat\ty\r\n", "Dev\ta cow\tz\n", "test\ta hen\tx\n", "\ta pig\n", "train\n"]
    rows = [(kind, row.caption, row.image) for kind, row in read_rows(Part(file, 0, 0, 9), lines)]
    assert rows == [
        ("captions", "a dog", "x"),
        ("dev_captions", "a cat", "y"),
        ("dev_captions", "a cow", "z"),
        ("captions", "a pig", ""),
    ]


def test_captions_of_a_photo_come_together_in_the_order_of_the_table() -> None:
    table = [
        ("y", 0, 1, "a b"),
        ("x", 1, 0, "c d"),
        ("y", 0, 0, "e f"),
        ("x", 0, 9, "g h"),
        ("", 0, 2, "i"),
        ("", 0, 3, "j"),
    ]
    rows = [Row("d", image, part, line, caption) for image, part, line, caption in table]
    for order in (rows, rows[::-1]):
        found = [(number, words[0]) for number, words in photo_texts(order, RULES, Counter())]
        assert found == [(0, "i"), (1, "j"), (2, "g"), (2, "c"), (3, "e"), (3, "a")]
    other = Row("other", "x", 0, 0, "k l")
    assert [number for number, _ in photo_texts([rows[1], other], RULES, Counter())] == [0, 1]
