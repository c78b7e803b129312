"""The probe separates two kinds of text if they differ, and is measured only on texts that it has not seen."""

from pathlib import Path

import numpy as np
import pytest

from configs.schema import ConfigError
from pipelines.evaluation import probe_texts
from pipelines.evaluation.probe_texts import book_passages, caption_blocks, fit_probe, learn, thin

WORDS = {"caption": ["dog", "runs", "grass", "ball", "man"], "novel": ["thought", "lady", "heart", "replied", "man"]}


def draw_text(kind: str, seed: int, words: int = 30) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS[kind], words))


def test_a_probe_separates_texts_that_it_has_not_seen() -> None:
    probe = fit_probe(
        [draw_text("novel", seed) for seed in range(20)], [draw_text("caption", seed) for seed in range(20)]
    )
    assert all(probe([draw_text("novel", seed) for seed in range(100, 120)]))
    assert not any(probe([draw_text("caption", seed) for seed in range(100, 120)]))
    assert probe(["heart", "dog", "dog dog dog heart dog"]) == [True, False, False]


def test_word_order_is_enough_for_the_probe() -> None:
    probe = fit_probe(["a b"] * 5, ["b a"] * 5)
    assert probe(["a b", "b a"]) == [True, False]


def test_length_is_not_enough_for_the_probe() -> None:
    probe = fit_probe(
        [draw_text("novel", seed, 100) for seed in range(9)], [draw_text("caption", seed, 9) for seed in range(9)]
    )
    assert probe([draw_text("novel", 50, 9), draw_text("caption", 50, 100)]) == [True, False]


def test_words_that_one_text_only_has_are_not_learned() -> None:
    probe = fit_probe(["a x", "a", "a y"], ["b z", "b"])
    assert probe(["x", "y", "z", "?"]) == [True] * 4  # as a text without words: the more frequent kind
    assert probe(["a z", "b x"]) == [True, False]


def test_no_texts_have_no_kinds() -> None:
    assert fit_probe(["a"] * 2, ["b"] * 2)([]) == []


def test_marks_and_case_are_words_of_their_own() -> None:
    probe = fit_probe(["a ca n't"] * 3 + ["The b"] * 3, ["a ca"] * 3 + ["the b"] * 3)
    assert probe(["n't", "The", "the"]) == [True, True, False]


def test_captions_are_joined_by_threes(monkeypatch: pytest.MonkeyPatch) -> None:
    captions = [f"Caption {number} ." for number in range(11)]
    blocks = ["caption 0 caption 1 caption 2", "caption 3 caption 4 caption 5", "caption 6 caption 7 caption 8"]
    assert caption_blocks(captions) == blocks
    monkeypatch.setattr(probe_texts, "MOST", 2)
    assert caption_blocks(captions) == [blocks[0], blocks[2]]
    assert caption_blocks(captions[:2]) == []


def test_passages_have_40_to_100_words_of_each_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        paragraphs = [" ".join([f"{name}{number}"] * 150) for number in range(30)]
        (tmp_path / f"{name}.txt").write_text("\n\n".join(["short", *paragraphs]))
    monkeypatch.setattr(probe_texts, "MOST", 20)
    passages = book_passages([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])
    assert [passage[-3:].strip()[0] for passage in passages] == ["a"] * 10 + ["b"] * 10
    lengths = [len(passage.split()) for passage in passages]
    assert min(lengths) >= 40 and max(lengths) <= 100 and len(set(lengths)) > 5


def test_thinning_is_even() -> None:
    assert thin("abcdefg", 3) == ["a", "d", "g"] and thin("ab", 3) == ["a", "b"]


def test_accuracy_is_that_of_texts_kept_out(tmp_path: Path) -> None:
    book = "\n\n".join(draw_text("novel", seed, 60) for seed in range(25))
    (tmp_path / "book.txt").write_text(book)
    captions = [draw_text("caption", seed, 10) for seed in range(90)]
    probe, figures = learn(captions, [str(tmp_path / "book.txt")])
    assert figures == {"accuracy": 100, "learned_on": 40, "judged_on": 10}
    assert probe([draw_text("novel", 999), draw_text("caption", 999)]) == [True, False]
    _, chance = learn([draw_text("novel", seed, 10) for seed in range(300, 390)], [str(tmp_path / "book.txt")])
    assert chance["accuracy"] < 100


def test_too_little_to_learn_from_is_named(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text(draw_text("novel", 1, 60))
    with pytest.raises(ConfigError, match="3 blocks of captions and 1 passages of books are too few for a probe"):
        learn(["a dog"] * 9, [str(tmp_path / "book.txt")])
