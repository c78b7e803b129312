"""Synchronisation of a beam search with its device: on a GPU none between two checks for finished photos."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from model_handlers.nets import beams
from model_handlers.nets.beams import Beams
from model_handlers.nets.search_rules import Marks, RuledBeams, SearchRules
from model_handlers.nets.story_decoder import StoryDecoder

MARKS = Marks(frozenset([4]), frozenset([5]))
META = torch.device("meta")


def search(kind: str, device: torch.device) -> Beams:
    torch.manual_seed(2)
    net = StoryDecoder(6, 4, 8, 200, deep_output=True).requires_grad_(False).to(device)
    states, styles = (net.initial_state(torch.randn(4, 6).to(device)) for _ in range(2))  # [4, 8], [4, 8]
    if kind == "plain":
        return Beams(net.step, states, 3, 40, whole=False)
    rules = SearchRules(min_words=3, max_words=30, no_repeat=3, contrast=0.5 if kind == "contrast" else 0.0)
    return RuledBeams(net.step, states, 3, rules, MARKS, styles if rules.contrast else None, whole=False)


class NoCopies(TorchFunctionMode):
    """Refuses what copies from the host's memory: lists that become tensors, and tensors that lie there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [one for one in tree_leaves((args, kwargs or {})) if isinstance(one, Tensor)]
        on_host = any(one.device.type == "cpu" and one.ndim for one in given)
        assert not on_host and func not in (torch.tensor, torch.as_tensor), f"{func} copies from the host"
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    """Within it whatever waits for the device fails."""
    if device.type == "meta":  # which has no values to wait for
        with NoCopies():
            yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def advance(kind: str, device: torch.device) -> None:
    with torch.inference_mode():
        beam = search(kind, device)
        front = beam._start([0, 1, 2])
        front = beam.advance(front)  # what is made once is made
        with no_waiting(device):
            for _ in range(beams.LOOKS["cuda"]):
                front = beam.advance(front)
    assert front.lengths == [1 + beams.LOOKS["cuda"]] * 3


@pytest.mark.parametrize("kind", ["plain", "rules", "contrast"])
def test_nothing_is_asked_of_values_between_looks(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device, where tensors have no values: what wants one fails, as would a copy of the host's lists."""
    monkeypatch.setitem(beams.ROWS, "meta", 99)
    advance(kind, META)
    with pytest.raises(AssertionError, match="copies from the host"), NoCopies():
        torch.tensor([1, 2], device=META)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", ["plain", "rules", "contrast"])
def test_nothing_waits_for_a_gpu_between_looks(kind: str) -> None:
    advance(kind, torch.device("cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", ["plain", "rules", "contrast"])
def test_a_gpu_finds_what_the_processor_finds(kind: str) -> None:
    here, there = search(kind, torch.device("cpu")).run(), search(kind, torch.device("cuda")).run()
    for one, other in zip(here, there, strict=True):
        assert [found.words for found in one] == [found.words for found in other][: len(one)]
