"""The detokeniser: a table of passages and their stories, and what holds for any passage."""

import random

import pytest

from model_handlers.nets.detokeniser import detokenise
from model_handlers.nets.tokeniser import tokenise

STORIES = [
    # contractions and possessives
    ("I do n't know .", "I don't know."),
    ("You ca n't , and I wo n't .", "You can't, and I won't."),
    ("She 's here and they 're not .", "She's here and they're not."),
    ("I 'd say we 've won , he 'll see .", "I'd say we've won, he'll see."),
    ("DO N'T !", "DON'T!"),
    ("A man 's dog", "A man's dog"),
    ("The dogs ' bowl is red .", "The dogs' bowl is red."),
    ("Rock 'n ' roll", "Rock 'n' roll"),
    ("It was the '90s .", "It was the '90s."),
    ("I d seen the men .", "I d seen the men."),
    ("I can not go .", "I cannot go."),
    ("Not can not only but must .", "Not can not only but must."),
    ("I 'm gon na go", "I'm gonna go"),
    ("You got ta wan na", "You gotta wanna"),
    ("Gim me that , lem me see .", "Gimme that, lemme see."),
    ("D 'ye know ?", "D'ye know?"),
    ("'T is late .", "'Tis late."),
    ("he said 't was late .", "He said 'twas late."),
    # quotes
    ("`` I know , '' he said .", '"I know," he said.'),
    ("He said , `` No . '' She left .", 'He said, "No." She left.'),
    ("`` Really ? '' he asked .", '"Really?" he asked.'),
    ("`` really ? '' he asked . `` no ! ''", '"Really?" he asked. "No!"'),
    ("`` Yes . '' `` No . ''", '"Yes." "No."'),
    ("`` I know . `` You do n't , '' she said .", '"I know." "You don\'t," she said.'),
    ("`` I do n't know .", '"I don\'t know."'),
    ("I thought '' he said .", "I thought he said."),
    ("He left . ''", "He left."),
    ("`` '' Nothing .", "Nothing."),
    ("He left . ``", "He left."),
    ('A " stop " sign', 'A "stop" sign'),
    ("“ I know , ” he said .", '"I know," he said.'),
    ("It ’s man ’s", "It's man's"),
    ("The sign says `` stop `` .", 'The sign says "stop".'),
    ("He is 6'2 '' tall .", "He is 6'2\" tall."),
    ("( `` so '' )", '("So")'),
    ("'Quoted ' words", "'Quoted' words"),
    ("He said , ' hi there . '", "He said, 'hi there.'"),
    ("`` wait -- '' he said", '"Wait—" he said'),
    # punctuation
    ("One , two ; three : four .", "One, two; three: four."),
    ("What ? ! No !", "What?! No!"),
    ("No ! ! !", "No!!!"),
    ("well ... ok", "Well... ok"),
    ("well . . . ok", "Well... ok"),
    ("... and then", "...and then"),
    ("a -- b", "A—b"),
    ("a — b", "A—b"),
    ("black-and-white", "Black-and-white"),
    ("He paid $ 5 and 10 % more", "He paid $5 and 10% more"),
    ("He is the # 1 fan @ home", "He is the #1 fan @home"),
    ("cats & dogs", "Cats & dogs"),
    ("A child ( young ) ran [ fast ] .", "A child (young) ran [fast]."),
    ("A child -LRB- young -RRB- ran .", "A child (young) ran."),
    ("It is red . . It is big .", "It is red. It is big."),
    ("A dog , , a cat", "A dog, a cat"),
    ("A bowl..", "A bowl.."),
    ("At 10:30 on 1/2 it cost 3.88 .", "At 10:30 on 1/2 it cost 3.88."),
    # capitals
    ("the sun set . she left ! why ? nobody knew", "The sun set. She left! Why? Nobody knew"),
    ("i was here and i 'm gone , i 've left", "I was here and I'm gone, I've left"),
    ("i'm here , so i'll stay", "I'm here, so I'll stay"),
    ("is it i ?", "Is it I?"),
    ("he said , `` come here , '' and left .", 'He said, "Come here," and left.'),
    ("He saw , `` come here '' and left .", 'He saw, "come here" and left.'),
    ("mr. smith met dr. jones .", "Mr. smith met dr. jones."),
    ("It was 5 p.m. and dark .", "It was 5 p.m. and dark."),
    ("In the U.S. we do .", "In the U.S. we do."),
    ("J. smith sat . he left .", "J. smith sat. He left."),
    ("so am I . you know", "So am I. You know"),
    ("( yes . ) no", "(Yes.) No"),
    ("iPhone is here . eBay too", "iPhone is here. eBay too"),
    ("élan . été", "Élan. Été"),
    # the rest
    ("I saw UNK and the UNK .", "I saw UNK and the UNK."),
    ("", ""),
    ("  ", ""),
    (".", "."),
    (
        "She 's beautiful , but the truth is that I do n't know what to do . The sun was just starting to fade away .",
        "She's beautiful, but the truth is that I don't know what to do. The sun was just starting to fade away.",
    ),
]


@pytest.mark.parametrize(("passage", "story"), STORIES)
def test_passage_becomes_story(passage: str, story: str) -> None:
    assert detokenise(passage) == story


@pytest.mark.parametrize("story", sorted({story for _, story in STORIES}))
def test_a_readable_story_stays_as_it_is(story: str) -> None:
    assert detokenise(story) == story


@pytest.mark.parametrize(
    "text",
    [
        "\"I can't,\" she said. \"It's the dogs' bowl, isn't it?\" He paid $5 (10%) more...",
        "Mr. Smith went. He said, \"You're going to St. James St. now!\" They'd left.",
        "I'm gonna go; you cannot stay: that's all, y'all.",
    ],
)
def test_detokeniser_inverts_the_tokeniser(text: str) -> None:
    assert detokenise(" ".join(tokenise(text))) == text


def _letters(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def test_no_letter_or_digit_is_lost_or_moved() -> None:
    draw = random.Random(2)
    tokens = (
        "`` '' \" ' . , ? ! ... -- ( ) $ 5 % i 'm 's n't do ca dogs the he Mr. . gon na can not UNK 't is ; : [ ] # @"
    )
    pieces = [*tokens.split(), "'n", "..", "“", "”", '"hi"', "6'2\"", "i,", "ß", "ŉ", "x—y", "-LRB-", "ǆ", "½", "١"]
    for _ in range(20_000):
        passage = " ".join(draw.choice(pieces) for _ in range(draw.randint(1, 9)))
        story = detokenise(passage)
        expected = " ".join("" if token == "-LRB-" else token for token in passage.split())
        assert _letters(story) == _letters(expected), passage
        assert "  " not in story and story == story.strip(), passage
