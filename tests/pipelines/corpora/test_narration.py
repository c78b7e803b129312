"""Captions in the past tense: what a novel would say, and what the rules leave out."""

import pytest

from pipelines.corpora.lexicon import PAST
from pipelines.corpora.narration import is_plural, narrate, subject

TOLD = {
    # somebody does something
    "a dog runs through a field .": "the dog ran through the field .",
    "the man is holding a guitar .": "the man was holding a guitar .",
    "man rides a horse .": "the man rode a horse .",
    "two men walk down the street .": "the two men walked down the street .",
    "two of the men walk home .": "two of the men walked home .",
    "people walk in the snow .": "people walked in the snow .",
    "a group of people walk along the beach .": "the group of people walked along the beach .",
    "a boy carries a bag and cries .": "the boy carried a bag and cried .",
    "two men stand and talk .": "the two men stood and talked .",
    "a man and a woman sit on a bench .": "the man and a woman sat on the bench .",
    "a dog is jumping over another dog that stands still .": "the dog was jumping over another dog that stood still .",
    "the dog 's running on the beach .": "the dog was running on the beach .",
    "a dog 's ball lies in the grass .": "the dog 's ball lay in the grass .",
    "this is a red bus .": "this was a red bus .",
    # what somebody is doing
    "a young girl playing with a red ball .": "the young girl was playing with a red ball .",
    "two dogs playing in the snow .": "the two dogs were playing in the snow .",
    "a man and a woman holding hands .": "the man and a woman were holding hands .",
    "a black and white dog running .": "the black and white dog was running .",
    "several people sitting at a table .": "several people were sitting at the table .",
    "a man rock climbing .": "the man was rock climbing .",
    "two dogs playfully running .": "the two dogs were playfully running .",
    "a boy smiling while his dog barks .": "the boy was smiling while his dog barked .",
    "a man running as another man watches .": "the man was running as another man watched .",
    "a woman smiling while holding a cat .": "the woman was smiling while holding a cat .",
    # somebody or something is there
    "a bowl of soup on a table .": "there was a bowl of soup on the table .",
    "two dogs on a beach .": "there were two dogs on the beach .",
    "a crowd of people at a market .": "there was a crowd of people at the market .",
    "the red house by the lake .": "there was the red house by the lake .",
    "a man in a blue hiking shirt .": "there was a man in the blue hiking shirt .",
    "a man , smiling at a dog .": "there was a man , smiling at the dog .",
    "a dog that is wet .": "there was a dog that was wet .",
    # a clause beside the main one
    "a man who is wearing a hat walks home .": "the man who was wearing a hat walked home .",
    "a man sits while children play in the water .": "the man sat while children played in the water .",
    "two people who stand and talk .": "there were two people who stood and talked .",
    # a thing that is called like a verb
    "a surfer in big waves .": "there was a surfer in big waves .",
    "a man waves at the crowd .": "the man waved at the crowd .",
}


@pytest.mark.parametrize(("caption", "told"), TOLD.items())
def test_captions_become_sentences_in_the_past(caption: str, told: str) -> None:
    assert narrate(caption) == told


@pytest.mark.parametrize(
    "caption",
    [
        "dogs run .",  # too short
        "a dog runs through a field",  # no sentence
        "a man " + "and a man " * 6 + "run .",  # too long
        "a close-up of a flower .",  # about the picture
        "a picture of a dog that runs .",
        "a man with a number 7 on his shirt runs .",  # a number
        "a man has n't a hat .",
        "there is a dog on the beach .",  # does not begin with anybody
        "it is a red bus .",
        "in a park a man runs .",
        "standing in the rain with a dog .",
        "a man zorbs down a hill .",  # a verb that nobody knows
        "woman on a bench .",  # no verb, and no article to go by
        "two men in hats talk to a girl .",  # the verb is too far from who does it
        "a dog and UNK run home .",
    ],
)
def test_what_the_rules_do_not_understand_is_left_out(caption: str) -> None:
    assert narrate(caption) is None


@pytest.mark.parametrize(
    ("sentence", "who", "plural"),
    [
        ("a dog runs home", "a dog", False),
        ("the two big dogs run home", "the two big dogs", True),
        ("two cyclists zorb home", "two cyclists zorb home", True),
        ("a crowd of people on a street", "a crowd of people", True),
        ("a plate of apples on a table", "a plate", False),
        ("a man and his dog sit on a bench", "a man and his dog", True),
        ("a man and woman ride bikes", "a man and woman", True),
        ("a brown and white dog sits", "a brown and white dog", False),
        ("children playing", "children", True),
        ("the bus , full of people", "the bus", False),
        ("a man who runs", "a man", False),
    ],
)
def test_whom_a_sentence_tells_of(sentence: str, who: str, plural: bool) -> None:
    assert " ".join(subject(sentence.split())) == who
    assert is_plural(sentence.split()) == plural


@pytest.mark.parametrize(
    ("verb", "past"),
    [("stops", "stopped"), ("pets", "petted"), ("crosses", "crossed"), ("carries", "carried"), ("plays", "played")]
    + [("dances", "danced"), ("lays", "lay"), ("bites", "bit"), ("catches", "caught"), ("is", "was")],
)
def test_verbs_have_their_past(verb: str, past: str) -> None:
    assert PAST[verb] == past
