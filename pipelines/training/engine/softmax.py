"""Cross entropy over a large vocabulary in little memory: the logits of a few rows at a time."""

from typing import Any

import torch
from torch import Tensor

from pipelines.training.engine.arithmetic import autocast, fast_on_processor

_ROWS = 128


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, shares: Tensor) -> Tensor:
        low = torch.bfloat16
        rows, columns = states.to(low), weight.to(low)  # [N, W], [V, W]
        offset = bias.to(low)  # [V]
        losses = torch.empty(len(rows))  # [N]
        by_states = torch.empty_like(rows)  # [N, W]
        by_weight = torch.zeros_like(weight)  # [V, W]
        by_bias = torch.zeros_like(bias)  # [V]
        for first in range(0, len(rows), _ROWS):
            part = slice(first, first + _ROWS)
            right = targets[part, None]  # [R, 1]
            share = shares[part, None]  # [R, 1]
            logits = torch.nn.functional.linear(rows[part], columns, offset)  # [R, V]
            mass = torch.softmax(logits, dim=1, dtype=torch.float32)  # [R, V]
            losses[part] = -mass.gather(1, right).clamp_min(1e-30).log().squeeze(1)  # [R]
            mass.scatter_add_(1, right, -torch.ones_like(share))  # [R, V]
            mass.mul_(share)  # [R, V]
            slope = mass.to(low)  # [R, V]
            by_states[part] = slope @ columns  # [R, W]
            by_weight += slope.T @ rows[part]  # [V, W]
            by_bias += mass.sum(dim=0)  # [V]
        ctx.save_for_backward(by_states, by_weight, by_bias)
        ctx.kind = states.dtype
        return (losses * shares).sum()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        by_states, by_weight, by_bias = ctx.saved_tensors
        (slope,) = slopes
        return by_states.to(ctx.kind) * slope, by_weight * slope, by_bias * slope, None, None


def linear_cross_entropy(states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, shares: Tensor) -> Tensor:
    """Returns the weighted sum of `-log softmax(states @ weight.T + bias)[targets]`.

    On a processor with bfloat16 products these are used, with float32 sums; else torch's own cross entropy.

    Args:
        states: `[N, W]`.
        weight: `[V, W]`.
        bias: `[V]`.
        targets: `[N]` int64.
        shares: weight of each row's loss `[N]`.
    """
    if not fast_on_processor():
        with autocast():
            logits = torch.nn.functional.linear(states, weight, bias)  # [N, V]
        losses = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")  # [N]
        return (losses * shares).sum()
    value: Tensor = _LinearCrossEntropy.apply(states, weight, bias, targets, shares)
    return value
