"""The one person of a passage gives place to the person of a caption."""

import pytest

from pipelines.corpora.protagonists import protagonists, with_protagonist

NAMES = frozenset(["bruff", "henry", "mary", "london", "may"])


@pytest.mark.parametrize(
    ("passage", "told"),
    [
        ("Mary smiled at the sea .", "<protagonist> smiled at the sea ."),
        ("Henry Bruff looked up .", "<protagonist> looked up ."),
        ("Mr. Bruff sighed , and then Bruff laughed .", "<protagonist> sighed , and then <protagonist> laughed ."),
        (
            "The wind fell , and when Mary came she was glad .",
            "the wind fell , and when <protagonist> came she was glad .",
        ),
        ("Mary 's eyes shone .", None),  # her eyes shone, and not she
        ("He walked to the sea .", "he walked to the sea ."),
        ("The rain may come , he thought .", "the rain may come , he thought ."),  # a name without a capital
    ],
)
def test_the_one_whom_a_passage_names_gives_way(passage: str, told: str | None) -> None:
    found = with_protagonist(passage.split(), NAMES)
    assert (" ".join(found) if found else None) == told


@pytest.mark.parametrize(
    "passage",
    [
        "Henry smiled and Mary laughed .",  # two people
        "Henry walked to Mary .",
        "Mary lived in London .",  # a place
        "The Captain smiled .",
        "I smiled at the sea .",  # somebody tells
        "He smiled at you .",
        "`` Go , '' he said .",  # speech
        "He had 7 sons .",  # a number
        "But he smiled .",  # leans on what was before
        "This was the sea .",
        "The sea saw Mary smiling .",  # whom nothing lets one replace
        "The tall Henry smiled .",
        "Henry sat . Henry looked . Henry walked . Henry smiled .",  # too often
        "Henry took her hand in his .",  # a man and a woman
    ],
)
def test_other_passages_are_left_out(passage: str) -> None:
    assert with_protagonist(passage.split(), NAMES) is None


@pytest.mark.parametrize(
    ("caption", "names"),
    [
        ("a boy runs on the beach .", ("the boy", "the woman")),
        ("a young lady in a red dress .", ("the man", "the lady")),
        ("a surfer rides a wave .", ("the surfer", "the surfer")),
        ("a woman surfer rides a wave .", ("the man", "the woman")),
        ("two girls sit on a bench .", ("one of them", "one of them")),
        ("a man and a woman sit on a bench .", ("one of them", "one of them")),
        ("two dogs run .", ("one of them", "one of them")),
        ("two surfers and a child wait .", ("one of them", "one of them")),
        ("a dog runs to a man .", ("the man", "the woman")),
        ("a red bus on a road .", ("the man", "the woman")),
    ],
)
def test_whom_a_caption_puts_into_a_passage(caption: str, names: tuple[str, str]) -> None:
    assert protagonists(caption) == names
