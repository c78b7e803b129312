"""A story decoder's step as a search takes it, with memory of its own."""

import torch
from torch import Tensor

from model_handlers.nets.beams import Step
from model_handlers.nets.story_decoder import StoryDecoder


class BufferedStep:
    """The step on a CPU. Its logits lie in memory that the next call uses again: fresh memory for so many numbers costs
    as much as computing them where the network is small.

    Args:
        net: the decoder.
    """

    def __init__(self, net: StoryDecoder) -> None:
        self._net = net
        self._memory = torch.empty(0)

    def __call__(self, words: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits `[R, V]` of the next words, until the next call, and the new states `[R, H]`.

        Args:
            words: ids of the words before `[R]`, -1 at the start.
            states: `[R, H]`.
        """
        net = self._net
        states = net.cell(net.embed(words), states)  # [R, H]
        seen = states if net.hidden is None else torch.tanh(net.hidden(states))  # [R, H or W]
        count, size = len(words), net.logits.out_features
        if self._memory.numel() < count * size:
            self._memory = seen.new_empty(count * size)  # [R * V]
        logits = self._memory[: count * size].view(count, size)  # [R, V]
        return torch.addmm(net.logits.bias, seen, net.logits.weight.T, out=logits), states


def search_step(net: StoryDecoder, otherwise: Step) -> Step:
    """Returns the decoder's step for one search: one with its own memory for float32 on a CPU, else the one given."""
    weight = net.logits.weight  # [V, H or W]
    return BufferedStep(net) if weight.device.type == "cpu" and weight.dtype == torch.float32 else otherwise
