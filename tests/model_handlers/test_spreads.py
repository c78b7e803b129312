"""Maps of styles: read from the pack at first use, and averaged for mixtures."""

import pickle
from collections.abc import Callable

import numpy as np

from model_handlers.handler import Placement
from model_handlers.pack_writer import PackWriter
from model_handlers.packs import Pack
from model_handlers.spreads import ReadySpread


def test_maps_and_their_mean(tiny_pack: Callable[..., Pack], place: Callable[..., Placement]) -> None:
    def edit(writer: PackWriter) -> None:
        maps = {"sea": np.eye(2, dtype="f2"), "sky": np.array([[3, 1], [1, 0]], "f2")}
        writer.components["spreads"] = {name: writer.add_array(f"{name}.map.npy", one) for name, one in maps.items()}

    where = place(tiny_pack("spread", edit))
    one = ReadySpread(where, ("sky.map.npy",))
    assert len(pickle.dumps(one)) < 1000  # the map itself does not travel
    np.testing.assert_array_equal(one.matrix(), [[3, 1], [1, 0]])
    mixed = ReadySpread(where, ("sea.map.npy", "sky.map.npy")).matrix()
    np.testing.assert_array_equal(mixed, [[2, 0.5], [0.5, 0.5]])
    assert one.matrix().dtype == mixed.dtype == np.float32
