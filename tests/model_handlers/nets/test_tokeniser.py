"""The tokeniser against NLTK 3.1's stored output, and the cases in which today's tokenisers differ from it."""

import json
import random
from pathlib import Path

import pytest

from model_handlers.nets import tokeniser
from model_handlers.nets.tokeniser import preprocess, tokenise

GOLDEN = Path(__file__).parents[2] / "golden"


def test_preprocess_equals_nltk_31() -> None:
    golden = json.loads((GOLDEN / "nltk31_tokens.json").read_text())
    assert len(golden["text"]) == 114
    assert [preprocess(text) for text in golden["text"]] == golden["out"]


def test_preprocess_equals_the_original_on_its_captions() -> None:
    golden = json.loads((GOLDEN / "skip.json").read_text())
    assert len(golden["sentences"]) == 61
    for text, is_bytes, expected, known in zip(
        golden["sentences"], golden["is_bytes"], golden["preprocessed"], golden["tokens_known"], strict=True
    ):
        given = text.encode("latin-1") if is_bytes else text
        assert preprocess(given) == expected
        assert tokenise(given) == [token for token, _ in known]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A dog on a street. . . A cat sits.", " A dog on a street . . . A cat sits ."),
        ("A dog on a street. .", " A dog on a street . ."),
        ("“It is red.” It was", " “It is red.” It was"),
        ("It is red.\xa0It was big.\xa0He left.\xa0We", " It is red . It was big . He left . We"),
        ("Mr. Smith of St. James sat. He left.", " Mr. Smith of St. James sat . He left ."),
        ('He sat. "So?" (Yes.) No.', " He sat . `` So ? '' ( Yes . ) No ."),
        ("CANNOT gimme wanna", " CAN NOT gim me wan na"),
        ("", ""),
        ("  ", " "),
    ],
)
def test_text_that_newer_tokenisers_split_differently(text: str, expected: str) -> None:
    assert preprocess(text) == expected


def test_only_ascii_space_separates_the_words_of_bytes() -> None:
    text = "one\x85two\xa0three\x1cfour\x0bfive"
    assert tokenise(text) == ["one", "two", "three", "four", "five"]
    assert tokenise(text.encode("latin-1")) == ["one\x85two\xa0three\x1cfour", "five"]


def test_letters_beyond_ascii_have_no_case_in_bytes() -> None:
    text = "He met J. Élan"
    assert tokenise(text) == ["He", "met", "J.", "Élan"]
    assert tokenise(text.encode("latin-1")) == ["He", "met", "J", ".", "Élan"]


def test_letters_that_fold_to_ascii_join_no_contraction() -> None:
    assert tokenise("wanna ſ wanna") == ["wan", "na", "ſ", "wan", "na"]
    assert tokenise("a'ſ b") == ["a'ſ", "b"]


def test_the_way_past_the_sentence_splitter_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(1)
    pieces = ["a", "Dr.", "dog", ".", "..", "?", '"', "'", ")", "(", " ", "\n", "He", "3.5", "''", "U.S.", ","]
    texts = ["".join(draw.choice(pieces) + draw.choice(" |").strip("|") for _ in range(9)) for _ in range(500)]
    shortcut = [preprocess(text) for text in texts]

    class Always:
        def search(self, text: str) -> bool:
            return bool(text)

    monkeypatch.setattr(tokeniser, "_CANDIDATE", Always())
    assert [preprocess(text) for text in texts] == shortcut


def test_a_megabyte_without_a_space_takes_linear_time() -> None:
    short, long = (tokenise("x.*" * count + "y z") for count in (10, 100_000))
    assert len(long) == len(short) and long[-3:] == short[-3:]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("1,\u0663", ["1", ",", "\u0663"]),
        ("x\u00e9cannot", ["x\u00e9", "can", "not"]),
        ("a street.\xa0", ["a", "street."]),
    ],
)
def test_the_rules_know_ascii_classes_alone(text: str, tokens: list[str]) -> None:
    assert tokenise(text) == tokens
