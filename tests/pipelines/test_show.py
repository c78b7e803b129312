"""Showing published stories: in the order of their photos, and the message if there are none."""

from typing import Any

from pipelines.show import main


def test_stories_are_shown_by_photo(place: str, publish: Any, capsys: Any) -> None:
    publish(place, "one", {"b": "Two boats.", "a": "One boat."})
    assert main([place]) == 0
    shown = capsys.readouterr().out
    assert shown.index("a (") < shown.index("One boat.") < shown.index("b (") < shown.index("Two boats.")


def test_a_place_without_stories(place: str, capsys: Any) -> None:
    assert main([place]) == main([place, "--bogus"]) == 2
    printed = capsys.readouterr()
    problem = "no such folder" if "://" not in place else "no story is published there"  # memory keeps its folders
    assert f"Nothing can be shown:\n  - {place}: {problem}" in printed.err and printed.out == ""
