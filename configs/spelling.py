"""A word that nobody knows, and the one that was probably meant."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns a question that names the known word most like this one, to be put behind a message; or nothing."""
    by_form = {one.lower().replace("_", "-"): one for one in known}
    near = difflib.get_close_matches(word.lower().replace("_", "-"), by_form, n=1, cutoff=0.6)
    return f". Did you mean {by_form[near[0]]}?" if near else ""
