"""Where training computes and with which products; losses and recalls by hand."""

import pytest
import torch

from pipelines.training.engine.arithmetic import Arithmetic, arithmetic, autocast, computing, threads
from pipelines.training.recipes.joint import contrast, hinge, recalls


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


def test_threads_are_those_from_before_whatever_happens() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="broken"), threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise RuntimeError("broken")
    assert torch.get_num_threads() == before


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
