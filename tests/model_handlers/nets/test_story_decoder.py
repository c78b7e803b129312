"""The story decoder by hand: first state, one step with either output, and passages read whole."""

import math

import pytest
import torch

from model_handlers.nets.story_decoder import START, StoryDecoder


def by_hand(deep: bool) -> StoryDecoder:
    """Returns a decoder of one-dimensional words and states whose new state is tanh(x + h / 2)."""
    net = StoryDecoder(2, 1, 1, 3, deep).requires_grad_(False)
    for parameter in net.parameters():
        parameter.zero_()
    net.state.weight.copy_(torch.tensor([[1.0, -1.0]]))  # [1, 2]
    net.state.bias.fill_(0.25)
    net.word_vectors.weight.copy_(torch.tensor([[0.5], [0.7], [-0.3]]))  # [3, 1]
    net.cell.bias_ih.copy_(torch.tensor([100.0, -100.0, 0.0]))  # [3]
    net.cell.weight_ih[2] = 1.0
    net.cell.weight_hh[2] = 0.5
    net.logits.weight.copy_(torch.tensor([[1.0], [0.0], [-2.0]]))  # [3, 1]
    net.logits.bias.copy_(torch.tensor([0.0, 0.1, 0.2]))  # [3]
    if net.hidden is not None:
        net.hidden.weight.fill_(3.0)
        net.hidden.bias.fill_(-0.5)
    return net


def seeded(deep: bool) -> StoryDecoder:
    torch.manual_seed(0)
    return StoryDecoder(5, 3, 4, 7, deep).requires_grad_(False)


def test_the_first_state_by_hand() -> None:
    states = by_hand(False).initial_state(torch.tensor([[1.0, 0.5], [0.0, 3.0]]))  # [2, 1]
    assert states.flatten().tolist() == pytest.approx([math.tanh(0.75), math.tanh(-2.75)])


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(("word", "vector"), [(START, 0.0), (0, 0.5), (2, -0.3)])
def test_a_step_by_hand(deep: bool, word: int, vector: float) -> None:
    logits, state = by_hand(deep).step(torch.tensor([word]), torch.tensor([[0.8]]))  # [1, 3], [1, 1]
    expected = math.tanh(vector + 0.4)
    assert state.item() == pytest.approx(expected)
    seen = math.tanh(3 * expected - 0.5) if deep else expected
    odds = [math.exp(seen), math.exp(0.1), math.exp(-2 * seen + 0.2)]
    assert logits.softmax(dim=1)[0].tolist() == pytest.approx([odd / sum(odds) for odd in odds])


@pytest.mark.parametrize("deep", [False, True])
def test_a_passage_read_whole_equals_its_steps(deep: bool) -> None:
    net, contexts = seeded(deep), torch.randn(2, 5)  # [2, 5]
    words = torch.tensor([[3, 6, 2, 0], [1, 2, 0, 0]])  # [2, 4]
    state, before, steps = net.initial_state(contexts), torch.tensor([START, START]), []
    for column in words.T:
        following, state = net.step(before, state)  # [2, 7], [2, 4]
        steps.append(following.softmax(dim=1))
        before = column
    logits = net(contexts, words)  # [2, 4, 7]
    torch.testing.assert_close(logits.softmax(dim=2), torch.stack(steps, dim=1))


@pytest.mark.parametrize("deep", [False, True])
def test_a_batch_equals_its_photos_one_by_one(deep: bool) -> None:
    net, words, states = seeded(deep), torch.tensor([START, 0, 6, 3]), torch.randn(4, 4)  # [4], [4, 4]
    logits, after = net.step(words, states)  # [4, 7], [4, 4]
    singles = [net.step(words[place : place + 1], states[place : place + 1]) for place in range(4)]
    torch.testing.assert_close(logits, torch.cat([single[0] for single in singles]))
    torch.testing.assert_close(after, torch.cat([single[1] for single in singles]))


def test_only_a_deep_output_has_a_hidden_layer() -> None:
    assert {name for name in seeded(True).state_dict() if "hidden" in name} == {"hidden.weight", "hidden.bias"}
    assert not [name for name in seeded(False).state_dict() if "hidden" in name]


def test_gradients_reach_every_weight() -> None:
    """The fused run over all steps is not a copy of the cell's weights."""
    net = seeded(True).requires_grad_(True)
    net(torch.randn(2, 5), torch.tensor([[3, 6], [1, 2]])).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in net.parameters())
