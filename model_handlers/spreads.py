"""What the shifts `spread` and `nearest` take from a pack: maps of styles, and vectors of their passages."""

import numpy as np

from model_handlers.handler import LazyModel, Placement
from model_handlers.packs import open_once

NEAR = 12  # passages that a photo may go on with


class ReadySpread:
    """A style's map, or the mean of several, read from the pack where it is first needed.

    Args:
        placement: which pack.
        files: of the maps.
    """

    def __init__(self, placement: Placement, files: tuple[str, ...]) -> None:
        self._placement = placement
        self._files = files

    def matrix(self) -> np.ndarray:
        """Returns the map `[S, S]` float32."""
        return LazyModel(("ReadySpread", self._placement.digest, self._files), self._read).get()

    def _read(self) -> np.ndarray:
        pack = open_once(self._placement.location, self._placement.digest)
        maps = [pack.array(file).astype(np.float32) for file in self._files]
        return maps[0] if len(maps) == 1 else np.stack(maps).mean(axis=0, dtype=np.float32)  # [S, S]


class ReadyPassages:
    """The sentence vectors of a style's passages, or of those of several styles, read where they are first needed.

    Args:
        placement: which pack.
        files: of the vectors.
    """

    def __init__(self, placement: Placement, files: tuple[str, ...]) -> None:
        self._placement = placement
        self._files = files

    def near(self, direction: np.ndarray, pick: int) -> np.ndarray:
        """Returns the vector `[S]` of one of the NEAR passages that differ from their mean most in a direction `[S]`.

        Args:
            direction: `[S]`.
            pick: which one; any number from 0 on.
        """
        vectors, apart = LazyModel(("ReadyPassages", self._placement.digest, self._files), self._read).get()
        order = np.argsort(-(apart @ direction), kind="stable")[:NEAR]  # [NEAR]
        return vectors[order[pick % len(order)]]

    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the vectors `[P, S]`, and as unit vectors how they differ from their mean `[P, S]`."""
        pack = open_once(self._placement.location, self._placement.digest)
        vectors = np.concatenate([pack.array(file).astype(np.float32) for file in self._files])  # [P, S]
        apart = vectors - vectors.mean(axis=0)  # [P, S]
        return vectors, apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-6)
