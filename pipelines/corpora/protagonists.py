"""Protagonists: the one person of a book's passage is replaced by the person of a caption."""

from collections.abc import Sequence

from pipelines.corpora.lexicon import (
    AFTER_NO_PROTAGONIST,
    BEFORE_PROTAGONIST,
    FIRST_OR_SECOND,
    HER,
    HIS,
    MEN,
    NO_START,
    PAST,
    PERSONS,
    TITLES,
    WOMEN,
)
from pipelines.corpora.narration import is_plural, subject

PROTAGONIST = "<protagonist>"
"""Placeholder in a passage for the one person whom it names."""

MARKS = frozenset((".", ",", ";", ":", "!", "?", "'s", "n't", "--"))
_VERBS = frozenset(PAST.values()) | frozenset(
    ["felt", "knew", "thought", "could", "did", "would", "might", "must", "came", "went", "seemed", "left"]
)


def with_protagonist(passage: Sequence[str], names: frozenset[str]) -> list[str] | None:
    """Returns a passage in lower case with PROTAGONIST for the one person whom it names, or none where it names nobody.

    None: it speaks of "I" or "you", names places or several people, is speech in part, or leans on what was before it.

    Args:
        passage: cased tokens.
        names: of people and places, in lower case.
    """
    words: list[str] = []
    people: dict[str, None] = {}  # by the last of their names
    naming = ""
    for token in [*passage, ""]:
        word = token.lower()
        named = word in TITLES or (word in names and word != "i" and token[:1].isupper())
        if named and not naming and words and words[-1] in AFTER_NO_PROTAGONIST:
            return None
        if naming and not named:
            people[naming] = None
            words.append(PROTAGONIST)
        naming = word if named else ""
        if word in FIRST_OR_SECOND or not (named or not word or word[0].isalpha() or word in MARKS):
            return None
        words += [word] if word and not named else []
    if len(people) > 1:
        return None
    return words if _stands_alone(words) else None


def _stands_alone(words: Sequence[str]) -> bool:
    """Returns whether a passage makes sense by itself, with one person at most, who does something."""
    if words[0] in NO_START:
        return False
    if PROTAGONIST not in words:
        return True
    first = words.index(PROTAGONIST)
    after = words[first + 1] if first + 1 < len(words) else ""
    if first and words[first - 1] not in BEFORE_PROTAGONIST and words[first - 1] not in MARKS - {"n't", "'s"}:
        return False
    both = HIS & set(words) and HER & set(words)
    return words.count(PROTAGONIST) <= 3 and not both and (after in _VERBS or after.endswith("ed"))


def protagonists(caption: str) -> tuple[str, str]:
    """Returns what PROTAGONIST becomes in a story about a caption: where a passage has a man, and where it has a woman.

    Args:
        caption: normalised.
    """
    words = caption.split()
    who = subject(words[:-1])
    kinds = (MEN.keys() | WOMEN.keys(), PERSONS)  # a woman surfer is a woman
    noun = next((word for kind in kinds for word in reversed(who) if word in kind), "")
    if is_plural(words[:-1]):
        return "one of them", "one of them"
    if noun in MEN:
        return f"the {MEN[noun]}", "the woman"
    if noun in WOMEN:
        return "the man", f"the {WOMEN[noun]}"
    if noun:
        return f"the {noun}", f"the {noun}"
    return "the man", "the woman"
