"""Allowed and forbidden differences between two sides."""

import json
from dataclasses import asdict

import numpy as np

from benchmarks.checks import Check
from benchmarks.results import Result, markdown, remarks

COSTS = {(5, 0): 7.0, (6, 0): 7.0009, (7, 0): 7.01}


def cost(words: object) -> float:
    return COSTS[tuple(words)]  # type: ignore[arg-type]


def test_another_text_is_allowed_only_where_float64_calls_it_a_tie() -> None:
    check = Check()
    check.story("a", ([5, 0], 7.0), ((5, 0), 7.00001), cost)
    check.story("b", ([5, 0], 7.0), ([6, 0], 7.0), cost)
    assert (check.compared, len(check.allowed), check.different) == (2, 1, [])
    check.story("c", ([5, 0], 7.0), ([7, 0], 7.0), cost)
    check.story("d", ([5, 0], 7.0), ([5, 0], 7.001), cost)
    assert [text[0] for text in check.different] == ["c", "d"]


def test_captions_may_change_places_only_at_equal_similarity() -> None:
    check = Check()
    theirs = [("x", 0.9), ("y", 0.8), ("z", 0.8)]
    check.captions("tie", [("x", 0.9), ("z", 0.800001), ("y", 0.8)], theirs)
    assert not check.different and len(check.allowed) == 1
    check.captions("other", [("x", 0.9), ("z", 0.7), ("y", 0.6)], theirs)
    check.captions("fewer", [("x", 0.9)], theirs)
    assert [text.split(",")[0] for text in check.different] == ["other", "fewer"]


def test_floats_agree_to_their_own_size() -> None:
    check = Check()
    theirs = np.array([[100.0, 0.0], [1e-3, 0.0]])  # [N, D]
    check.floats("near", theirs + np.array([[5e-4], [5e-9]]), theirs)
    assert not check.different
    check.floats("far", theirs + np.array([[5e-4], [5e-7]]), theirs)
    check.floats("no number", theirs * np.nan, theirs)
    check.floats("shape", theirs[:1], theirs)
    assert [text.split(",")[0] for text in check.different] == ["far", "no number", "no number", "shape"]


def result() -> Result:
    check = Check(3, ["photo 1: a tie"], ["photo 2: another text"])
    figures = {"product": [2.0, 1.0, 1.0], "original": [4.0, 4.0, 3.0], "limit": [1.0, 0.5, 0.7]}
    return Result(
        "search", "tiny", "photo", figures, {"original": 2.5, "limit": 0.7}, 1.5, {"product": 32},
        {"ray": [3.0, 4.0, 5.0]}, check, {"daft": "not installed"}, ["a note"],
    )  # fmt: skip


def test_json_holds_rounds_and_what_follows_from_them() -> None:
    told = json.loads(json.dumps(result().as_json()))
    assert told["figures"]["original"] == [4.0, 4.0, 3.0]
    assert told["seconds"] == {"median": 1.0, "least": 1.0, "most": 2.0}
    assert told["ratios"]["original"] == {"median": 3.0, "least": 2.0, "most": 4.0}
    assert told["check"] == asdict(result().check)
    assert told["left_out"] == {"daft": "not installed"}


def test_a_run_too_short_to_tell_is_told() -> None:
    short = Result("search", "tiny", "photo", {"product": [1.0, 1.0], "ray": [-0.5, 2.0]})
    assert remarks(short) == ["ray did too little to be told from its start"]


def test_the_table_says_what_was_reached_missed_and_left_out() -> None:
    report = markdown({"cores": 2}, [result()], {"decode": "no photos"})
    rows = [line for line in report.splitlines() if line.startswith("| search")]
    seconds = "| search (tiny) | 1 (1 to 2) s a photo |"
    assert rows == [
        f"{seconds}  |  | at most 1.5 s: met |",
        f"{seconds} original | 3 (2 to 4) | at least 2.5: met |",
        f"{seconds} limit | 0.5 (0.5 to 0.7) | at least 0.7: missed |",
        f"{seconds} daft | left out |  |",
    ]
    for said in (
        "- decode was left out: no photos",
        "- search (tiny): daft was left out: not installed",
        "- search (tiny): ray takes 4 (3 to 5) s to start",
        "- search (tiny): 3 outputs compared, 1 different by rounding alone, 1 different",
        "- search (tiny): DIFFERENT: photo 2: another text",
        "- search (tiny): a note",
    ):
        assert said in report.splitlines()
