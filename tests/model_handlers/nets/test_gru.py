"""The recurrence of SPEC section 5, by hand and by its formula, in torch's arrangement."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_handlers.nets.gru import gru_state, last_state, reverse_sequences

PARTS = ("W", "b", "U", "Wx", "bx", "Ux")


def original(draw: np.random.Generator, inputs: int, dim: int) -> dict[str, np.ndarray]:
    """Returns the six arrays of a unit named `encoder`."""
    shapes = [(inputs, 2 * dim), (2 * dim,), (dim, 2 * dim), (inputs, dim), (dim,), (dim, dim)]
    return {f"encoder_{part}": draw.normal(size=shape) for part, shape in zip(PARTS, shapes, strict=True)}


def recurrence(arrays: dict[str, np.ndarray], words: np.ndarray) -> np.ndarray:
    """Returns all states `[T, H]` over `words` `[T, W]`, by the formula of SPEC section 5."""
    w, b, u, wx, bx, ux = (arrays[f"encoder_{part}"] for part in PARTS)
    state = np.zeros(len(bx))  # [H]
    states = []
    for word in words:
        gates = 1 / (1 + np.exp(-(state @ u + word @ w + b)))  # [2H]
        reset, update = np.split(gates, 2)  # [H], [H]
        candidate = np.tanh(reset * (state @ ux) + word @ wx + bx)  # [H]
        state = update * state + (1 - update) * candidate  # [H]
        states.append(state)
    return np.stack(states)  # [T, H]


def unit(arrays: dict[str, np.ndarray]) -> nn.GRU:
    inputs, dim = arrays["encoder_Wx"].shape
    gru = nn.GRU(inputs, dim, batch_first=True, dtype=torch.float64)
    gru.load_state_dict(gru_state({name: torch.from_numpy(array) for name, array in arrays.items()}, "encoder"))
    return gru


def single(reset: float, update: float) -> nn.GRU:
    """Returns a unit of one input and one state whose gates are fixed by their biases: x enters as 3x, h as 2h."""
    arrays = {"W": [[0.0, 0.0]], "b": [reset, update], "U": [[0.0, 0.0]], "Wx": [[3.0]], "bx": [0.25], "Ux": [[2.0]]}
    return unit({f"encoder_{part}": np.array(numbers) for part, numbers in arrays.items()})


@pytest.mark.parametrize(
    ("reset", "update", "first", "second"),
    [
        (100.0, -100.0, math.tanh(3.25), math.tanh(2 * math.tanh(3.25) - 6 + 0.25)),  # reset and update fully open
        (-100.0, -100.0, math.tanh(3.25), math.tanh(-6 + 0.25)),  # the reset gate hides the old state
        (100.0, 100.0, 0.0, 0.0),  # the update gate keeps the old state
        (0.0, 0.0, math.tanh(3.25) / 2, math.tanh(3.25) / 4 + math.tanh(math.tanh(3.25) / 2 - 5.75) / 2),
    ],
)
def test_gates_by_hand(reset: float, update: float, first: float, second: float) -> None:
    states, _ = single(reset, update)(torch.tensor([[[1.0], [-2.0]]], dtype=torch.float64))  # [1, 2, 1]
    assert states.flatten().tolist() == pytest.approx([first, second], abs=1e-12)


def test_states_follow_the_formula() -> None:
    draw = np.random.default_rng(0)
    arrays, words = original(draw, 5, 4), draw.normal(size=(7, 5))  # [7, 5]
    states, _ = unit(arrays)(torch.from_numpy(words)[None])  # [1, 7, 4]
    np.testing.assert_allclose(states[0].detach(), recurrence(arrays, words), atol=1e-12)


def test_a_cells_names_have_no_layer() -> None:
    arrays = {name: torch.from_numpy(array) for name, array in original(np.random.default_rng(0), 3, 2).items()}
    nn.GRUCell(3, 2, dtype=torch.float64).load_state_dict(gru_state(arrays, "encoder", layer=""))


def test_a_missing_array_is_named() -> None:
    arrays = {name: torch.from_numpy(array) for name, array in original(np.random.default_rng(0), 3, 2).items()}
    del arrays["encoder_bx"]
    with pytest.raises(KeyError, match="encoder_bx"):
        gru_state(arrays, "encoder")


@pytest.mark.parametrize("padding", [0.0, 1e6])
@pytest.mark.parametrize("way", [torch.inference_mode, torch.no_grad])  # step by step, and torch's own layer
def test_the_last_state_is_that_after_the_last_word(padding: float, way: Any) -> None:
    draw = np.random.default_rng(1)
    arrays, lengths = original(draw, 3, 4), [2, 5, 1]
    words = [draw.normal(size=(length, 3)) for length in lengths]
    batch = torch.full((3, 6, 3), padding, dtype=torch.float64)  # [3, 6, 3]
    for row, sequence in zip(batch, words, strict=True):
        row[: len(sequence)] = torch.from_numpy(sequence)  # [T, 3]
    with way():
        states = last_state(unit(arrays), batch, torch.tensor(lengths))  # [3, 4]
    expected = np.stack([recurrence(arrays, sequence)[-1] for sequence in words])  # [3, 4]
    np.testing.assert_allclose(states, expected, atol=1e-12)


def test_sequences_are_reversed_within_their_lengths() -> None:
    words = torch.tensor([[1, 2, 3, 9], [4, 9, 9, 9], [5, 6, 7, 8]])[:, :, None]  # [3, 4, 1]
    lengths = torch.tensor([3, 1, 4])  # [3]
    reversed_words: Tensor = reverse_sequences(words, lengths)  # [3, 4, 1]
    assert reversed_words[:, :, 0].tolist() == [[3, 2, 1, 9], [4, 9, 9, 9], [8, 7, 6, 5]]
