"""The highest of many values without sorting: by the maxima of blocks, which take one pass over the values."""

import torch
from torch import Tensor

BLOCK = 64  # values of a block


def block_count(size: int) -> int:
    """Returns B, the number of blocks of `size` places; place p is in block p modulo B."""
    return -(-size // BLOCK)


def block_maxima(values: Tensor) -> Tensor:
    """Returns the highest value of each block `[R, B]`, from values `[R, V]`.

    The places of a block are B apart, so that whole runs of B values are compared with each other (of B rows, if rows
    are adjacent in memory).
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
        rows: row of each wanted block `[...]`.
        blocks: number of each wanted block `[...]`.
        nothing: value for places beyond the end of a block.
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
        count: number of values, at most V.
    """
    if count >= block_count(values.shape[1]):
        return values.topk(count, dim=1)
    blocks = block_maxima(values).topk(count, dim=1).indices  # [R, count]
    rows = torch.arange(len(values), device=values.device)[:, None].expand_as(blocks)  # [R, count]
    found, places = block_values(values, rows, blocks, -torch.inf)  # [R, count, BLOCK], [R, count, BLOCK]
    best, order = found.flatten(1).topk(count, dim=1)  # [R, count], [R, count]
    return best, places.flatten(1).gather(1, order)
