"""Suggestions for unknown words."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns a question that names the most similar known word, to append to a message; empty if none is similar."""
    by_form = {one.lower().replace("_", "-"): one for one in known}
    near = difflib.get_close_matches(word.lower().replace("_", "-"), by_form, n=1, cutoff=0.6)
    return f". Did you mean {by_form[near[0]]}?" if near else ""
