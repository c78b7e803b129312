"""Passages that a style keeps: cut from books so that they stand alone, and chosen by what photos are about."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.corpora import story_passages
from pipelines.corpora.story_passages import choose, cut_passages, passages_to_keep, proper_names, read_books

CALM = "The sea was calm that day and the boats lay still in the little harbour below the town ."  # 19 words
GLAD = "Henry was glad of it and walked along the sand until the sun had gone down behind the hills ."  # 20 words
SPEECH = "`` You are late , '' he said , and I laughed at him for it as I always had before ."
NAMED = ["Then Henry saw Henry again .", "Of Henry nothing more was heard , and Henry slept ."]  # makes it a name


def test_names_are_written_with_a_capital() -> None:
    books = [["The old Henry saw Henry and May .", "In May the Sea was calm , the sea and the sea ."]]
    assert proper_names(books) == {"henry", "may"}
    assert proper_names([["Henry saw . Henry may", "Henry may go , may he ?"]]) == {"henry"}


def test_a_passage_is_whole_sentences_that_stand_alone() -> None:
    (passage,) = cut_passages([NAMED, [f"{SPEECH} {CALM} {GLAD}"]])
    assert " ".join(passage.words) == f"{CALM} {GLAD}".lower().replace("henry", "<protagonist>")
    assert passage.book == 1 and passage.said() == " ".join(passage.words).replace("<protagonist>", "the man")


def test_a_passage_about_a_woman_is_said_of_one() -> None:
    (passage,) = cut_passages([NAMED, [f"{CALM} {GLAD} She smiled .".replace("glad of it", "glad of her")]])
    assert passage.about_a_woman and " the woman was glad of her " in passage.said()


def test_passages_share_no_sentence_and_come_once() -> None:
    paragraph = " ".join([CALM, GLAD, CALM, GLAD.replace("sand", "shore")])
    found = cut_passages([NAMED, [paragraph, paragraph], [paragraph]])
    assert [passage.book for passage in found] == [1, 1]
    assert ["shore" in passage.words for passage in found] == [False, True]


@pytest.mark.parametrize("paragraph", [CALM, " ".join([CALM[:-2], *["and", CALM[:-2]] * 3, "."]), SPEECH])
def test_no_passage_is_too_short_too_long_or_speech(paragraph: str) -> None:
    assert cut_passages([[paragraph]]) == []


def test_where_next_to_nothing_stands_alone_all_texts_do(monkeypatch: pytest.MonkeyPatch) -> None:
    long = " ".join(["la"] * 70)
    books = [[f"{CALM} {GLAD}", SPEECH, long]]
    assert passages_to_keep(books) == [
        f"{CALM} {GLAD}".lower().replace("henry", "the man"),
        f"{CALM} {GLAD}".lower(),
        SPEECH.lower(),
        " ".join(["la"] * 60),
        " ".join(["la"] * 10),
    ]
    monkeypatch.setattr(story_passages, "FEW", 1)
    assert passages_to_keep(books) == [f"{CALM} {GLAD}".lower().replace("henry", "the man")]


def test_of_many_passages_some_of_all_books_are_considered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story_passages, "CONSIDERED", 3)
    monkeypatch.setattr(story_passages, "FEW", 1)
    books = [[f"{CALM} {GLAD.replace('sand', word)}"] for word in ("sand", "shore", "rocks", "grass", "road")]
    assert [text.split()[29] for text in passages_to_keep(books)] == ["sand", "rocks", "road"]


def test_books_are_read_by_paragraph_or_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(
        b"\xef\xbb\xbfThe sea was calm that day,\r\nand the boats lay still.\r\n\r\nTHE END\r\n"
    )
    (tmp_path / "b.txt").write_text("A dog ran along the sand that evening.\nThe wind was soft in the garden there.\n")
    files = [str(tmp_path / name) for name in ("a.txt", "b.txt")]
    assert read_books(files[:1], by_line=False) == [["The sea was calm that day , and the boats lay still ."]]
    assert [len(book) for book in read_books(files, by_line=True)] == [3, 2]


def test_passages_near_to_most_photos_are_chosen() -> None:
    vectors = np.asarray([[3, 0], [-1, 0], [-1, 1], [-1, -1]], np.float32)  # [P, S], their mean is 0
    photos = np.asarray([[-1, 0.1], [-1, 0.2], [-1, -0.1], [1, 1]], np.float32)  # [N, S]
    assert choose(vectors, photos, 1).tolist() == [1]  # near to three photos
    assert choose(vectors, photos, 2).tolist() == [1, 2]  # to three of the photos too
    assert choose(vectors, photos, 3).tolist() in ([0, 1, 2], [1, 2, 3])
    assert choose(vectors, photos, 99).tolist() == [0, 1, 2, 3]
