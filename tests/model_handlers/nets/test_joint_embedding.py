"""The joint embedding by hand: unit vectors of photos, and three sentence encoders."""

import math

import numpy as np
import pytest
import torch

from model_handlers.nets.joint_embedding import ENCODERS, JointEmbedding

WORDS = torch.tensor([[2, 3, 0, 1, 1], [0, 2, 2, 2, 2], [3, 3, 2, 1, 0]])  # [3, 5]
LENGTHS = torch.tensor([3, 1, 5])  # [3]


def seeded(encoder: str, dim: int = 4) -> JointEmbedding:
    torch.manual_seed(0)
    return JointEmbedding(6, dim, dim, 5, encoder).requires_grad_(False)


def test_photos_by_hand() -> None:
    net = JointEmbedding(2, 3, 3, 4).requires_grad_(False)
    net.image_projection.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))  # [3, 2]
    net.image_projection.bias.copy_(torch.tensor([0.4, -0.6, 0.6]))  # [3]
    embeddings = net.embed_images(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))  # [2, 3]
    first, second = np.array([1.0, 1.0, 2.0]), np.array([0.4, 1.4, 1.6])  # unit vectors (0.6, 0.8) and (0, 1)
    expected = [first / math.sqrt(6), second / np.linalg.norm(second)]
    np.testing.assert_allclose(embeddings, expected, atol=1e-6)


def test_the_length_of_a_feature_vector_does_not_matter() -> None:
    net, features = seeded("gru"), torch.rand(3, 6)  # [3, 6]
    torch.testing.assert_close(net.embed_images(features * 1000), net.embed_images(features))


def test_a_feature_vector_of_zeros_has_no_direction() -> None:
    assert seeded("gru").embed_images(torch.zeros(1, 6)).isnan().all()


def test_bow_by_hand() -> None:
    net = JointEmbedding(2, 2, 2, 4, "bow").requires_grad_(False)
    net.word_vectors.weight.copy_(torch.tensor([[0.0, 1.0], [50.0, 50.0], [3.0, 0.0], [0.0, 2.0]]))  # [4, 2]
    words = torch.tensor([[2, 3, 0, 1], [2, 0, 1, 1], [2, 2, 3, 0]])  # [3, 4]
    embeddings = net.embed_sentences(words, torch.tensor([3, 2, 4]))  # [3, 2]
    sums = np.array([[3.0, 3.0], [3.0, 1.0], [6.0, 3.0]])
    np.testing.assert_allclose(embeddings, sums / np.linalg.norm(sums, axis=1, keepdims=True), atol=1e-6)


def test_lstm_by_its_formula() -> None:
    net = seeded("lstm")
    weights = {name: value.double().numpy() for name, value in net.state_dict().items()}
    cell, state = np.zeros(4), np.zeros(4)
    for word in (2, 3, 0):
        gates = weights["encoder.weight_ih_l0"] @ weights["word_vectors.weight"][word] + weights["encoder.bias_ih_l0"]
        gates = gates + weights["encoder.weight_hh_l0"] @ state + weights["encoder.bias_hh_l0"]
        take, keep, new, show = np.split(gates, 4)
        cell = cell / (1 + np.exp(-keep)) + np.tanh(new) / (1 + np.exp(-take))
        state = np.tanh(cell) / (1 + np.exp(-show))
    embeddings = net.embed_sentences(WORDS, LENGTHS)  # [3, 4]
    np.testing.assert_allclose(embeddings[0], state / np.linalg.norm(state), atol=1e-6)


def test_gru_by_hand() -> None:
    """Gates are open by their biases: the state is tanh of the word and twice the state before."""
    net = JointEmbedding(2, 1, 2, 3, "gru").requires_grad_(False)
    for parameter in net.encoder.parameters():
        parameter.zero_()
    net.word_vectors.weight.copy_(torch.tensor([[0.1], [9.0], [0.5]]))  # [3, 1]
    net.encoder.bias_ih_l0.copy_(torch.tensor([100.0, 100.0, -100.0, -100.0, 0.0, 0.3]))  # [6]
    net.encoder.weight_ih_l0[4:].copy_(torch.tensor([[1.0], [0.0]]))  # [2, 1]
    net.encoder.weight_hh_l0[4:].copy_(2 * torch.eye(2))  # [2, 2]
    first = math.tanh(2 * math.tanh(0.5) + 0.1)
    second = math.tanh(2 * math.tanh(0.3) + 0.3)
    expected = np.array([first, second]) / math.hypot(first, second)
    np.testing.assert_allclose(
        net.embed_sentences(torch.tensor([[2, 0, 1]]), torch.tensor([2]))[0], expected, atol=1e-6
    )


@pytest.mark.parametrize("encoder", ENCODERS)
def test_padding_changes_nothing(encoder: str) -> None:
    net = seeded(encoder)
    other = torch.where(torch.arange(5) < LENGTHS[:, None], WORDS, 4)  # [3, 5]
    wider = torch.cat([other, torch.full((3, 4), 3)], dim=1)  # [3, 9]
    torch.testing.assert_close(net.embed_sentences(wider, LENGTHS), net.embed_sentences(WORDS, LENGTHS))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_batch_equals_its_sentences_one_by_one(encoder: str) -> None:
    net = seeded(encoder)
    batch = net.embed_sentences(WORDS, LENGTHS)  # [3, 4]
    singles = [
        net.embed_sentences(row[None, :length], length[None]) for row, length in zip(WORDS, LENGTHS, strict=True)
    ]
    torch.testing.assert_close(batch, torch.cat(singles))
    torch.testing.assert_close(batch.norm(dim=1), torch.ones(3))
    assert not torch.allclose(batch[0], batch[2])


def test_wrong_encoders_and_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="'rnn' is unknown; it can be gru, lstm, bow"):
        JointEmbedding(2, 2, 2, 4, "rnn")
    with pytest.raises(ValueError, match=r"dim_word \(3\) equal to dim \(2\)"):
        JointEmbedding(2, 3, 2, 4, "bow")


def test_a_bow_encoder_has_no_recurrent_weights() -> None:
    assert set(seeded("bow").state_dict()) == {
        "word_vectors.weight",
        "image_projection.weight",
        "image_projection.bias",
    }
