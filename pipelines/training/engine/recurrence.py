"""A GRU over whole sequences that learns fast on a processor: bfloat16 products, one for each weight's gradient.

The arithmetic is that of `torch.nn.GRU`; torch adds up the weights' gradients step by step. On a GPU, and where float32
is asked for, torch's own GRU runs.
"""

from typing import Any

import torch
from torch import Tensor, nn

from model_handlers.nets.gru import reverse_sequences
from model_handlers.nets.skip_thoughts import SkipThoughts
from pipelines.training.engine.arithmetic import LOW, autocast, fast_on_processor


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, first: Tensor, w_in: Tensor, w_state: Tensor, b_in: Tensor, b_state: Tensor
    ) -> Tensor:
        steps, count, _ = inputs.shape
        width = first.shape[1]
        inputs, w_in, w_state = inputs.to(LOW), w_in.to(LOW), w_state.to(LOW)  # [T, N, W], [3H, W], [3H, H]
        from_inputs = torch.nn.functional.linear(inputs, w_in, b_in.to(LOW))  # [T, N, 3H]
        states = torch.empty(steps + 1, count, width)  # [T + 1, N, H]
        low_states = torch.empty(steps + 1, count, width, dtype=LOW)  # [T + 1, N, H]
        gates = torch.empty(4, steps, count, width, dtype=LOW)  # [4, T, N, H]: reset, update, candidate, recurrent part
        states[0] = first
        low_states[0] = first
        offset = b_state.to(LOW)  # [3H]
        for step in range(steps):
            recurrent = torch.nn.functional.linear(low_states[step], w_state, offset)  # [N, 3H]
            both = torch.sigmoid(from_inputs[step, :, : 2 * width] + recurrent[:, : 2 * width])  # [N, 2H]
            reset, update = both[:, :width], both[:, width:]  # [N, H], [N, H]
            part = recurrent[:, 2 * width :]  # [N, H]
            candidate = torch.addcmul(from_inputs[step, :, 2 * width :], reset, part).float().tanh()  # [N, H]
            torch.lerp(candidate, states[step], update.float(), out=states[step + 1])  # [N, H]
            low_states[step + 1] = states[step + 1]
            gates[0, step], gates[1, step], gates[2, step], gates[3, step] = reset, update, candidate, part
        ctx.save_for_backward(inputs, low_states, gates, w_in, w_state)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, ...]:
        inputs, states, gates, w_in, w_state = ctx.saved_tensors
        (by_states,) = slopes
        steps, count, width = by_states.shape
        by_inputs = torch.empty(steps, count, 3 * width, dtype=LOW)  # [T, N, 3H]
        by_recurrent = torch.empty(steps, count, 3 * width, dtype=LOW)  # [T, N, 3H]
        slope = torch.zeros(count, width)  # [N, H]
        for step in reversed(range(steps)):
            slope = slope + by_states[step]  # [N, H]
            low = slope.to(LOW)  # [N, H]
            reset, update, candidate, part = gates[0, step], gates[1, step], gates[2, step], gates[3, step]
            by_candidate = (low - low * update) * (1 - candidate * candidate)  # [N, H]
            by_update = low * (states[step] - candidate) * update * (1 - update)  # [N, H]
            by_reset = by_candidate * part * reset * (1 - reset)  # [N, H]
            row, recurrent = by_inputs[step], by_recurrent[step]  # [N, 3H], [N, 3H]
            row[:, :width], row[:, width : 2 * width], row[:, 2 * width :] = by_reset, by_update, by_candidate
            recurrent[:, : 2 * width] = row[:, : 2 * width]
            torch.mul(by_candidate, reset, out=recurrent[:, 2 * width :])  # [N, H]
            slope = torch.addcmul((recurrent @ w_state).float(), slope, update.float())  # [N, H]
        flat_in, flat_state = by_inputs.flatten(0, 1), by_recurrent.flatten(0, 1)  # [TN, 3H], [TN, 3H]
        by_w_in = (flat_in.T @ inputs.flatten(0, 1)).float()  # [3H, W]
        by_w_state = (flat_state.T @ states[:-1].flatten(0, 1)).float()  # [3H, H]
        ones = torch.ones(1, len(flat_in), dtype=LOW)  # [1, TN]
        by_b_in, by_b_state = (ones @ flat_in)[0].float(), (ones @ flat_state)[0].float()  # [3H], [3H]
        return (by_inputs @ w_in).float(), slope, by_w_in, by_w_state, by_b_in, by_b_state


def run_gru(unit: nn.GRU | nn.GRUCell, inputs: Tensor, first: Tensor | None = None) -> Tensor:
    """Returns the states `[N, T, H]` of a GRU over `inputs` `[N, T, W]`, from `first` `[N, H]` or zeros."""
    end = "_l0" if isinstance(unit, nn.GRU) else ""
    weights = [getattr(unit, f"{name}{end}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    if first is None:
        first = inputs.new_zeros(len(inputs), unit.hidden_size, dtype=torch.float32)  # [N, H]
    if fast_on_processor():
        states: Tensor = _Recurrence.apply(inputs.transpose(0, 1), first, *weights)
        return states.transpose(0, 1)
    with autocast():
        gru = torch._VF.gru  # one fused call over all steps, for a cell's weights as for a layer's
        states, _ = gru(inputs, first[None].to(inputs.dtype), weights, True, 1, 0.0, unit.training, False, True)
    return states.float()  # [N, T, H]


def encode_fast(encoder: SkipThoughts, words: Tensor, lengths: Tensor) -> Tensor:
    """Returns what `encoder(words, words, lengths)` returns, `[N, S]`, with the products of `run_gru`."""
    last = torch.arange(len(words)), lengths - 1  # [N], [N]
    parts = []
    if encoder.uni is not None:
        parts.append(run_gru(encoder.uni, words)[last])  # [N, uni]
    if encoder.bi_forward is not None and encoder.bi_reverse is not None:
        reverse = reverse_sequences(words, lengths)  # [N, T, W]
        both = [run_gru(encoder.bi_forward, words)[last], run_gru(encoder.bi_reverse, reverse)[last]]
        parts.append(torch.cat(both, dim=1))  # [N, 2bi]
    return torch.cat([part / part.norm(dim=1, keepdim=True) for part in parts], dim=1)  # [N, S]
