"""Common parts of the trainings of 2015: initial weights, summed loss, batches of one length (SPEC section 13)."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

RECIPE = "2015"


def begin_as_in_2015(net: nn.Module) -> None:
    """Initialises a network as in 2015: square matrices orthogonal, others uniform in -0.1 to 0.1, biases zero.

    The three matrices of a GRU are initialised separately. In 2015 it had no recurrent bias, so this stays 0 and is not
    trained.
    """
    for module in net.modules():
        if isinstance(module, nn.GRU | nn.GRUCell):
            for name, weight in module.named_parameters():
                if name.startswith("bias"):
                    nn.init.zeros_(weight)
                    weight.requires_grad_(not name.startswith("bias_hh"))
                else:
                    for gate in weight.data.chunk(3):
                        _fill(gate)
        elif isinstance(module, nn.Linear | nn.Embedding):
            _fill(module.weight)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)


def _fill(matrix: Tensor) -> None:
    if matrix.shape[0] == matrix.shape[1]:
        nn.init.orthogonal_(matrix)
    else:
        nn.init.uniform_(matrix, -0.1, 0.1)


def summed_nll(logits: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
    """Returns the sum, not the mean, of `-log(p + 1e-8)` over all words of a batch.

    Args:
        logits: logits of the words `[N, T, V]`.
        ids: texts with their closing 0 `[N, T]`.
        lengths: words of each text with the closing 0 `[N]`.
    """
    likely = torch.softmax(logits, dim=2).gather(2, ids[:, :, None]).squeeze(2)  # [N, T]
    mask = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]  # [N, T]
    return -((likely + 1e-8).log() * mask).sum()


def decayed(loss: Tensor, net: nn.Module, decay: float) -> Tensor:
    """Returns the loss plus `decay` times the sum of the squares of all weights."""
    if not decay:
        return loss
    return loss + decay * torch.stack([weight.square().sum() for weight in net.parameters()]).sum()


class EqualLengthBatches:
    """Batches of texts of equal length, without padding; every text comes once per epoch.

    Args:
        lengths: words of each text; texts without words, or with `maxlen` or more, are left out.
        batch_size: texts per batch; the last batch of a length may be smaller.
        maxlen: length from which texts are left out.
        seed: seed of the order, which changes with each epoch.

    Raises:
        ValueError: every text is left out.
    """

    def __init__(self, lengths: Iterable[int] | np.ndarray, batch_size: int, maxlen: int, seed: int) -> None:
        sizes = np.asarray(lengths)
        self._groups = [np.flatnonzero(sizes == length) for length in np.unique(sizes) if 0 < length < maxlen]
        if not self._groups:
            raise ValueError(f"no text has between 1 and {maxlen - 1} words")
        self._batch_size, self._seed = batch_size, seed
        self.count = sum(-(-len(group) // batch_size) for group in self._groups)
        self._epoch = lru_cache(maxsize=1)(self._order)

    def of_step(self, step: int) -> np.ndarray:
        """Returns the places of the texts of a step's batch."""
        epoch, turn = divmod(step, self.count)
        return self._epoch(epoch)[turn]

    def _order(self, epoch: int) -> list[np.ndarray]:
        """Returns the batches of an epoch; the lengths take turns until each is used up."""
        draw = np.random.default_rng([self._seed, epoch])
        queues = [self._cut(draw.permutation(self._groups[place])) for place in draw.permutation(len(self._groups))]
        longest = max(len(queue) for queue in queues)
        return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]

    def _cut(self, places: np.ndarray) -> list[np.ndarray]:
        return [places[first : first + self._batch_size] for first in range(0, len(places), self._batch_size)]
