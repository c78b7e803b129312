"""A step with memory of its own computes what the network's step does, however many rows it sees."""

import pytest
import torch

from model_handlers.nets.search_steps import SearchSteps
from model_handlers.nets.story_decoder import START, StoryDecoder


@pytest.mark.parametrize("deep", [False, True])
@torch.inference_mode()
def test_a_searchs_step_is_the_networks(deep: bool) -> None:
    torch.manual_seed(0)
    net = StoryDecoder(5, 3, 4, 70, deep)
    with SearchSteps(net, torch.device("cpu")).one() as step:
        for count in (1, 6, 2):
            words, states = torch.randint(START, 70, (count,)), torch.randn(count, 4)  # [R], [R, 4]
            expected, moved = net.step(words, states)  # [R, 70], [R, 4]
            logits, after = step(words, states)  # [R, 70], [R, 4]
            torch.testing.assert_close(logits, expected)
            torch.testing.assert_close(after, moved)
            logits.zero_()


@torch.inference_mode()
def test_two_searches_share_no_memory() -> None:
    net = StoryDecoder(5, 3, 4, 7, False)
    words, states = torch.tensor([2, 3]), torch.randn(2, 4)  # [2], [2, 4]
    steps = SearchSteps(net, torch.device("cpu"))
    with steps.one() as step, steps.one() as other:
        first, _ = step(words, states)  # [2, 7]
        kept = first.clone()  # [2, 7]
        other(words, states + 1)
    assert torch.equal(first, kept)
