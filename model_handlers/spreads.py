"""The maps of a pack's styles that the shift `spread` applies."""

import numpy as np

from model_handlers.handler import LazyModel, Placement
from model_handlers.packs import open_once


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
