"""The sentence encoder's training: its words' loss, and recognising a text's neighbour among others."""

import math

import numpy as np
import pytest
import torch

from model_handlers.nets.story_decoder import StoryDecoder
from pipelines.corpora.texts import Tokens
from pipelines.training.data.passages import Source
from pipelines.training.engine.arithmetic import Arithmetic, computing
from pipelines.training.recipes.thoughts import (
    TEMPERATURE,
    Autoencoder,
    TextLengths,
    ThoughtsConfig,
    ThoughtsTask,
    decoder_states,
    text_loss,
)

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


def test_neighbours_that_are_predicted_cost_little_and_others_much(task: ThoughtsTask) -> None:
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


@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
def test_vectors_and_words_cost_what_the_nets_say(low: bool) -> None:
    torch.manual_seed(0)
    model = Autoencoder(ThoughtsConfig(dim_word=6, bi=4, dim=5), 9)
    ids, lengths = torch.tensor([[2, 3, 4, 0], [5, 8, 0, 0]]), torch.tensor([4, 3])  # [2, 4], [2]
    words = model.table(ids)  # [2, 4, 6]
    vectors = model.encoder(words, words, lengths - 1)  # [2, 8]
    likely = model.decoder(vectors, ids).log_softmax(dim=2).gather(2, ids[:, :, None])  # [2, 4, 1]
    wanted = -torch.cat([likely[0, :4], likely[1, :3]]).mean()
    with computing(Arithmetic(torch.device("cpu"), low)):
        found = model.encode(ids, lengths - 1)  # [2, 8]
        value = text_loss(model.decoder, decoder_states(model.decoder, found, ids, ids), ids, lengths)
    slopes = [torch.autograd.grad(one, list(model.decoder.parameters())) for one in (value, wanted)]
    near = 0.03 if low else 1e-5
    assert found.dtype == value.dtype == torch.float32
    assert float((found - vectors).detach().norm()) < near and abs(float((value - wanted).detach())) < near
    assert all(
        float((one - other).norm()) <= near * (1 + float(other.norm())) for one, other in zip(*slopes, strict=True)
    )


def test_a_drawn_softmax_costs_about_as_much_as_the_whole() -> None:
    torch.manual_seed(0)
    decoder, ids = StoryDecoder(3, 4, 5, 2000, deep_output=True), torch.tensor([[2, 3, 4, 0]])  # [1, 4]
    torch.nn.init.normal_(decoder.logits.weight, std=0.5)
    states, lengths = torch.randn(1, 4, 4), torch.tensor([4])  # [1, 4, 4], [1]
    whole = float(text_loss(decoder, states, ids, lengths).detach())
    drawn = [float(text_loss(decoder, states, ids, lengths, negatives=500).detach()) for _ in range(50)]
    assert np.mean(drawn) == pytest.approx(whole, abs=0.03) and len(set(drawn)) == 50
    assert float(text_loss(decoder, states, ids, lengths, negatives=2000).detach()) == pytest.approx(whole, abs=1e-5)


def test_lengths_of_passages_are_options_of_the_sentence_encoder() -> None:
    assert issubclass(ThoughtsConfig, TextLengths)
    assert (ThoughtsConfig(most=32).least, ThoughtsConfig(most=32).most) == (5, 32)
