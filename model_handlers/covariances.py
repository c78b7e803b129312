"""What the shifts `spread` and `nearest` take from a pack: maps of styles, and vectors of their passages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from model_handlers.handler import Placement
from model_handlers.pack import open_once
from model_handlers.process_cache import PROCESS_CACHE

Read = TypeVar("Read")

NEAR = 12  # passages that a photo may go on with


def apart_from_mean(vectors: np.ndarray) -> np.ndarray:
    """Returns as unit vectors how vectors `[P, S]` differ from their mean `[P, S]`."""
    apart = vectors - vectors.mean(axis=0)  # [P, S]
    unit: np.ndarray = apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-6)  # [P, S]
    return unit


@dataclass(frozen=True)
class _StyleFiles:
    """Arrays of a style, or of several styles, read from the pack where they are first needed.

    Attributes:
        placement: which pack.
        files: of the arrays.
    """

    placement: Placement
    files: tuple[str, ...]

    def _arrays(self) -> list[np.ndarray]:
        pack = open_once(self.placement.location, self.placement.digest)
        return [pack.array(file).astype(np.float32) for file in self.files]

    def _lazy(self, read: Callable[[], Read]) -> Read:
        """Returns what `read` makes of the arrays, made once in this process."""
        return PROCESS_CACHE.get((type(self).__name__, self.placement.digest, self.files), read)


class ReadySpread(_StyleFiles):
    """A style's map, or the mean of several."""

    def matrix(self) -> np.ndarray:
        """Returns the map `[S, S]` float32."""
        return self._lazy(self._read)

    def _read(self) -> np.ndarray:
        maps = self._arrays()
        return maps[0] if len(maps) == 1 else np.stack(maps).mean(axis=0, dtype=np.float32)  # [S, S]


class ReadyPassages(_StyleFiles):
    """The sentence vectors of a style's passages, or of those of several styles."""

    def near(self, direction: np.ndarray, pick: int) -> np.ndarray:
        """Returns the vector `[S]` of one of the NEAR passages that differ from their mean most in a direction `[S]`.

        Args:
            direction: `[S]`.
            pick: which one; any number from 0 on.
        """
        vectors, apart = self._lazy(self._read)
        order = np.argsort(-(apart @ direction), kind="stable")[:NEAR]  # [NEAR]
        vector: np.ndarray = vectors[order[pick % len(order)]]  # [S]
        return vector

    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the vectors `[P, S]`, and how they differ from their mean `[P, S]`."""
        vectors = np.concatenate(self._arrays())  # [P, S]
        return vectors, apart_from_mean(vectors)
