"""BLEU by hand, decoded texts in their order, and the command on a tiny pack."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from configs.schema import ConfigError
from model_handlers.pack import Pack
from model_handlers.stories import Passage
from pipelines.evaluation import reconstruction_task as reconstruction
from pipelines.evaluation.book_texts import Book
from pipelines.evaluation.reconstruction_task import bleu, book_sentences, decode


def words(text: str) -> list[str]:
    return text.split()


def test_bleu_by_hand() -> None:
    reference = words("a b c d e")
    assert bleu([reference], [reference]) == pytest.approx(100)
    assert bleu([reference], [words("a b c d")]) == pytest.approx(100 * np.exp(-0.25))  # too short
    found = words("a b c d x e")  # 5/6, 3/5, 2/4, 1/3
    assert bleu([reference], [found]) == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    assert bleu([reference], [words("a b c x d e")]) == 0  # three in a row, not four
    assert bleu([words("a a b")], [words("a a a")]) == 0  # no run of four
    assert bleu([reference], [[]]) == 0


def test_bleu_is_of_the_corpus_not_a_mean() -> None:
    wanted, found = [words("a b c d e"), words("f g")], [words("a b c d e"), words("f x")]
    assert bleu(wanted, found) == pytest.approx(100 * (6 / 7 * 4 / 5) ** 0.25)


def test_bleu_is_cocos() -> None:
    scorer = pytest.importorskip("pycocoevalcap.bleu.bleu")
    draw = np.random.default_rng(0)
    wanted = [draw.choice(list("abcdef"), draw.integers(1, 15)).tolist() for _ in range(50)]
    found = [[word if draw.random() < 0.8 else "z" for word in text][: draw.integers(1, 15)] for text in wanted]
    texts = ({place: [" ".join(text)] for place, text in enumerate(side)} for side in (wanted, found))
    scores, _ = scorer.Bleu(4).compute_score(*texts, verbose=0)
    assert bleu(wanted, found) == pytest.approx(100 * scores[3], rel=1e-6)


class Echo:
    """Stands for a story handler: writes the number in each vector, and fails at number 3."""

    batch_size = 2

    def load_model(self) -> None:
        return None

    def run_inference(self, batch: Sequence[np.ndarray], model: None) -> list[Any]:
        assert len(batch) <= 2
        numbers = [int(vector[0]) for vector in batch]
        return [ValueError() if n == 3 else Passage(f"word {n}", "", 0.0, 2) for n in numbers]


def test_texts_come_back_in_their_order() -> None:
    found = decode(np.arange(5)[:, None], [9, 2, 7, 3, 1], Echo())  # type: ignore[arg-type]
    assert found == [["word", "0"], ["word", "1"], ["word", "2"], [], ["word", "4"]]


def test_sentences_are_neither_short_nor_long() -> None:
    book = Book("a", [[["w"] * size for size in (4, 5, 15, 16)]])
    assert [len(text.split()) for text in book_sentences([book], 10)] == [5, 15]
    with pytest.raises(ConfigError, match="no sentence of 5 to 15 words in 1 books"):
        book_sentences([Book("a", [[["w"]]])], 10)


def flags_of(pack: Pack, books: Callable[..., str], photo_data: Any) -> list[str]:
    captions = photo_data(dev=3, train=2).flags[1]
    return [f"--pack={pack.location}", "--decoder=romance", books(1), captions]


def test_the_command(story_pack: Pack, evaluate: Any, books: Callable[..., str], photo_data: Any) -> None:
    flags = flags_of(story_pack, books, photo_data)
    found = evaluate("reconstruction", *flags, "--limit=4", "--beam-width=2")
    assert list(found["books"]) == list(found["captions"]) == ["bleu", "content"]
    assert (found["beam_width"], found["books_texts"], found["captions_texts"]) == (2, 4, 4)
    assert (found["case"], found["decoder"]) == ("kept", "romance")
    assert 0 <= found["books"]["content"] < 100


def test_what_comes_back_whole_is_worth_all(
    story_pack: Pack, evaluate: Any, books: Callable[..., str], photo_data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[Sequence[Sequence[str]]] = []

    def keep(texts: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> float:
        wanted.append(texts)
        return bleu(texts, found)

    monkeypatch.setattr(reconstruction, "bleu", keep)
    monkeypatch.setattr(reconstruction, "decode", lambda vectors, lengths, handler: [[] for _ in lengths])
    flags = [*flags_of(story_pack, books, photo_data), "--limit=9"]
    nothing = evaluate("reconstruction", *flags)
    assert nothing["books"] == nothing["captions"] == {"bleu": 0, "content": 0}
    assert nothing["beam_width"] == 50  # the pack names none
    assert [len(texts) for texts in wanted] == [9, 6]
    monkeypatch.setattr(reconstruction, "decode", lambda vectors, lengths, handler: wanted.pop(0))
    whole = evaluate("reconstruction", *flags)
    assert whole["books"] == whole["captions"] == {"bleu": pytest.approx(100), "content": 100}
