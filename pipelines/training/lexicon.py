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

PLAIN_NAMES = {
    "coffee": _words("espresso coffeepot"),
    "rocket": _words("missile projectile"),
    "flower": _words("daisy rapeseed slipper hip"),
    "flowers": _words("daisy vase pot"),
    "mountain": _words("alp volcano cliff"),
    "mountains": _words("alp valley"),
    "beach": _words("seashore sandbar"),
    "ocean": _words("promontory seashore breakwater"),
    "lake": _words("lakeside"),
    "house": _words("boathouse barn birdhouse"),
    "plane": _words("airliner warplane shuttle"),
    "airplane": _words("airliner warplane shuttle wing"),
    "boat": _words("trimaran yawl schooner catamaran speedboat canoe lifeboat fireboat gondola"),
    "boats": _words("dock catamaran gondola"),
    "ship": _words("pirate wreck liner schooner"),
    "train": _words("locomotive"),
    "car": _words("convertible cab wagon minivan limousine racer"),
    "truck": _words("pickup van"),
    "soup": _words("consomme bowl"),
    "burger": _words("cheeseburger"),
    "sandwich": _words("cheeseburger bagel"),
    "butterfly": _words("monarch ringlet admiral"),
    "bird": _words("robin jay magpie bunting goldfinch finch junco bulbul chickadee kite eagle gull heron"),
    "couch": _words("couch sofa"),
    "bed": _words("four-poster quilt"),
    "table": _words("desk"),
    "wine": _words("goblet wine"),
    "monkey": _words("macaque capuchin titi guenon baboon chimpanzee"),
    "computer": _words("laptop notebook screen monitor"),
    "phone": _words("telephone cellphone"),
    "camera": _words("tripod camera"),
    "castle": _words("palace monastery"),
    "cake": _words("trifle"),
    "kitchen": _words("stove microwave dishwasher refrigerator"),
    "bathroom": _words("washbasin tub bathtub toilet"),
}
"""What people call the things that the classifier's classes name, for classes whose own names captions do not use."""
