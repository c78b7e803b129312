"""Words that tell what a passage of a novel is about, and whether it can be part of a story about a photo."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FEELINGS = _words("""
    arms beautiful beauty bliss blush blushed bright charm charming darling dear delight desire dream dreamed
    dreams embrace eyes forever gentle gently glad glow glowing happiness happy heart hearts hope hoped joy
    joyful kiss kissed kisses laughed laughing laughter lips love loved lovely lover lovers loving moon
    moonlight passion passionate rose roses sighed smile smiled smiling soft softly soul stars sunset sweet
    sweetness tears tender tenderly warm warmth
""")
"""Words of passages that tell of feelings."""

SCENES = _words("""
    ball birds boat bread bridge cake chair children cliff climbed coffee crowd dance danced dancing dinner dog
    dogs evening field fields flowers game garden gardens grass hill hills horse horses ice kitchen lake leaped
    light meadow morning mountain mountains music played playing rain ran riding river road rock rocks rode
    running sand sands sang sea shore sky snow song stream street sun sunshine swam table tea tree trees walked
    walking water waves wind window
""")
"""Words of scenes that photos show too."""

FIRST_OR_SECOND = _words("""
    doth hath i me mine my myself our ours thee thou thy us we ye you your yours
""")
"""Words of speech and of narrators who say I."""

THIRD = _words("""
    he her him his she their them they
""")
"""Persons that a story may be about."""

NO_START = _words("""
    but for how if it no nor or so such that there these this those what when which why yes yet
""")
"""Words that tie a sentence to one before it."""

MALE = _words("""
    boy boys father gentleman guy guys he him himself his male man men son
""")
"""Words for men."""

FEMALE = _words("""
    bride daughter female girl girls her hers herself ladies lady mother she woman women
""")
"""Words for women."""
