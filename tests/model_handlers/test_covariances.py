"""Maps and passages of styles: read from the pack at first use, averaged or put together for mixtures."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest

from model_handlers import covariances as spreads
from model_handlers.covariances import ReadyPassages, ReadySpread
from model_handlers.handler import Placement
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter


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


def test_near_passages_are_seen_from_their_mean(
    tiny_pack: Callable[..., Pack], place: Callable[..., Placement], monkeypatch: pytest.MonkeyPatch
) -> None:
    sea, sky = np.array([[10, 1], [10, 0], [10, -1]], "f2"), np.array([[90, 0]], "f2")

    def edit(writer: PackWriter) -> None:
        writer.components["passages"] = {"sea": writer.add_array("a.npy", sea), "sky": writer.add_array("b.npy", sky)}

    where = place(tiny_pack("passages", edit))
    passages = ReadyPassages(where, ("a.npy",))
    assert len(pickle.dumps(passages)) < 1000  # the vectors themselves do not travel
    for direction, wanted in (([1, 2], [10, 1]), ([9, -1], [10, -1])):  # though all are nearest to [9, 0] itself
        found = passages.near(np.array(direction, "f4"), 0)
        assert found.tolist() == wanted and found.dtype == np.float32
    assert ReadyPassages(where, ("a.npy", "b.npy")).near(np.array([1, 0], "f4"), 0).tolist() == [90, 0]
    picked = [passages.near(np.array([1, 2], "f4"), pick).tolist() for pick in range(4)]
    assert picked == [[10, 1], [10, 0], [10, -1], [10, 1]], "one after the other, and from the first again"
    monkeypatch.setattr(spreads, "NEAR", 2)
    assert passages.near(np.array([1, 2], "f4"), 2).tolist() == [10, 1]
