"""Captions rewritten in the past tense of novels.

No corpus describes photos in the past tense. Captions are so plain that a few rules turn them: "a dog runs through a
field" becomes "the dog ran through a field". What the rules do not understand is left out.
"""

from collections.abc import Sequence

from pipelines.corpora.lexicon import (
    ACTORS,
    ARTICLES,
    ASIDES,
    COLOURS,
    GROUPS,
    NOT_TOLD,
    NUMBERS,
    OFTEN_NOUNS,
    PAST,
    PLACES,
    PLURALS,
    PREPOSITIONS,
    RELATIVES,
    SINGULARS,
    SPORTS,
)

LONGEST = 20  # words of a caption that is told

_BEFORE_NOUN = (ARTICLES | PREPOSITIONS) - {"and", "another", "each", "one", "that", "these", "this", "those"}
_NO_PREDICATE = _BEFORE_NOUN | ASIDES | {",", "and"}
_NO_VERBS = ARTICLES | PREPOSITIONS | PLURALS | SINGULARS | {"'s", "always", "indoors", "outdoors"}
_NOT_FIRST = PREPOSITIONS | {"he", "here", "how", "it", "she", "someone", "there", "they", "what"}


def narrate(caption: str) -> str | None:
    """Returns a normalised caption as a sentence in the past tense; None where the rules do not understand it."""
    words = caption.split()
    if not 4 <= len(words) <= LONGEST or words[-1] != "." or NOT_TOLD & set(words) or not _plain(words):
        return None
    main, *asides = _clauses(_with_article(words[:-1]))
    told = _past(main)
    after = [[aside[0], *_past(aside[1:], aside[0] in RELATIVES)] for aside in asides]
    if told == main and not (asides and asides[0][0] in RELATIVES and _verbs(asides[0], after[0]) > 1):
        plain = _with_verb(main, words[0])
        if plain is None:
            return None
        told = plain
    return " ".join(_definite([*told, *(word for aside in after for word in aside), "."]))


def _definite(words: Sequence[str]) -> list[str]:
    """Returns the words with "the" for the "a" of places: a novel has been there before, a caption sees all at once."""
    pairs = zip(["", *words], words, strict=False)
    return ["the" if word in ("a", "an") and before in PLACES else word for before, word in pairs]


def _plain(words: Sequence[str]) -> bool:
    """Returns whether a caption is made only of words, and has none that looks like a verb whose past is unknown."""
    unknown = any(
        before in ACTORS and word.endswith("s") and not (word.endswith("ss") or word in PAST or word in _NO_VERBS)
        for before, word in zip(words, words[1:], strict=False)
    )
    spelled = all(word == "," or word.replace("-", "").replace("'s", "s").isalpha() for word in words[:-1])
    return spelled and not unknown and words[0] not in _NOT_FIRST and (words[0] in SINGULARS or words[0][-3:] != "ing")


def _with_article(words: Sequence[str]) -> list[str]:
    """Returns the words with the article that a novel uses for whom it is about."""
    first, *rest = words
    if first in ("a", "an", "one"):
        return ["the", *rest]
    if first in ("two", "three", "four", "five", "six") and rest[0] not in ("of", "'s"):
        return ["the", *words]
    known = first in ARTICLES or first in PLURALS or first.endswith("s")
    return list(words) if known else ["the", *words]


def _clauses(words: Sequence[str]) -> list[list[str]]:
    """Returns the main clause, and those beside it with the word that begins each."""
    clauses: list[list[str]] = [[]]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        aside = word in ASIDES or (word == "as" and following in ACTORS | ARTICLES - {"a", "an"})
        if clauses[0] and aside and not following.endswith("ing"):
            clauses.append([])
        clauses[-1].append(word)
    return clauses


def _verbs(words: Sequence[str], told: Sequence[str]) -> int:
    """Returns how many verbs of a clause were put into the past, those behind an "and" left out."""
    return sum(words[place] != told[place] and words[place - 1] != "and" for place in range(1, len(words)))


def subject(words: Sequence[str]) -> list[str]:
    """Returns the words of whom or what a sentence is about: those before its first preposition or verb."""
    for place, word in enumerate(words):
        of_group = word == "of" and words[place - 1] in GROUPS | NUMBERS
        ends = (word in PREPOSITIONS and word != "and" and not of_group) or word in ASIDES or word == ","
        if place and (ends or word.endswith("ing") or _finite(words, place) or _bare(words, place)):
            return list(words[:place])
    return list(words)


def is_plural(words: Sequence[str]) -> bool:
    """Returns whether a sentence is about more than one."""
    who = subject(words)
    joined = [place for place in range(1, len(who) - 1) if who[place] == "and"]
    several = any(who[place + 1] in ARTICLES or who[place - 1] in ACTORS or _many(who[place - 1]) for place in joined)
    return several or _many(who[-1]) or not NUMBERS.isdisjoint(who[:2])


def _many(word: str) -> bool:
    """Returns whether a noun is in the plural."""
    return word in PLURALS or (word.endswith("s") and not word.endswith("ss") and word not in SINGULARS)


def _bare_past(word: str) -> str | None:
    """Returns the past tense of a verb without ending; None where it is none that captions use."""
    thirds = (f"{word}s", f"{word}es", f"{word[:-1]}ies" if word.endswith("y") else "")
    return next((PAST[third] for third in thirds if third in PAST), None)


def _bare(words: Sequence[str], place: int) -> str | None:
    """Returns the past tense of a verb without ending after those who do what it says; None where there is none."""
    before = words[place - 1] if place else ""
    return _bare_past(words[place]) if _many(before) or (before in ACTORS and "and" in words[:place]) else None


def _finite(words: Sequence[str], place: int) -> bool:
    """Returns whether the word at a place is the third person of a verb here, and no noun."""
    before, word = words[place - 1] if place else "", words[place]
    return word in PAST and before not in _BEFORE_NOUN and (word not in OFTEN_NOUNS or not before or before in ACTORS)


def _past(words: Sequence[str], relative: bool = False) -> list[str]:
    """Returns a clause in the past tense, without the word that begins it; unchanged where it has no verb.

    Args:
        words: of the clause.
        relative: it may begin with its verb.
    """
    verb = len(subject(words))
    told = list(words)
    many = relative and bool(words) and _bare_past(words[0]) is not None
    for place, word in enumerate(words):
        bare = _bare(words, place) if place == verb and is_plural(words) else None
        more = _bare_past(word) if many and (place == 0 or words[place - 1] == "and") else None
        if _finite(words, place):
            told[place] = PAST[word]
        elif word == "'s" and place + 1 < len(words) and words[place + 1].endswith("ing"):
            told[place] = "was"
        elif bare or more:
            told[place], many = bare or more or word, True
    return told


def _with_verb(main: Sequence[str], first: str) -> list[str] | None:
    """Returns a clause without a verb as one with was or were; None where its verb may be one that was not understood.

    Args:
        main: its words.
        first: the first word of the caption.
    """
    place = _predicate(main)
    before = list(zip(main, main[1:place], strict=False))
    if any(_bare_past(word) and earlier not in _BEFORE_NOUN for earlier, word in before):
        return None
    was = "were" if is_plural(main) else "was"
    if place is not None:
        return [*main[:place], was, *main[place:]]
    if first not in ARTICLES:
        return None
    rest = main[2 if main[1:2] == [first] else 1 :]
    return ["there", "was" if first in ("a", "an", "one") else was, first, *rest]


def _predicate(words: Sequence[str]) -> int | None:
    """Returns the place of the first participle that says what somebody is doing, or of the word that belongs to it."""
    for place in range(1, len(words)):
        earlier, before, word, after = ["", *words][place - 1], words[place - 1], words[place], words[place + 1 :][:1]
        if not word.endswith("ing") or word in SINGULARS or len(word) <= 5:
            continue
        of_thing = before in COLOURS and earlier in ARTICLES | COLOURS | {"and"}
        vague = word == "looking" and PREPOSITIONS.isdisjoint(after)
        together = (before in SPORTS and earlier not in PREPOSITIONS) or (before.endswith("ly") and before != "family")
        if before in _NO_PREDICATE or of_thing or vague or (together and earlier in ARTICLES):
            return None
        return place - 1 if together else place
    return None
