"""The fast pieces of training against the plain ones, with bfloat16 products and without; hinge, recalls, devices."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from model_handlers.nets.skip_thoughts import SkipThoughts
from pipelines.training.engine.arithmetic import Arithmetic, arithmetic, autocast, computing
from pipelines.training.engine.recurrence import encode_fast, run_gru
from pipelines.training.engine.softmax import linear_cross_entropy
from pipelines.training.recipes.joint import contrast, hinge, recalls


def _near(one: torch.Tensor, other: torch.Tensor, share: float = 0.02) -> bool:
    return bool((one - other).norm() <= share * other.norm())


@pytest.fixture(params=[0.02, 1e-6], ids=["bfloat16", "float32"])
def share(request: pytest.FixtureRequest) -> Iterator[float]:
    """The error that is allowed; within the test products are of that precision."""
    with computing(Arithmetic(torch.device("cpu"), low=request.param == 0.02)):
        yield request.param


def test_recurrence_and_its_gradients_are_torchs(share: float) -> None:
    torch.manual_seed(0)
    unit = nn.GRU(6, 5, batch_first=True)
    inputs, first = torch.randn(4, 7, 6, requires_grad=True), torch.randn(4, 5, requires_grad=True)  # [4, 7, 6], [4, 5]
    weights = torch.randn(4, 7, 5)  # [4, 7, 5]
    leaves = [inputs, first, *unit.parameters()]
    states = unit(inputs, first[None])[0]  # [4, 7, 5]
    wanted = torch.autograd.grad((states * weights).sum(), leaves)
    fast = run_gru(unit, inputs, first)  # [4, 7, 5]
    found = torch.autograd.grad((fast * weights).sum(), leaves)
    assert _near(fast, states, share)
    assert all(_near(one, other, share) for one, other in zip(found, wanted, strict=True))


def test_recurrence_of_a_cell_begins_with_zeros(share: float) -> None:
    torch.manual_seed(0)
    cell, inputs = nn.GRUCell(6, 5), torch.randn(4, 2, 6)  # [4, 2, 6]
    assert _near(run_gru(cell, inputs)[:, 1], cell(inputs[:, 1], cell(inputs[:, 0])), share)


def test_fast_encoder_is_the_encoder(share: float) -> None:
    torch.manual_seed(0)
    encoder = SkipThoughts(6, uni=5, bi=4)
    words, lengths = torch.randn(3, 6, 6), torch.tensor([6, 2, 4])  # [3, 6, 6], [3]
    assert _near(encode_fast(encoder, words, lengths), encoder(words, words, lengths), share)


def test_cross_entropy_over_many_rows_is_torchs(share: float) -> None:
    torch.manual_seed(0)
    states, weight = torch.randn(300, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)  # 2 x [.., 8]
    bias = torch.randn(50, requires_grad=True)  # [50]
    targets, shares = torch.randint(50, (300,)), torch.rand(300)  # [300], [300]
    plain = (nn.functional.cross_entropy(states @ weight.T + bias, targets, reduction="none") * shares).sum()
    wanted = torch.autograd.grad(2 * plain, [states, weight, bias])
    value = linear_cross_entropy(states, weight, bias, targets, shares)
    found = torch.autograd.grad(2 * value, [states, weight, bias])
    assert abs(value.item() / plain.item() - 1) < share
    assert all(_near(one, other, share) for one, other in zip(found, wanted, strict=True))


def test_autocast_follows_the_arithmetic() -> None:
    one = torch.ones(2, 2)  # [2, 2]
    for low, kind in ((True, torch.bfloat16), (False, torch.float32)):
        with computing(Arithmetic(torch.device("cpu"), low)), autocast():
            assert (one @ one).dtype == kind


def test_new_tensors_lie_on_the_device_within_and_not_after() -> None:
    with computing(Arithmetic(torch.device("meta"), low=False)):
        assert torch.as_tensor([1.0]).device.type == torch.zeros(1).device.type == "meta"
        assert arithmetic().device.type == "meta"
    assert torch.zeros(1).device.type == arithmetic().device.type == "cpu"


def test_hinge_counts_all_wrong_pairs_or_the_worst() -> None:
    similarity = torch.tensor([[0.5, 0.4, 0.1], [0.6, 0.9, 0.0], [0.2, 0.8, 0.7]])  # [3, 3]
    # photos: .1 | - | .3; captions: .3 (row 1), - (row 2: -.1) | - , .1 (row 2) | -, -
    assert torch.isclose(hinge(similarity, 0.2, hardest=False), torch.tensor(0.1 + 0.3 + 0.3 + 0.1))
    two = torch.tensor([[0.5, 0.5, 0.6], [0.0, 0.9, 0.0], [0.0, 0.0, 0.9]])  # [3, 3]
    assert torch.isclose(hinge(two, 0.2, hardest=False), torch.tensor(0.5))
    assert torch.isclose(hinge(two, 0.2, hardest=True), torch.tensor(0.3))


def test_contrast_of_a_certain_batch_is_nothing() -> None:
    assert float(contrast(100 * torch.eye(4))) < 1e-6
    assert torch.isclose(contrast(torch.zeros(4, 4)), 2 * torch.tensor(4.0).log())


def test_recalls_by_hand() -> None:
    similarity = torch.tensor([[0.9, 0.1, 0.8, 0.3], [0.2, 0.4, 0.5, 0.1]])  # [2, 4]
    figures = recalls(similarity, [[0, 1], [2, 3]])
    assert figures["image_to_text_R@1"] == 100
    assert figures["text_to_image_R@1"] == 25
    assert figures["text_to_image_R@5"] == 100
