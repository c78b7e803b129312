"""Precisions: float32 is float32 whatever torch would do; bfloat16 changes networks a little, and no ranking."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from model_handlers.captions import CaptionHandler, EmbeddingHandler
from model_handlers.features import FeatureHandler
from model_handlers.handler import Placement
from model_handlers.pack import Pack
from model_handlers.precision import PRECISIONS, _switches, computing, exactly, lowered
from model_handlers.sentences import SentenceHandler
from model_handlers.stories import Passage, StoryHandler

CPU = torch.device("cpu")
TEXTS = ["a dog .", "two cats", "dog a two", "a a cats ."]
Make = Callable[[Placement], Any]
Place = Callable[..., Placement]


def drawn(count: int, *shape: int) -> list[np.ndarray]:
    draw = np.random.default_rng(1)
    return [draw.normal(size=shape).astype(np.float32) for _ in range(count)]


NETWORKS: dict[str, tuple[Make, list[Any]]] = {
    "features": (FeatureHandler, drawn(2, 3, 224, 224)),
    "embeddings": (EmbeddingHandler, [TEXTS]),
    "sentences": (SentenceHandler, [TEXTS]),
}
UNIT = {"embeddings": [slice(0, 4)], "sentences": [slice(0, 3), slice(3, 7)]}  # parts that are of unit length


def switches() -> list[Any]:
    return [getattr(owner, name) for owner, name, _ in _switches(tf32=False)]


def results(make: Make, batch: list[Any], where: Placement) -> list[Any]:
    handler = make(where)
    return list(handler.run_inference(batch, handler.load_model()))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.filterwarnings("error")
def test_products_on_cuda_are_what_was_asked_and_afterwards_what_was(precision: str) -> None:
    before, wanted = switches(), [value for _, _, value in _switches(precision == "tf32")]
    assert wanted[-1] is False and len(set(map(str, wanted[:-1]))) == 1 and wanted != before
    with computing(precision, CPU), computing(precision, CPU):
        assert switches() == wanted
    assert switches() == before
    with pytest.raises(KeyError), computing(precision, CPU):
        raise KeyError
    assert switches() == before


def test_other_products_wait_until_nobody_computes() -> None:
    """Torch has one setting for all threads."""
    entered = threading.Event()

    def enter() -> None:
        with computing("tf32", CPU):
            entered.set()

    other = threading.Thread(target=enter)
    with computing("float32", CPU):
        other.start()
        with computing("bfloat16", CPU):  # its products of float32 numbers are the same: nobody waits
            assert not entered.wait(0.1)
    other.join(10)
    assert entered.is_set()


def test_bfloat16_is_of_products_alone() -> None:
    one = torch.ones(2, 2)  # [2, 2]
    with computing("bfloat16", CPU):
        assert (one @ one).dtype == torch.bfloat16
        assert (one.double() @ one.double()).dtype == torch.float64
        with exactly(CPU):
            assert (one @ one).dtype == torch.float32
        with computing("float32", CPU):
            assert (one @ one).dtype == torch.float32
    assert (one @ one).dtype == torch.float32


def test_weights_of_products_alone_are_lowered() -> None:
    net = nn.ModuleList([nn.Embedding(3, 2), nn.GRUCell(2, 4), nn.Linear(4, 3), nn.GRU(2, 4)])
    assert {weight.dtype for weight in lowered(net, "float32").parameters()} == {torch.float32}
    kinds = [{weight.dtype for weight in part.parameters()} for part in lowered(net, "bfloat16")]
    assert kinds == [{torch.float32}, {torch.bfloat16}, {torch.bfloat16}, {torch.float32}]


@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_changes_what_networks_compute_a_little(
    tiny_pack: Callable[..., Pack], place: Place, name: str
) -> None:
    (make, batch), pack = NETWORKS[name], tiny_pack()
    exact = np.concatenate(results(make, batch, place(pack)), axis=None)
    again = np.concatenate(results(make, batch, place(pack, precision="float32")), axis=None)
    low = np.concatenate(results(make, batch, place(pack, precision="bfloat16")), axis=None)
    np.testing.assert_array_equal(again, exact)
    assert low.dtype == np.float32
    assert 1e-5 < np.linalg.norm(low - exact) / np.linalg.norm(exact) < 0.05


@pytest.mark.parametrize("name", UNIT)
def test_lengths_are_exact_in_bfloat16_too(tiny_pack: Callable[..., Pack], place: Place, name: str) -> None:
    make, batch = NETWORKS[name]
    (vectors,) = results(make, batch, place(tiny_pack(), precision="bfloat16"))  # [4, J or S]
    for part in UNIT[name]:
        np.testing.assert_allclose(np.linalg.norm(vectors[:, part], axis=1), np.ones(4), rtol=1e-6)


def test_captions_are_ranked_exactly_in_bfloat16_too(tiny_pack: Callable[..., Pack], place: Place) -> None:
    pack, batch = tiny_pack(), drawn(9, 5)
    exact, low = (
        results(lambda where: CaptionHandler(where, 2), batch, place(pack, precision=precision))
        for precision in ("float32", "bfloat16")
    )
    assert low == exact


def test_stories_in_bfloat16_cost_a_little_more_or_less(tiny_pack: Callable[..., Pack], place: Place) -> None:
    pack, batch = tiny_pack(), drawn(6, 7)
    exact, again, low = (
        results(lambda where: StoryHandler(where, "sea", 3), batch, place(pack, precision=precision))
        for precision in ("float32", "float32", "bfloat16")
    )
    assert again == exact
    for one, other in zip(exact, low, strict=True):
        assert one.cost != other.cost and one.cost == pytest.approx(other.cost, rel=0.1, abs=0.1)


def test_all_passages_of_a_photo_are_found_in_bfloat16_too(tiny_pack: Callable[..., Pack], place: Place) -> None:
    handler = StoryHandler(place(tiny_pack(), precision="bfloat16"), "sea", 3)
    (told,) = handler.run_inference(drawn(1, 7), handler.load_model())
    assert handler.ranked(drawn(1, 7)[0])[0][0] == told


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NETWORKS)
def test_float32_on_a_gpu_is_the_processors_and_the_others_are_near(
    tiny_pack: Callable[..., Pack], place: Place, name: str
) -> None:
    (make, batch), pack = NETWORKS[name], tiny_pack()
    exact = np.concatenate(results(make, batch, place(pack)), axis=None)
    drifts = []
    for precision in PRECISIONS:
        found = np.concatenate(results(make, batch, place(pack, device="cuda", precision=precision)), axis=None)
        drifts.append(np.linalg.norm(found - exact) / np.linalg.norm(exact))
    assert drifts[0] < 5e-5 and max(drifts) < 0.05 and drifts[2] > drifts[0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_texts_on_a_gpu_are_the_processors(tiny_pack: Callable[..., Pack], place: Place) -> None:
    pack = tiny_pack()
    makes: list[Make] = [lambda where: CaptionHandler(where, 3), lambda where: StoryHandler(where, "sea", 3)]
    for make, batch in zip(makes, (drawn(9, 5), drawn(6, 7)), strict=True):
        here, there = (results(make, batch, place(pack, device=device)) for device in ("cpu", "cuda"))
        for one, other in zip(here, there, strict=True):
            if isinstance(one, Passage):
                assert one.passage == other.passage and one.cost == pytest.approx(other.cost, rel=1e-5)
            else:
                assert [text for text, _ in one] == [text for text, _ in other]
