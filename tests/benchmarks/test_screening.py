"""The count of rows that a screening leaves: its bounds hold, and the sums can be done by hand."""

from pathlib import Path

import pytest
import torch

from benchmarks.screening import ROUNDINGS, CountedBeams, main, shares
from model_handlers.nets.story_decoder import StoryDecoder

POCKET = Path(__file__).parents[2] / "packs" / "pocket"


@pytest.fixture
def net() -> StoryDecoder:
    torch.manual_seed(0)
    return StoryDecoder(5, 3, 16, 90, False)


@torch.inference_mode()
@pytest.mark.parametrize("name", ROUNDINGS)
def test_true_logits_lie_within_the_bounds(net: StoryDecoder, name: str) -> None:
    seen = torch.randn(7, 16)  # [7, 16]
    beams = CountedBeams(net, torch.zeros(1, 16), 2, 3)
    low, apart = beams.bounds(seen, ROUNDINGS[name](seen), beams.weights[name])  # [7, 90], [7, 90]
    away = (low - net.logits(seen)).abs()  # [7, 90]
    assert (away <= apart).all() and away.max() > 0 and (apart < 0.5).all()


def test_rows_that_are_left_by_hand(net: StoryDecoder) -> None:
    """The first photo's best two words cost 0.05 and 1.05, and 5.05 in its third row: 4 more, 4 times a bound of 1."""
    beams = CountedBeams(net, torch.zeros(2, 16), 2, 3)
    photos, costs = torch.tensor([0, 0, 0, 1]), torch.tensor([0.0, 1.0, 5.0, 9.0])  # [4], [4]
    low = torch.tensor([[3.0, 0.0], [3.0, 0.0], [3.0, 0.0], [0.0, 0.0]])  # [4, 2]
    for apart, left in ((0.0, 3), (0.9, 3), (1.1, 4)):
        assert beams.left(photos, costs, low, torch.full_like(low, apart)) == left


def test_shares_of_a_search(net: StoryDecoder) -> None:
    found = shares(net, torch.randn(2, 5), 4, 6)
    assert 0 < found["going on"] <= found["bfloat16"] <= found["int8"] <= 1


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--pack", str(POCKET), "--width", "3", "--searches", "1", "--words", "2"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["going", *ROUNDINGS]
