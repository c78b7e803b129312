"""Checks that both sides of a comparison of speeds have equal results, apart from allowed differences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

CLOSE = 1e-5  # share of the largest value that the order of float32 sums may change
TIE = 1e-5  # similarities that are closer count as equal in float32
APART = 1e-3  # difference in float64 cost of two winners that rounding may exchange

Cost = Callable[[Sequence[int]], float]
Story = tuple[Sequence[int], float]
"""Word ids and their cost."""


@dataclass
class Check:
    """What was compared, and what differed.

    Attributes:
        compared: number of texts, rankings and vectors compared.
        allowed: differences in texts and orders that only rounding caused: ties in float64.
        different: all other differences.
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
        """Compares two rankings of captions with their similarities; only ties may be in another order."""
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
        """Compares two stories; another text is allowed if both have the same cost in float64.

        Args:
            what: name of the stories.
            ours: story of the program.
            theirs: story of the original.
            cost: function that returns a sequence's cost in float64.
        """
        self.compared += 1
        (words, ours_cost), (others, theirs_cost) = ours, theirs
        if list(words) == list(others):
            if abs(ours_cost - theirs_cost) > CLOSE * abs(theirs_cost):
                self.different.append(f"{what}: the same text at cost {ours_cost}, not {theirs_cost}")
            return
        apart = abs(cost(words) - cost(others))
        place = self.allowed if apart <= APART else self.different
        place.append(f"{what}: another text; the costs differ by {apart:.2g} in float64")
