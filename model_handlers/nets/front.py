"""The state of a beam search over many photos: hypotheses side by side in tensors, a lane for each photo."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from model_handlers.nets.story_decoder import END


@dataclass(frozen=True)
class Hypothesis:
    """A decoded sequence.

    Attributes:
        words: word ids, with the closing 0 if it ended.
        cost: summed negative log likelihood.
        score: score that a search with rules ranked it by, lower is better; None if that is the cost.
    """

    words: tuple[int, ...]
    cost: float
    score: float | None = None


@dataclass(frozen=True)
class Front:
    """The hypotheses of N photos in N lanes of B slots each.

    Attributes:
        photos: number of each lane's photo.
        lengths: number of words of each lane's live hypotheses, the same for all of a lane. The host counts them
            itself, since reading them from a GPU would wait for it.
        slots: `[N, B, ...]`, of the live hypotheses, best first, and of nothing behind them: `words` `[N, B, T]`,
            `scores` (lower is better, infinite behind the live ones) and `states` `[N, B, H]`.
        lanes: `[N, ...]`: `lengths` once more; `live` and `done`, how many hypotheses live and have finished; `best`,
            the lowest score of those finished that count; `done_words` `[N, B + 1, T]`, `done_lengths`, `done_costs`
            and `done_scores` `[N, B + 1]`, in the order in which they finished. The last place takes what is not kept.
    """

    photos: list[int]
    lengths: list[int]
    slots: dict[str, Tensor]
    lanes: dict[str, Tensor]

    @property
    def live(self) -> Tensor:
        """Returns which slots hold live hypotheses `[N, B]`."""
        live = self.lanes["live"][:, None]  # [N, 1]
        return torch.arange(self.slots["scores"].shape[1], device=live.device) < live  # [N, B]

    def keep(self, lanes: list[int]) -> "Front":
        """Returns the front of some of its lanes."""
        chosen = torch.tensor(lanes, dtype=torch.long, device=self.slots["scores"].device)  # [n]
        return Front(
            [self.photos[lane] for lane in lanes],
            [self.lengths[lane] for lane in lanes],
            {name: value[chosen] for name, value in self.slots.items()},
            {name: value[chosen] for name, value in self.lanes.items()},
        )

    def on_host(self) -> "Front":
        """Returns the front in the host's memory, without states."""
        slots = {name: value.cpu() for name, value in self.slots.items() if not name.endswith("states")}
        return Front(self.photos, self.lengths, slots, {name: value.cpu() for name, value in self.lanes.items()})

    def join(self, other: "Front") -> "Front":
        """Returns the front of the lanes of both."""

        def joined(mine: dict[str, Tensor], others: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: torch.cat(as_long(value, others[name])) for name, value in mine.items()}

        slots, lanes = joined(self.slots, other.slots), joined(self.lanes, other.lanes)
        return Front(self.photos + other.photos, self.lengths + other.lengths, slots, lanes)


def as_long(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Returns both with as long a last axis."""
    longer = max(one.shape[-1], other.shape[-1]) if one.ndim > 2 else 0
    return tuple(pad(value, (0, max(0, longer - value.shape[-1]))) for value in (one, other))  # type: ignore[return-value]


@dataclass(frozen=True)
class Choice:
    """Continuations of each photo's hypotheses, the best first.

    Attributes:
        scores: `[N, B]`, lower is better, infinite for empty places.
        parents: slots of the hypotheses that continue `[N, B]`.
        rows: their rows of the step `[N, B]`.
        words: next words `[N, B]`.
    """

    scores: Tensor
    parents: Tensor
    rows: Tensor
    words: Tensor

    def ordered(self, order: Tensor) -> "Choice":
        """Returns the continuations with the places of each photo in another order `[N, B]`."""
        values = (self.scores, self.parents, self.rows, self.words)
        return Choice(*(value.gather(1, order) for value in values))


def of_parents(values: Tensor, parents: Tensor) -> Tensor:
    """Returns the values `[N, B, ...]` of the slots that `parents` `[N, B]` names."""
    lanes = torch.arange(len(values), device=values.device)[:, None]  # [N, 1]
    return values[lanes, parents]


def appended(values: Tensor, lengths: Tensor, longest: int, more: Tensor) -> Tensor:
    """Returns `values` with one of `more` behind the first `lengths` of each lane.

    Args:
        values: `[N, B, T]`.
        lengths: `[N]`.
        longest: the highest of the lengths, or more.
        more: `[N, B]`.
    """
    places = lengths[:, None, None].expand(*more.shape, 1)  # [N, B, 1]
    fitting = pad(values, (0, longest + 1 - values.shape[2]))  # [N, B, T]
    return fitting.scatter(2, places, more[..., None])


def finished(front: Front, lane: int, scored: bool = False) -> list[Hypothesis]:
    """Returns the finished hypotheses of a lane, in the order in which they finished, with their scores if wanted."""
    count = int(front.lanes["done"][lane])
    names = ("words", "lengths", "costs", "scores")
    columns = (front.lanes[f"done_{name}"][lane, :count].tolist() for name in names)
    return [
        Hypothesis((*words[:length], END), cost, score if scored else None)
        for words, length, cost, score in zip(*columns, strict=True)
    ]
