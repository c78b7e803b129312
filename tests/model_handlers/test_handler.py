"""What handlers share: lazy models, devices that are never guessed, and batches that heal."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import torch
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to, is_empty

from model_handlers import handler
from model_handlers.captions import CaptionHandler, EmbeddingHandler
from model_handlers.features import FeatureHandler
from model_handlers.handler import (
    PackHandler,
    Placement,
    check_precision,
    infer_each,
    resolve_device,
)
from model_handlers.machine_cache import cache_folder
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.process_cache import PROCESS_CACHE
from model_handlers.run_errors import DeviceError, OutOfMemory
from model_handlers.sentences import SentenceHandler
from model_handlers.stories import StoryHandler
from model_handlers.tensors import check_vectors, on_device

BUILT: list[str] = []
Place = Callable[..., Placement]


class Doubler(PackHandler[int, int, str]):
    """Doubles numbers below 100."""

    def build(self, pack: Pack, device: torch.device) -> str:
        BUILT.append(f"{pack.name} on {device}")
        return "model"

    def infer(self, batch: Sequence[int], model: str) -> list[int]:
        assert model == "model"
        return [2 * check(item) for item in batch]


class Variant(Doubler):
    """Has a model of its own for each batch size."""

    def variant(self) -> tuple[Any, ...]:
        return (self.batch_size,)


def check(item: int) -> int:
    if item >= 100:
        raise ValueError(f"{item} is too much")
    return item


@pytest.fixture(autouse=True)
def no_models() -> None:
    BUILT.clear()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Lets torch see a CUDA device, or none."""
    return lambda there: monkeypatch.setattr(torch.cuda, "is_available", lambda: there)


def told(results: Sequence[Any]) -> list[Any]:
    return [(type(one), str(one)) if isinstance(one, Exception) else one for one in results]


@pytest.mark.parametrize(
    ("name", "there", "device"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_devices(cuda: Callable[[bool], None], name: str, there: bool, device: str) -> None:
    cuda(there)
    assert resolve_device(name) == torch.device(device)


def test_a_device_that_is_not_there_is_an_error(cuda: Callable[[bool], None]) -> None:
    cuda(False)
    with pytest.raises(
        DeviceError, match="cuda was requested, but torch finds no CUDA device; use --device cpu or auto"
    ):
        resolve_device("cuda")
    with pytest.raises(DeviceError, match="'cuda:1' is unknown; it can be auto, cpu, cuda"):
        resolve_device("cuda:1")


def test_a_precision_that_the_device_lacks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    for precision, device in (("float32", cpu), ("bfloat16", cpu), ("float32", cuda)):
        check_precision(precision, device)
    with pytest.raises(DeviceError, match="tf32 needs a CUDA device, but the networks run on the CPU here"):
        check_precision("tf32", cpu)
    with pytest.raises(DeviceError, match="'int8' is unknown; it can be float32, tf32, bfloat16"):
        check_precision("int8", cpu)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    for capability in ((8, 9), (7, 5)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=capability: found)
        for precision in ("tf32", "bfloat16"):
            if capability >= (8, 0):
                check_precision(precision, cuda)
            else:
                with pytest.raises(DeviceError, match="Tesla T4 supports neither tf32 nor bfloat16"):
                    check_precision(precision, cuda)


def test_no_model_is_loaded_where_it_could_not_compute_as_asked(tiny_pack: Callable[..., Pack], place: Place) -> None:
    doubler = Doubler(place(tiny_pack(), precision="tf32"))
    with pytest.raises(DeviceError, match="tf32 needs a CUDA device"):
        doubler.run_inference([1], doubler.load_model())
    assert BUILT == []


@pytest.mark.parametrize(
    "make",
    [
        FeatureHandler,
        EmbeddingHandler,
        SentenceHandler,
        lambda where: CaptionHandler(where, 3),
        lambda where: StoryHandler(where, "sea", 3),
    ],
)
def test_no_handler_falls_back_to_the_cpu(
    tiny_pack: Callable[..., Pack], place: Place, cuda: Callable[[bool], None], make: Callable[..., Any]
) -> None:
    cuda(False)
    made = make(place(tiny_pack(), device="cuda"))
    loaded = made.load_model()
    with pytest.raises(DeviceError, match="cuda was requested"):
        made.run_inference([np.zeros(1, np.float32)], loaded)


def test_a_model_is_built_at_the_first_batch(tiny_pack: Callable[..., Pack], place: Place) -> None:
    doubler = Doubler(place(tiny_pack()))
    loaded = doubler.load_model()
    assert BUILT == []
    assert doubler.run_inference([1, 2], loaded) == [2, 4]
    assert doubler.run_inference([3], loaded) == [6]
    assert BUILT == ["tiny on cpu"]


def test_a_model_is_kept_in_the_process_by_its_packs_digest(tiny_pack: Callable[..., Pack], place: Place) -> None:
    first, second = tiny_pack("first"), tiny_pack("second")
    assert first.digest != second.digest
    for pack in (first, second, first):
        doubler = Doubler(place(pack))
        doubler.run_inference([1], doubler.load_model())
    assert BUILT == ["first on cpu", "second on cpu"]
    for size in (4, 5, 4):
        variant = Variant(place(first), size)
        variant.run_inference([1], variant.load_model())
    assert BUILT[2:] == ["first on cpu", "first on cpu"]


def test_a_pack_replaced_during_the_run_is_refused(tiny_pack: Callable[..., Pack], place: Place) -> None:
    where = place(tiny_pack())
    doubler = Doubler(Placement(where.location, "0" * 64, "cpu"))
    with pytest.raises(PackError, match="replaced during the run"):
        doubler.run_inference([1], doubler.load_model())


def test_in_a_pipeline(tiny_pack: Callable[..., Pack], place: Place) -> None:
    """One good, one bad; batches have a fixed size, and an error stands in its element's place."""
    doubler = KeyedModelHandler(Doubler(place(tiny_pack()), batch_size=4))
    with TestPipeline("FnApiRunner") as pipeline:
        results = (
            pipeline
            | beam.Create([("a", 1), ("b", 200), ("c", 3)])
            | RunInference(doubler)
            | beam.MapTuple(lambda key, result: (key, *told([result])))
        )
        expected = [("a", 2), ("b", (ValueError, "200 is too much")), ("c", 6)]
        assert_that(results, equal_to(expected), label="each key has its result")


def test_an_empty_pipeline_loads_no_model(tiny_pack: Callable[..., Pack], place: Place) -> None:
    with TestPipeline("FnApiRunner") as pipeline:
        results = pipeline | beam.Create([]) | RunInference(KeyedModelHandler(Doubler(place(tiny_pack()))))
        assert_that(results, is_empty(), label="nothing comes out")
    assert BUILT == []


def test_batches_have_a_fixed_size(tiny_pack: Callable[..., Pack], place: Place) -> None:
    assert Doubler(place(tiny_pack()), 7).batch_elements_kwargs() == {"min_batch_size": 7, "max_batch_size": 7}


def test_bytes_of_a_batch(tiny_pack: Callable[..., Pack], place: Place) -> None:
    assert Doubler(place(tiny_pack())).get_num_bytes([np.zeros(3, np.float32), np.zeros(2, np.float64)]) == 28


@pytest.mark.parametrize("bad", [0, 3, 6])
def test_a_failing_batch_is_halved_until_the_bad_item_is_found(bad: int) -> None:
    sizes: list[int] = []

    def infer(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        return [2 * check(item) for item in batch]

    batch = [100 if place == bad else place for place in range(7)]
    results = infer_each(infer, batch)
    assert told(results) == [(ValueError, "100 is too much") if item == 100 else 2 * item for item in batch]
    assert sizes[0] == 7 and sizes.count(1) <= 3


def test_a_good_batch_is_inferred_once() -> None:
    sizes: list[int] = []

    def infer(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        return list(batch)

    assert infer_each(infer, [1, 2, 3]) == [1, 2, 3]
    assert sizes == [3]


def test_every_item_can_be_wrong_by_itself() -> None:
    def infer(batch: Sequence[int]) -> list[int]:
        return [check(item) for item in batch]

    results = infer_each(infer, [100, 101, 102])
    assert told(results) == [(ValueError, f"{item} is too much") for item in (100, 101, 102)]


class OddRuntimeError(RuntimeError):
    """A runtime error of a class of its own, such as torch.AcceleratorError."""


class OddValueError(ValueError):
    """A value error of a class of its own, whose constructor takes other arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize("kind", [RuntimeError, OddRuntimeError])
def test_a_runtime_error_of_all_items_is_no_photos_fault(kind: type[RuntimeError]) -> None:
    def infer(batch: Sequence[int]) -> list[int]:
        raise kind("the device is gone")

    with pytest.raises(RuntimeError, match="all 3 items of a batch failed; the first: the device is gone"):
        infer_each(infer, [1, 2, 3])
    assert told(infer_each(infer, [1])) == [(RuntimeError, "the device is gone")]


def test_errors_of_other_classes_come_as_plain_ones() -> None:
    """Plain errors travel between processes, whatever their constructors took."""

    def infer(batch: Sequence[int]) -> list[int]:
        if 5 in batch:
            raise OddValueError(5, 6)
        if 7 in batch:
            raise OddRuntimeError("seven")
        return list(batch)

    assert told(infer_each(infer, [1, 5, 7])) == [1, (ValueError, "5 and 6"), (RuntimeError, "seven")]


def test_a_batch_too_large_for_the_memory_is_halved() -> None:
    def infer(batch: Sequence[int]) -> list[int]:
        if len(batch) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return list(batch)

    assert infer_each(infer, [1, 2, 3, 4, 5]) == [1, 2, 3, 4, 5]


def test_out_of_memory_at_one_item_is_no_dead_letter() -> None:
    def infer(batch: Sequence[int]) -> list[int]:
        if 3 in batch:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(batch)

    with pytest.raises(OutOfMemory, match="memory ran out for a batch of one: a model .CUDA out of memory"):
        infer_each(infer, [1, 2, 3, 4])


def test_a_bad_item_is_found_where_memory_is_short_too() -> None:
    def infer(batch: Sequence[int]) -> list[int]:
        if len(batch) > 2:
            raise MemoryError
        return [check(item) for item in batch]

    assert told(infer_each(infer, [1, 2, 3, 100, 5])) == [1, 2, 3, (ValueError, "100 is too much"), 5]


class Hungry(Doubler):
    """Holds no more than `room` items."""

    room = 3
    sizes: list[int] = []

    def infer(self, batch: Sequence[int], model: str) -> list[int]:
        self.sizes.append(len(batch))
        if len(batch) > self.room:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
        return super().infer(batch, model)


def test_a_size_that_fits_is_remembered_in_the_process(
    tiny_pack: Callable[..., Pack], place: Place, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(Hungry, "sizes", [])
    where = place(tiny_pack())
    for _ in range(2):  # two steps, or two waves
        hungry = Hungry(where, 8)
        assert hungry.run_inference(list(range(8)), hungry.load_model()) == list(range(0, 16, 2))
    assert Hungry.sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert "Hungry: memory ran out with a batch of 8; the limit is now 4" in caplog.text
    other = Doubler(where, 8)
    assert other.load_model().limit.most is None


def test_a_size_that_fits_is_remembered_on_a_machine(
    tiny_pack: Callable[..., Pack], place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here with the CPU in place of a GPU; another model, precision or beam has a memory of its own."""
    facts: list[Sequence[Any]] = []

    def stamp(device: torch.device, about: Sequence[Any]) -> Path:
        facts.append(about)
        return tmp_path / f"{len(set(map(str, facts)))}.json"

    monkeypatch.setattr(handler, "machine_stamp", stamp)
    monkeypatch.setattr(Hungry, "sizes", [])
    pack = tiny_pack()
    for _ in range(2):  # two processes
        PROCESS_CACHE.clear()
        hungry = Hungry(place(pack), 8)
        hungry.run_inference(list(range(8)), hungry.load_model())
    assert Hungry.sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    for more in ({"precision": "bfloat16"}, {}):
        for width in (3, 4):
            story = StoryHandler(place(pack, **more), "sea", width)
            story.run_inference([np.zeros(7, np.float32)], story.load_model())
    assert len(set(map(str, facts))) == 5
    assert facts[0] == ("Hungry", pack.digest, "float32") and facts[-1] == (
        "StoryHandler", pack.digest, "float32", "sea", 4, False
    )  # fmt: skip


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_size_that_fits_a_gpu_is_kept_in_its_machines_cache(tiny_pack: Callable[..., Pack], place: Place) -> None:
    hungry = Hungry(place(tiny_pack(), device="cuda"), 8)
    hungry.run_inference(list(range(8)), hungry.load_model())
    (stamp,) = (cache_folder() / "limits").iterdir()
    assert '"most": 2' in stamp.read_text()


def test_a_model_too_large_for_the_memory_ends_the_run(
    tiny_pack: Callable[..., Pack], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> str:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr(Doubler, "build", refuse)
    doubler = Doubler(place(tiny_pack()))
    with pytest.raises(OutOfMemory, match="the model of Doubler .CUDA out of memory.*--device cpu"):
        doubler.run_inference([1], doubler.load_model())


def test_missing_results_are_noticed() -> None:
    def infer(batch: Sequence[int]) -> list[int]:
        return list(batch)[1:]

    with pytest.raises(RuntimeError, match="a batch of 3 items gave 2 results"):
        infer_each(infer, [1, 2, 3])


@pytest.mark.parametrize("error", [KeyError("bug"), TypeError("bug"), PackError(["cut short"])])
def test_errors_that_are_no_items_fault_end_the_run(error: Exception) -> None:
    calls: list[int] = []

    def infer(batch: Sequence[int]) -> list[int]:
        calls.append(len(batch))
        raise error

    with pytest.raises(type(error)):
        infer_each(infer, [1, 2, 3])
    assert calls == [3]


def test_values_come_to_the_device_as_they_are() -> None:
    values = np.arange(6, dtype=np.int64).reshape(2, 3)
    here = on_device(values, torch.device("cpu"))  # [2, 3]
    assert here.dtype == torch.int64 and here.tolist() == values.tolist()
    assert here.data_ptr() == values.ctypes.data  # nothing is copied on a processor
    assert on_device(here, torch.device("cpu")) is here


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_values_come_to_a_gpu_without_waiting() -> None:
    values, device = np.arange(6.0).reshape(2, 3), torch.device("cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        there = on_device(values, device)  # [2, 3]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert there.device.type == "cuda" and there.tolist() == values.tolist()
    assert on_device(there, device) is there


def test_vectors_are_checked_and_stacked() -> None:
    vectors = check_vectors([np.array([1.0, 2.0]), np.array([3.0, 4.0])], 2, "feature vector")  # [2, 2]
    assert vectors.dtype == torch.float32 and vectors.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.zeros(3), r"the feature vector has shape \(3,\), the pack needs \(2,\)"),
        (np.zeros((1, 2)), r"the feature vector has shape \(1, 2\)"),
        (np.array([0.0, np.nan]), "values that are not finite"),
        (np.array([np.inf, 0.0]), "values that are not finite"),
    ],
)
def test_wrong_vectors_are_refused(vector: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_vectors([np.zeros(2), vector], 2, "feature vector")
