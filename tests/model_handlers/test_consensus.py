"""Likeness of captions by their words, and what the captions near to a photo agree on."""

import math

import pytest

from model_handlers.consensus import Consensus

BANK = ["a dog runs", "a dog sits", "a cat sits", "a boat"]


def weight(count: int) -> float:
    return math.log(5 / (count + 1))


def test_agreement_is_the_mean_cosine_of_words_by_their_rarity() -> None:
    dog, sits, runs, boat = weight(2), weight(2), weight(1), weight(1)
    agreement = Consensus(BANK).among(["a dog sits", "a boat"])
    assert agreement("a dog sits") == pytest.approx(1 / 2)
    assert agreement("a boat") == pytest.approx(1 / 2)
    alike = dog * dog / (math.hypot(dog, sits) * math.hypot(dog, runs))
    assert agreement("a dog runs") == pytest.approx(alike / 2)
    assert agreement("boat boat") == pytest.approx(1 / 4), "an echo is no agreement"
    assert boat > dog


def test_words_that_all_captions_have_and_captions_without_words_agree_with_nothing() -> None:
    agreement = Consensus(BANK).among(["a dog sits", "a"])
    assert agreement("a") == agreement("") == 0
    assert Consensus(BANK).among(["boat", "boat"])("the boat") < 1


def test_words_that_the_bank_lacks_are_the_rarest() -> None:
    agreement = Consensus(BANK).among(["a rocket"])
    assert agreement("rocket") == pytest.approx(1)
    assert 0.5 < agreement("rocket boat") < 1
