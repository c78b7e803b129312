"""Data of a pack for the shifts `spread` and `nearest`: maps of styles and vectors of their passages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from model_handlers.handler import Placement
from model_handlers.pack import open_once
from model_handlers.process_cache import PROCESS_CACHE

Read = TypeVar("Read")

NEAR = 12  # passages among which a photo's shift chooses one


def apart_from_mean(vectors: np.ndarray) -> np.ndarray:
    """Returns the differences `[P, S]` of vectors `[P, S]` from their mean, as unit vectors."""
    apart = vectors - vectors.mean(axis=0)  # [P, S]
    unit: np.ndarray = apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-6)  # [P, S]
    return unit


@dataclass(frozen=True)
class _StyleFiles:
    """Arrays of one or several styles, read from the pack when they are first needed.

    Attributes:
        placement: the pack.
        files: files of the arrays.
    """

    placement: Placement
    files: tuple[str, ...]

    def _arrays(self) -> list[np.ndarray]:
        pack = open_once(self.placement.location, self.placement.digest)
        return [pack.array(file).astype(np.float32) for file in self.files]

    def _lazy(self, read: Callable[[], Read]) -> Read:
        """Returns the result of `read` on the arrays, computed once in this process."""
        return PROCESS_CACHE.get((type(self).__name__, self.placement.digest, self.files), read)


class ReadySpread(_StyleFiles):
    """The map of a style, or the mean map of several styles."""

    def matrix(self) -> np.ndarray:
        """Returns the map `[S, S]` float32."""
        return self._lazy(self._read)

    def _read(self) -> np.ndarray:
        maps = self._arrays()
        return maps[0] if len(maps) == 1 else np.stack(maps).mean(axis=0, dtype=np.float32)  # [S, S]


class ReadyPassages(_StyleFiles):
    """Sentence vectors of the passages of one or several styles."""

    def near(self, direction: np.ndarray, pick: int) -> np.ndarray:
        """Returns the vector `[S]` of one of the NEAR passages that differ from their mean most in a direction `[S]`.

        Args:
            direction: direction `[S]`.
            pick: chooses one; any number from 0.
        """
        vectors, apart = self._lazy(self._read)
        order = np.argsort(-(apart @ direction), kind="stable")[:NEAR]  # [NEAR]
        vector: np.ndarray = vectors[order[pick % len(order)]]  # [S]
        return vector

    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the vectors `[P, S]` and their differences from the mean as unit vectors `[P, S]`."""
        vectors = np.concatenate(self._arrays())  # [P, S]
        return vectors, apart_from_mean(vectors)
