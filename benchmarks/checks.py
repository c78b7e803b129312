"""A comparison of speeds counts where both sides write the same: what is compared, and what may differ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

CLOSE = 1e-5  # of the largest value: what the order of float32 sums may change
TIE = 1e-5  # similarities that lie nearer are one to float32
APART = 1e-3  # costs in float64 of two winners that rounding alone may choose between

Cost = Callable[[Sequence[int]], float]
Story = tuple[Sequence[int], float]
"""Word ids and their cost."""


@dataclass
class Check:
    """What was compared, and what differed.

    Attributes:
        compared: texts, rankings and vectors.
        allowed: other texts and orders by rounding alone: ties in float64.
        different: what is not the same.
    """

    compared: int = 0
    allowed: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    def equal(self, what: str, ours: object, theirs: object) -> None:
        """Compares two things that must be equal."""
        self.compared += 1
        if ours != theirs:
            self.different.append(f"{what}: {ours!r}, not {theirs!r}")

    def floats(self, what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Compares each row of two arrays `[N, ...]`."""
        self.equal(f"{what}, shape", ours.shape, theirs.shape)
        for row, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            self.compared += 1
            apart, scale = np.abs(one - other).max(), np.abs(other).max()
            if not apart <= CLOSE * scale:
                self.different.append(f"{what}, row {row}: {apart:.2g} apart, at values up to {scale:.2g}")

    def captions(self, what: str, ours: Sequence[tuple[str, float]], theirs: Sequence[tuple[str, float]]) -> None:
        """Compares two rankings of captions with their similarities; only ties may stand in another order."""
        self.equal(f"{what}, number of captions", len(ours), len(theirs))
        self.compared += 1
        ties = 0
        for rank, ((one, score), (other, other_score)) in enumerate(zip(ours, theirs, strict=False), start=1):
            if abs(score - other_score) > TIE:
                self.different.append(f"{what}, caption {rank}: {one!r} at {score}, not {other!r} at {other_score}")
                return
            ties += one != other
        if ties:
            self.allowed.append(f"{what}: {ties} captions of equal similarity in another order")

    def story(self, what: str, ours: Story, theirs: Story, cost: Cost) -> None:
        """Compares two stories; another text is allowed where both cost the same in float64.

        Args:
            what: names them.
            ours: the program's.
            theirs: the original's.
            cost: of a sequence, in float64.
        """
        self.compared += 1
        (words, ours_cost), (others, theirs_cost) = ours, theirs
        if list(words) == list(others):
            if abs(ours_cost - theirs_cost) > CLOSE * abs(theirs_cost):
                self.different.append(f"{what}: the same text at cost {ours_cost}, not {theirs_cost}")
            return
        apart = abs(cost(words) - cost(others))
        place = self.allowed if apart <= APART else self.different
        place.append(f"{what}: another text; the costs of both lie {apart:.2g} apart in float64")
