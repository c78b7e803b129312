"""A story decoder's step for searches: with preallocated memory on a CPU, as CUDA graphs on a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from model_handlers.nets.beams import Step
from model_handlers.nets.graphs import GraphedStep
from model_handlers.nets.story_decoder import StoryDecoder


class BufferedStep:
    """The step on a CPU; its logits are in memory that the next call reuses.

    With small networks, allocating memory for the logits takes as long as computing them.

    Args:
        net: the decoder.
    """

    def __init__(self, net: StoryDecoder) -> None:
        self._net = net
        self._memory = torch.empty(0)

    def __call__(self, words: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits `[R, V]` of the next words, until the next call, and the new states `[R, H]`.

        Args:
            words: ids of the previous words `[R]`, -1 at the start.
            states: `[R, H]`.
        """
        net = self._net
        states = net.cell(net.embed(words), states)  # [R, H]
        seen = net.seen(states)  # [R, H or W]
        count, size = len(words), net.logits.out_features
        if self._memory.numel() < count * size:
            self._memory = seen.new_empty(count * size)  # [R * V]
        logits = self._memory[: count * size].view(count, size)  # [R, V]
        return torch.addmm(net.logits.bias, seen, net.logits.weight.T, out=logits), states


class SearchSteps:
    """Steps for the searches of one decoder.

    Args:
        net: the decoder.
        device: device that it runs on.
    """

    def __init__(self, net: StoryDecoder, device: torch.device) -> None:
        self._net = net
        self._graphed = GraphedStep(net.step, device)

    @contextmanager
    def one(self) -> Iterator[Step]:
        """Yields the step of one search; if steps share memory, the next search waits until this one has ended."""
        with self._graphed.alone():
            weight = self._net.logits.weight  # [V, H or W]
            buffered = weight.device.type == "cpu" and weight.dtype == torch.float32
            yield BufferedStep(self._net) if buffered else self._graphed
