"""The gated recurrent unit of the 2015 programs, in torch's arrangement.

One recurrence serves the joint embedding, skip-thoughts and the story decoder (SPEC section 5). Its files hold the
reset and update gates side by side and have no recurrent bias; torch stacks three gates and has two biases.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def gru_state(arrays: Mapping[str, Tensor], prefix: str, layer: str = "_l0") -> dict[str, Tensor]:
    """Returns the state dict of a `torch.nn.GRU` (or `GRUCell`, with `layer=""`) from the original's six arrays.

    Args:
        arrays: arrays `{prefix}_W` `[W, 2H]`, `_b` `[2H]`, `_U` `[H, 2H]`, `_Wx` `[W, H]`, `_bx` `[H]`, `_Ux` `[H, H]`.
        prefix: the original's name of this unit, such as `encoder` or `decoder`.
        layer: the suffix of torch's parameter names.

    Raises:
        KeyError: an array is missing.
    """
    w, b, u = (arrays[f"{prefix}_{name}"] for name in ("W", "b", "U"))  # [W, 2H], [2H], [H, 2H]
    wx, bx, ux = (arrays[f"{prefix}_{name}"] for name in ("Wx", "bx", "Ux"))  # [W, H], [H], [H, H]
    bias = torch.cat([b, bx])  # [3H]
    return {
        f"weight_ih{layer}": torch.cat([w, wx], dim=1).T.contiguous(),  # [3H, W]
        f"weight_hh{layer}": torch.cat([u, ux], dim=1).T.contiguous(),  # [3H, H]
        f"bias_ih{layer}": bias,  # [3H]
        f"bias_hh{layer}": torch.zeros_like(bias),  # [3H]
    }


def last_state(gru: torch.nn.GRU | torch.nn.LSTM, words: Tensor, lengths: Tensor) -> Tensor:
    """Returns the state `[N, H]` after each sequence's own last word, in the type of the words.

    The type of the products does not matter, and neither do the values beyond a length.

    Args:
        gru: the recurrent layer: one layer, one direction, batch first.
        words: word vectors `[N, T, W]`, padded at the end with any finite values.
        lengths: words of each sequence `[N]`, at least 1.
    """
    exact = words.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    if exact and isinstance(gru, torch.nn.GRU) and torch.is_inference_mode_enabled():
        return _last_state_on_cpu(gru, words, lengths)
    states, _ = gru(words)  # [N, T, H]
    last: Tensor = states[torch.arange(len(words), device=words.device), lengths - 1]  # [N, H]
    return last.to(words.dtype)


def _last_state_on_cpu(gru: torch.nn.GRU, words: Tensor, lengths: Tensor) -> Tensor:
    """Returns the same without computing padding rows and without keeping intermediate states.

    States are columns here: weights times a matrix of columns is the faster product on a CPU, and the values of a gate
    are adjacent.
    """
    input_weights, state_weights, input_bias, state_bias = gru.all_weights[0]  # [3H, W], [3H, H], [3H], [3H]
    order = lengths.argsort(descending=True)  # [N]
    running = (lengths[order, None] > torch.arange(words.shape[1])).sum(dim=0).tolist()  # T
    inputs = words[order].permute(1, 2, 0)  # [T, W, N]
    states = words.new_zeros(gru.hidden_size, len(words))  # [H, N]
    gates = words.new_empty(2, 3 * gru.hidden_size * len(words))  # [2, 3H * N]
    for step, count in enumerate(running[: int(lengths.max())]):
        before = states[:, :count]  # [H, n]
        fed, kept = gates[:, : 3 * gru.hidden_size * count].view(2, -1, count)  # [3H, n], [3H, n]
        torch.addmm(input_bias[:, None], input_weights, inputs[step, :, :count], out=fed)
        torch.addmm(state_bias[:, None], state_weights, before, out=kept)
        reset, update, new = fed.chunk(3)  # 3 x [H, n]
        reset.add_(kept[: gru.hidden_size]).sigmoid_()
        update.add_(kept[gru.hidden_size : -gru.hidden_size]).sigmoid_()
        new.addcmul_(reset, kept[-gru.hidden_size :]).tanh_()
        before.sub_(new).mul_(update).add_(new)  # u h + (1 - u) c
    return torch.empty_like(states.T, memory_format=torch.contiguous_format).index_copy_(0, order, states.T)  # [N, H]


def reverse_sequences(words: Tensor, lengths: Tensor) -> Tensor:
    """Returns `words` `[N, T, W]` with each sequence's first `lengths` vectors in reverse order, padding left last."""
    steps = torch.arange(words.shape[1], device=words.device)  # [T]
    places = lengths[:, None] - 1 - steps  # [N, T]
    places = torch.where(places >= 0, places, steps)  # [N, T]
    return words.gather(1, places[:, :, None].expand_as(words))  # [N, T, W]
