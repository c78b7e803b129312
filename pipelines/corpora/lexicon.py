"""Words that show what a passage of a novel is about, and whether it can be part of a story about a photo."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FIRST_OR_SECOND = _words("""
    doth hath i me mine my myself our ours thee thou thy us we ye you your yours
""")
"""Words of speech and of narrators who say I."""

NO_START = _words("""
    but for how if it no nor or so such that there these this those what when which why yes yet
""")
"""Words that tie a sentence to one before it."""

PLAIN_NAMES = {
    "coffee": _words("espresso coffeepot"),
    "rocket": _words("missile projectile rig shuttle"),  # on its pad it looks like a drilling rig
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

ARTICLES = _words("""
    a an another any each every her his its many my no one other our several some that the their these this those three
    two your
""")
"""Words before a noun."""

PREPOSITIONS = _words("""
    about above across after against along among and around as at before behind beneath beside between by during for
    from in inside into near next of off on onto or out outside over past through to toward towards under underneath
    up upon with within without
""")
"""Words before a noun or its article."""

PLACES = _words("""
    above across against along around at behind below beneath beside by down from in inside into near of off on onto
    outside over past through to toward towards under up
""")
"""Words before the name of a place."""

PLURALS = _words("""
    both boys cats cattle children couples dogs girls guys horses kids ladies men people players police sheep women
""")
"""Common nouns in the plural, those without an s among them."""

SINGULARS = _words("""
    bus building ceiling clothing dress during evening glass grass king morning nothing something spring string
    wedding wing
""")
"""Words that end like a plural or a participle and are none."""

GROUPS = _words("""
    band bunch couple crowd flock group herd line lot number pair row team
""")
"""What many together are called."""

NUMBERS = _words("""
    both few five four many several six these those three two
""")
COLOURS = _words("""
    beige black blonde blue brown gray green grey orange pink purple red silver tan white yellow
""")

SPORTS = _words("""
    hang horseback ice mountain rock water wind
""")
"""The first of two words for a sport, such as rock climbing."""

RELATIVES = _words("""
    that which who
""")
ASIDES = RELATIVES | _words("""
    because when where while whilst
""")
"""Words that begin a clause beside the main one."""

NOT_LAST = _words("""
    a an and as at by for from her his in into is are its of on or the their to while with
""")
"""Words that end no sentence."""

OFTEN = _words("""
    , another being down it off one other out over that there this three two up who
""")
"""Words that a caption may say twice, besides those that end none."""

NOT_TOLD = _words("""
    UNK close-up image photo photograph photographs photos picture pictures shot view
""")
"""Words of captions about the picture and not about what it shows."""

_IRREGULAR = """
    is was, are were, has had, have had, stands stood, sits sat, holds held, runs ran, rides rode, takes took,
    makes made, does did, says said, sings sang, throws threw, catches caught, flies flew, goes went, lies lay,
    lays lay, gives gave, eats ate, swims swam, drives drove, hangs hung, speaks spoke, puts put, gets got, wears wore,
    reads read, hits hit, blows blew, falls fell, leads led, shakes shook, comes came, sells sold, sleeps slept,
    kneels knelt, bends bent, begins began, digs dug, spins spun, swings swung, slides slid, rises rose, draws drew,
    feeds fed, hides hid, teaches taught, writes wrote, sweeps swept, strikes struck, sees saw, tells told, keeps kept,
    fights fought, shoots shot, cuts cut, sets set, builds built, thinks thought, feels felt, finds found, meets met,
    rings rang, drinks drank, tries tried, carries carried, cries cried, buries buried, wins won, bites bit,
    shines shone
"""
_REGULAR = """
    look walk play jump watch smile pose appear perform climb prepare work talk lean show use wait attempt push kick
    point chase enjoy pull reach seem move stare splash cross laugh help raise crouch balance stop paddle follow gather
    turn cover hug touch open kiss clean lift examine pour dive listen display approach stretch jog gaze pick lick wash
    relax overlook juggle toss crawl hike wade sniff emerge stroll dance race skate surf observe cook rest celebrate
    cheer grin stir serve peek descend retrieve chew shout wave prepare repair adjust pause travel explore roam graze
    bark smoke sort practice participate record vacuum pet operate compete pass pack float glide tumble wander gallop
    trot march hop skip snuggle cuddle nap embrace leap love paint skateboard roll flip fish peer dribble check brush
    grab shave row step return land squat tackle sprint inspect navigate demonstrate want bounce poke finish drag
    receive pretend gesture fix apply struggle launch wipe sip fetch admire start lock surround bound soar lunge zoom
    wrestle support extend
"""
_TWICE = _words("drag grab grin hop hug jog nap pet sip skip squat stir stop trot")


def _third(base: str) -> str:
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ies"
    return base + ("es" if base.endswith(("ch", "sh", "s", "x")) else "s")


def _regular(base: str) -> str:
    if base in _TWICE:
        return base + base[-1] + "ed"
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ied"
    return base + ("d" if base.endswith("e") else "ed")


PAST = {_third(base): _regular(base) for base in _REGULAR.split()}
PAST |= dict(pair.split() for pair in _IRREGULAR.split(","))
"""The past tense of verbs that captions use, by the third person of the present."""

OFTEN_NOUNS = _words("""
    brushes checks covers displays drinks fishes flips hugs moves packs paints pets repairs rings rolls rows skateboards
    skates steps touches turns waves
""")
"""Words of PAST that captions use for things too."""

HIS = _words("he him himself his")
HER = _words("her hers herself she")
"""Pronouns of men, and of women."""

TITLES = _words("capt. captain colonel dr. lady lord madame miss mr. mrs. sir uncle aunt")
"""What stands before a name."""

AFTER_NO_PROTAGONIST = _words("a an and at from in into near or the through")
"""Words after which a name is that of a place, or of one more person."""

BEFORE_PROTAGONIST = _words(
    "after and as because before but if since so that then though till until when where while yet"
)
"""Words after which the text says what somebody does."""

MEN = {
    "boy": "boy", "father": "father", "gentleman": "gentleman", "groom": "groom", "guy": "man", "male": "man",
    "man": "man", "son": "boy",
}  # fmt: skip
WOMEN = {
    "bride": "bride", "daughter": "girl", "female": "woman", "girl": "girl", "lady": "lady", "mother": "mother",
    "woman": "woman",
}  # fmt: skip
"""What a novel calls the one whom a caption calls so."""

PERSONS = _words("""
    artist athlete baby biker child climber cyclist dancer diver driver fisherman hiker jogger kayaker musician
    performer person player rider runner singer skateboarder skater skier snowboarder surfer swimmer toddler worker
""")
"""People of whom a caption does not say whether they are men or women."""

ACTORS = (PERSONS | MEN.keys() | WOMEN.keys()) - {"female", "male"} | _words("""
    animal bird cat couple crowd dog group he horse it kid puppy she team they who
""")
"""Who does what a caption says, one by one."""

LIKE = {"rocket": _words("airplane jet plane tower")}
"""Things that captions hardly name, and things of which they say what could be said of these."""
