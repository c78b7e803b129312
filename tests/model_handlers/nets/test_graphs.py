"""Steps that are replayed: results that the next call overwrites, and which sizes are captured."""

import logging
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model_handlers.nets import graphs
from model_handlers.nets.graphs import GraphedStep
from model_handlers.nets.search import beam_search, greedy_search, sample
from model_handlers.nets.search_rules import Marks, SearchRules, ruled_search
from model_handlers.nets.story_decoder import StoryDecoder

CPU = torch.device("cpu")
Search = Callable[[GraphedStep, Tensor], object]


class Tape:
    """Captures as CUDA does: each call overwrites what the one before returned. It keeps the sizes that it captured."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, step: graphs.Step, words: Tensor, states: Tensor) -> graphs.Step:
        self.sizes.append(len(words))
        kept = [value.clone() for value in step(words, states)]  # [R, V], [R, H]

        def replay(words: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
            for place, value in zip(kept, step(words.clone(), states.clone()), strict=True):
                place.copy_(value)
            return kept[0], kept[1]

        return replay


def decoder() -> tuple[StoryDecoder, Tensor]:
    """Returns a decoder whose sequences end sooner and later, and first states `[8, 8]`."""
    torch.manual_seed(2)
    net = StoryDecoder(6, 4, 8, 15, deep_output=True).requires_grad_(False)
    net.logits.weight.mul_(4)
    net.logits.bias[0] = 1.5
    return net, net.initial_state(3 * torch.randn(8, 6))


SEARCHES: dict[str, Search] = {
    "beam": lambda step, states: beam_search(step, states, 3, 40),
    "rules": lambda step, states: ruled_search(
        step, states, 3, SearchRules(3, 30, 3, 0.5), Marks(frozenset([4]), frozenset([5])), states.flip(0)
    ),
    "greedy": lambda step, states: greedy_search(step, states, 40),
    "sample": lambda step, states: sample(step, states, list(range(len(states))), 40),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_take_what_they_need_before_the_next_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "AFTER", 1)
    (net, states), tape = decoder(), Tape()
    plain = SEARCHES[name](GraphedStep(net.step, CPU), states)
    step = GraphedStep(net.step, CPU, tape)
    for _ in range(2):
        assert SEARCHES[name](step, states) == plain
    assert 0 < len(tape.sizes) <= graphs.MOST


def test_sizes_that_come_often_are_captured_and_no_more_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "AFTER", 2)
    monkeypatch.setattr(graphs, "MOST", 2)
    (net, states), tape = decoder(), Tape()
    step = GraphedStep(net.step, CPU, tape)
    for rows, sizes in [(5, []), (5, []), (3, []), (5, [5]), (5, [5]), (3, [5]), (3, [5, 3]), *[(4, [5, 3])] * 4]:
        words = torch.arange(rows)  # [R]
        logits, after = step(words, states[:rows])  # [R, 15], [R, 8]
        assert tape.sizes == sizes
        assert torch.equal(logits, net.step(words, states[:rows])[0]) and after.shape == (rows, 8)


def test_steps_go_on_where_a_capture_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(graphs, "AFTER", 0)
    tries: list[int] = []

    def fail(step: graphs.Step, words: Tensor, states: Tensor) -> graphs.Step:
        tries.append(len(words))
        raise torch.OutOfMemoryError("CUDA out of memory")

    net, states = decoder()
    step = GraphedStep(net.step, CPU, fail)
    with caplog.at_level(logging.WARNING):
        for rows in (5, 5, 3):
            assert torch.equal(
                step(torch.arange(rows), states[:rows])[1], net.step(torch.arange(rows), states[:rows])[1]
            )
    assert tries == [5] and caplog.text.count("no CUDA graph of a step with 5 rows (CUDA out of memory)") == 1


def test_searches_that_share_results_go_one_by_one() -> None:
    net, _ = decoder()
    entered = threading.Event()

    def enter(step: GraphedStep) -> None:
        with step.alone():
            entered.set()

    for step, shared in ((GraphedStep(net.step, CPU, Tape()), True), (GraphedStep(net.step, CPU), False)):
        entered.clear()
        other = threading.Thread(target=enter, args=(step,))
        with step.alone():
            other.start()
            assert entered.wait(0.1 if shared else 10) != shared
        other.join(10)
        assert entered.is_set()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", SEARCHES)
@torch.inference_mode()
def test_graphs_on_a_gpu_give_what_plain_steps_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "AFTER", 1)
    net, states = decoder()
    net, states = net.cuda(), states.cuda()
    step = GraphedStep(net.step, states.device)
    plain = SEARCHES[name](net.step, states)  # type: ignore[arg-type]
    for _ in range(2):
        assert SEARCHES[name](step, states) == plain
    assert step._graphs
