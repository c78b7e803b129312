"""Books as sentences, pairs and passages."""

from argparse import Namespace
from pathlib import Path

import pytest

from configs.schema import ConfigError
from pipelines.evaluation.book_texts import Book, read_books, runs, some

BOOK = """CHAPTER ONE

"Go!" she said. He went.

Contents, 3 pages

Mr. Bruff _smiled_ at her.
Why not?
"""


def sentences(*sizes: int) -> list[list[str]]:
    return [[f"{place}"] * size for place, size in enumerate(sizes)]


def test_books_are_read_by_paragraph_and_sentence(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("THE END\n")
    (tmp_path / "a.txt").write_text(BOOK)
    (book,) = read_books(Namespace(texts=[f"{tmp_path}/*.txt", f"{tmp_path}/a.txt"]))
    assert book.name.endswith("a.txt")
    assert [[" ".join(words) for words in part] for part in book.paragraphs] == [
        ["`` Go ! ''", "she said .", "He went ."],
        ["Mr. Bruff smiled at her .", "Why not ?"],
    ]


@pytest.mark.parametrize(("content", "part"), [(None, "no file matches"), ("CHAPTER ONE\n", "no paragraph in 1 files")])
def test_nothing_to_read(tmp_path: Path, content: str | None, part: str) -> None:
    if content:
        (tmp_path / "a.txt").write_text(content)
    with pytest.raises(ConfigError, match=part):
        read_books(Namespace(texts=[f"{tmp_path}/*.txt"]))


def test_passages_are_runs_of_whole_sentences_of_one_paragraph() -> None:
    assert [len(run) for run in runs(sentences(20, 30, 10, 1, 5), most=60)] == [60, 6]
    assert [len(run) for run in runs(sentences(61, 60, 61), most=60)] == [60]
    assert list(runs(sentences(2, 9, 3), most=8)) == [["0"] * 2, ["2"] * 3]  # no run reaches over what is left out
    assert Book("", [sentences(2, 3), sentences(4)]).passages() == [["0", "0", "1", "1", "1"], ["0"] * 4]


def test_pairs_follow_each_other_in_a_paragraph() -> None:
    book = Book("", [sentences(1, 2, 3), sentences(4), sentences(5, 61, 6)])
    assert [(len(first), len(after)) for first, after in book.pairs()] == [(1, 2), (2, 3)]
    assert [len(words) for words in book.sentences(2, 5)] == [2, 3, 4, 5]


def test_some_are_the_same_ones_in_their_order() -> None:
    items = list(range(100))
    chosen = some(items, 10)
    assert len(chosen) == 10 and chosen == sorted(set(chosen)) and chosen != items[:10] and chosen == some(items, 10)
    assert some(items, 200) == items
