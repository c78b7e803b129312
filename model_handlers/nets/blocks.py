"""The highest of many values without sorting them: by the maxima of blocks, which one pass over the values finds."""

import torch
from torch import Tensor

BLOCK = 64  # values of a block


def block_count(size: int) -> int:
    """Returns B, the blocks of `size` places: place p lies in block p modulo B."""
    return -(-size // BLOCK)


def block_maxima(values: Tensor) -> Tensor:
    """Returns the highest value of each block `[R, B]`, from values `[R, V]`.

    A block's places lie B apart, so that whole runs of B values are compared with one another; where rows lie beside
    each other in memory, whole runs of B rows.
    """
    if values.T.is_contiguous():
        return _maxima(values.T, 0).T  # [R, B]
    return _maxima(values, 1)  # [R, B]


def _maxima(values: Tensor, axis: int) -> Tensor:
    """Returns the highest of each block of places along an axis: `[R, B]` from `[R, V]`, or `[B, R]` from `[V, R]`."""
    size = values.shape[axis]
    count = block_count(size)
    runs = size // count
    whole = values.narrow(axis, 0, runs * count)  # [R, runs * B] or [runs * B, R]
    maxima: Tensor = whole.unflatten(axis, (runs, count)).amax(dim=axis)  # [R, B] or [B, R]
    rest = values.narrow(axis, runs * count, size - runs * count)  # [R, rest] or [rest, R]
    if rest.numel():
        head = maxima.narrow(axis, 0, rest.shape[axis])  # [R, rest] or [rest, R]
        torch.maximum(head, rest, out=head)
    return maxima


def block_values(values: Tensor, rows: Tensor, blocks: Tensor, nothing: float) -> tuple[Tensor, Tensor]:
    """Returns the values of blocks and their places, both `[..., BLOCK or less]`.

    Args:
        values: `[R, V]`.
        rows: of each block wanted `[...]`.
        blocks: its number `[...]`.
        nothing: stands where a block has ended already.
    """
    size = values.shape[1]
    count = block_count(size)
    starts = torch.arange(0, size, count, device=values.device)  # [BLOCK]
    places = blocks[..., None] + starts  # [..., BLOCK]
    found = values[rows[..., None], places.clamp(max=size - 1)]  # [..., BLOCK]
    return found.masked_fill(places >= size, nothing), places


def highest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns the `count` highest values of each row, highest first, and their places, both `[R, count]`.

    Only blocks whose maximum is among the `count` highest maxima can hold one of them.

    Args:
        values: `[R, V]`.
        count: at most V.
    """
    if count >= block_count(values.shape[1]):
        return values.topk(count, dim=1)
    blocks = block_maxima(values).topk(count, dim=1).indices  # [R, count]
    rows = torch.arange(len(values), device=values.device)[:, None].expand_as(blocks)  # [R, count]
    found, places = block_values(values, rows, blocks, -torch.inf)  # [R, count, BLOCK], [R, count, BLOCK]
    best, order = found.flatten(1).topk(count, dim=1)  # [R, count], [R, count]
    return best, places.flatten(1).gather(1, order)
