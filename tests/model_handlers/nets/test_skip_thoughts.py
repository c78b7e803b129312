"""The skip-thought encoder by hand: parts, their order, their lengths, and sentences of several lengths together."""

import math

import pytest
import torch
from torch import Tensor, nn

from model_handlers.nets.skip_thoughts import SkipThoughts

LENGTHS = torch.tensor([3, 1, 4])  # [3]


def open_gates(gru: nn.GRU, word: list[float], recurrent: float) -> None:
    """Makes a unit of one-dimensional words whose new state is tanh(word * x + recurrent * h)."""
    for parameter in gru.parameters():
        parameter.zero_()
    dim = gru.hidden_size
    gru.bias_ih_l0[:dim] = 100.0
    gru.bias_ih_l0[dim : 2 * dim] = -100.0
    gru.weight_ih_l0[2 * dim :] = torch.tensor(word)[:, None]  # [H, 1]
    gru.weight_hh_l0[2 * dim :] = recurrent * torch.eye(dim)  # [H, H]


def states(word: float, recurrent: float, inputs: list[float]) -> float:
    state = 0.0
    for value in inputs:
        state = math.tanh(word * value + recurrent * state)
    return state


def by_hand() -> SkipThoughts:
    net = SkipThoughts(1, uni=2, bi=1).requires_grad_(False)
    open_gates(net.uni, [1.0, -0.5], 0.5)
    open_gates(net.bi_forward, [2.0], 1.0)
    open_gates(net.bi_reverse, [0.5], -1.0)
    return net


def seeded(uni: int, bi: int) -> tuple[SkipThoughts, Tensor, Tensor]:
    torch.manual_seed(0)
    return SkipThoughts(3, uni, bi).requires_grad_(False), torch.randn(3, 4, 3), torch.randn(3, 4, 3)


def test_parts_by_hand() -> None:
    uni, bi = torch.tensor([[[0.3], [-0.2]]]), torch.tensor([[[0.4], [0.1]]])  # [1, 2, 1], [1, 2, 1]
    vector = by_hand()(uni, bi, torch.tensor([2]), normalise=False)[0]  # [4]
    expected = [
        states(1.0, 0.5, [0.3, -0.2]),
        states(-0.5, 0.5, [0.3, -0.2]),
        states(2.0, 1.0, [0.4, 0.1]),
        states(0.5, -1.0, [0.1, 0.4]),
    ]
    assert vector.tolist() == pytest.approx(expected, abs=1e-6)


def test_each_part_is_scaled_by_its_own_norm() -> None:
    uni, bi = torch.tensor([[[0.3], [-0.2]]]), torch.tensor([[[0.4], [0.1]]])  # [1, 2, 1], [1, 2, 1]
    net, length = by_hand(), torch.tensor([2])
    raw, unit = net(uni, bi, length, normalise=False)[0], net(uni, bi, length)[0]  # [4], [4]
    assert unit[:2].tolist() == pytest.approx((raw[:2] / math.hypot(*raw[:2].tolist())).tolist())
    assert unit[2:].tolist() == pytest.approx((raw[2:] / math.hypot(*raw[2:].tolist())).tolist())
    assert unit.norm().item() == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize(("uni", "bi", "width"), [(5, 0, 5), (0, 2, 4), (5, 2, 9)])
def test_parts_stand_alone_or_side_by_side(uni: int, bi: int, width: int) -> None:
    net, uni_words, bi_words = seeded(uni, bi)
    vectors = net(uni_words if uni else None, bi_words if bi else None, LENGTHS)  # [3, S]
    assert net.dim == width and vectors.shape == (3, width)
    norms = torch.full((3,), math.sqrt((uni > 0) + (bi > 0)))  # [3]
    torch.testing.assert_close(vectors.norm(dim=1), norms)


def test_padding_changes_nothing() -> None:
    net, uni_words, bi_words = seeded(5, 2)
    beyond = (torch.arange(4) >= LENGTHS[:, None])[:, :, None]  # [3, 4, 1]
    other = [words.masked_fill(beyond, 1e6) for words in (uni_words, bi_words)]  # 2 x [3, 4, 3]
    wider = [torch.cat([words, torch.ones(3, 2, 3)], dim=1) for words in other]  # 2 x [3, 6, 3]
    torch.testing.assert_close(net(*wider, LENGTHS), net(uni_words, bi_words, LENGTHS))


def test_a_batch_equals_its_sentences_one_by_one() -> None:
    net, uni_words, bi_words = seeded(5, 2)
    batch = net(uni_words, bi_words, LENGTHS)  # [3, 9]
    singles = [
        net(uni_words[place : place + 1, :length], bi_words[place : place + 1, :length], torch.tensor([length]))
        for place, length in enumerate(LENGTHS.tolist())
    ]
    torch.testing.assert_close(batch, torch.cat(singles))


def test_an_encoder_without_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="a uni part, a bi part or both"):
        SkipThoughts(3)
