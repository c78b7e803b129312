"""The data folder: what is not there is empty, books are held out, and what was prepared must fit the data."""

from pathlib import Path

import numpy as np
import pytest

from configs.schema import ConfigError
from pipelines.training.data.corpus import Corpus

LINE = "The sea was calm and {name} sat by it all the evening ."


def write_books(root: Path, names: str) -> Corpus:
    """Returns a corpus of a book of one paragraph for each letter."""
    (root / "novels").mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / "novels" / f"{name}.txt").write_text(f"{LINE.format(name=name)}\n")
    return Corpus(root, root / "prepared")


def test_an_empty_folder_holds_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path, tmp_path / "prepared")
    assert corpus.photos == corpus.books == corpus.held_out_books == corpus.book_names == []
    assert corpus.captions("romantic") == [] and not corpus.caption_counts() and not corpus.all_captions
    with pytest.raises(FileNotFoundError) as error:
        corpus.features.sum()
    assert error.value.filename == str(tmp_path / "flickr8k" / "captions.tsv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("count", "held"),
    [(0, []), (1, []), (2, [1]), (8, [7]), (30, [29]), (59, [58]), (60, [29, 59]), (180, [29, 59, 89, 119, 149, 179])],
)
def test_one_book_in_thirty_judges(tmp_path: Path, count: int, held: list[int]) -> None:
    learned, judging = Corpus(tmp_path, tmp_path)._split_off(range(count))
    assert judging == held and learned == [place for place in range(count) if place not in held]


def test_names_and_texts_of_books_go_together(tmp_path: Path) -> None:
    write_books(tmp_path, "abc")
    (tmp_path / "novels" / "ab.txt").write_text("CONTENTS\n\nToo short.\n")  # no paragraph
    corpus = Corpus(tmp_path, tmp_path / "prepared")
    assert corpus.book_names == ["a", "ab", "b"]
    assert corpus.books == [[LINE.format(name="a")], [], [LINE.format(name="b")]]
    assert corpus.held_out_books == [[LINE.format(name="c")]]
    assert [path.name for path in corpus.held_out_files] == ["c.txt"]


def test_books_that_came_later_are_reported(tmp_path: Path) -> None:
    assert len(write_books(tmp_path, "ab").books) == 1
    with pytest.raises(ConfigError, match="novels.tok: has 2 books, but there are 3 novels; remove the file"):
        write_books(tmp_path, "c").books.sort()


def test_captions_of_photos_that_judge_are_nowhere_learned(tmp_path: Path) -> None:
    (tmp_path / "flickr8k").mkdir()
    rows = ["0.jpg\ttrain\tA dog runs .", "1.jpg\tdev\tA cat sits .", "2.jpg\textra\tA cow .", "3.jpg\ttest\tA hen ."]
    (tmp_path / "flickr8k" / "captions.tsv").write_text("\n".join(["image\tsplit\tcaption", *rows]) + "\n")
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions" / "romantic.txt").write_text("A cat sits\na dog loves\n")
    corpus = Corpus(tmp_path, tmp_path / "prepared")
    assert corpus.captions("romantic") == ["a dog loves ."]
    assert corpus.caption_counts().keys() == {"a", "dog", "runs", "loves", "cow", "."}
    assert corpus.all_captions == {"a dog runs .", "a cat sits .", "a cow .", "a hen .", "a dog loves ."}


def test_each_view_has_features_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "flickr8k").mkdir()
    (tmp_path / "flickr8k" / "captions.tsv").write_text("image\tsplit\tcaption\n0.jpg\ttrain\tA dog .\n")
    for number, name in enumerate(("features", "features_1", "features_2")):
        np.save(tmp_path / f"{name}.npy", np.full((1, 2), number))
    corpus = Corpus(tmp_path, tmp_path)
    assert [corpus.view(number).tolist() for number in (0, 1, 2)] == [[[0, 0]], [[1, 1]], [[2, 2]]]
    assert corpus.features.tolist() == [[0, 0]]
