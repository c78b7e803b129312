"""The sentence encoder's training: telling a text's neighbour from others."""

import math

import numpy as np
import pytest
import torch

from pipelines.corpora.texts import Tokens
from pipelines.training.data.passages import Source
from pipelines.training.recipes.thoughts import TEMPERATURE, TextLengths, ThoughtsConfig, ThoughtsTask

TEXTS = Tokens.of([[2, 3], [3, 4], [4, 2], [5]])


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> ThoughtsTask:
    """Returns a task whose encoder gives to each text, by its first word, a vector of the identity's rows."""
    source = Source(TEXTS, np.asarray([1, 2, 0, -1]))
    config = ThoughtsConfig(dim_word=3, bi=2, dim=4, tokens=20, follow=0.5, noise=0.0)
    made = ThoughtsTask(config, 6, {"books": source}, {"books": 1.0}, {"dev_books": TEXTS})
    monkeypatch.setattr(made.model, "encode", lambda ids, lengths: torch.eye(4)[ids[:, 0] - 2])
    return made


def _follow(task: ThoughtsTask, vectors: torch.Tensor) -> float:
    neighbours = [TEXTS[place] if place >= 0 else None for place in task.sources["books"].neighbours]
    return float(task._follow_loss(vectors, neighbours, np.random.default_rng(0)).detach())


def test_neighbours_that_are_foretold_cost_little_and_others_much(task: ThoughtsTask) -> None:
    right = torch.eye(4)[[1, 2, 0, 3]]  # [N, S]: each text's vector is its neighbour's
    away = math.exp(-1.5 / TEMPERATURE)  # less their mean, three unit vectors have cosines of 1 and -1/2
    assert _follow(task, right) == pytest.approx(math.log(1 + 2 * away), abs=1e-6)
    assert _follow(task, torch.eye(4)) == pytest.approx(1.5 / TEMPERATURE + math.log(1 + 2 * away), abs=1e-3)


def test_one_text_with_a_neighbour_tells_nothing(task: ThoughtsTask) -> None:
    assert float(task._follow_loss(torch.eye(4), [TEXTS[0], None, None], np.random.default_rng(0))) == 0


def test_following_counts_in_the_loss_by_its_weight(task: ThoughtsTask) -> None:
    loss = task.loss(0, np.random.default_rng(0))
    expected = loss.figures["nll_books"] + task.config.bag * loss.figures["bag"] + 0.5 * loss.figures["follow"]
    assert float(loss.value.detach()) == pytest.approx(expected, rel=1e-5)


def test_lengths_of_passages_are_options_of_the_sentence_encoder() -> None:
    assert issubclass(ThoughtsConfig, TextLengths)
    assert (ThoughtsConfig(most=32).least, ThoughtsConfig(most=32).most) == (5, 32)
