"""Content words: the words that show what a text is about."""

from collections import Counter
from collections.abc import Iterable

_LIST = """
a an the this that these those such same other another each every either neither both all any some no none many
much more most few several own
i me my mine myself we us our ours ourselves you your yours yourself he him his himself she her hers herself it its
itself they them their theirs themselves one who whom whose which what someone something anyone anything everyone
everything nothing nobody
am is are was were be been being have has had having do does did doing done can could may might must shall should
will would ought
and but or nor for yet so if then else than because as until while though although unless since whether
about above across after against along among around at before behind below beneath beside besides between beyond by
down during except from in inside into near of off on onto out outside over past through to toward towards under up
upon with within without
not never ever too very just only also even still again once here there where when why how now quite rather perhaps
almost away back oh ah yes ca wo sha
"""
FUNCTION_WORDS = frozenset(_LIST.split())


def content_words(tokens: Iterable[str]) -> list[str]:
    """Returns the lower-case content words of a tokenised text: letters and hyphens only, no function words."""
    words = (token.lower() for token in tokens)
    return [word for word in words if word.replace("-", "").isalpha() and word not in FUNCTION_WORDS]


def shared_content(text: Iterable[str], other: Iterable[str]) -> tuple[int, int]:
    """Returns how many of a tokenised text's content words another text also has, and how many there are in all."""
    wanted = Counter(content_words(text))
    return (wanted & Counter(content_words(other))).total(), wanted.total()
