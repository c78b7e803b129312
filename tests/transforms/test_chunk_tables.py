"""Tables of written sentence vectors: each chunk is fetched once a process, and goes when its table is closed."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apache_beam as beam
import fsspec
import numpy as np
import pytest
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from fsspec.implementations.memory import MemoryFileSystem

from transforms import chunk_tables
from transforms.chunk_tables import ChunkTable, SharedChunks
from transforms.encode_sentences import EncodeSentences, Texts, leave_out_known, write_chunk
from transforms.records import CaptionMatch, Matched, Photo

MAPS = Path("/proc/self/maps")
needs_maps = pytest.mark.skipif(not MAPS.exists(), reason="only Linux tells what is mapped")
ODD = "a caf\udce9 ."  # a caption that is not UTF-8


def vector(caption: str, more: float = 0) -> np.ndarray:
    """Returns (bytes, first byte, `more`) `[3]`."""
    data = caption.encode("utf-8", "surrogateescape")
    return np.array([len(data), data[0], more], "f4")


def write(folder: str, name: str, captions: list[str], more: float = 0) -> str:
    """Returns the URI of a chunk."""
    vectors = np.stack([vector(caption, more) for caption in captions])
    return write_chunk(((name, Texts(captions)), vectors), f"{folder}/sentences-")


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Yields how often each file of the memory file system was read, by its name."""
    names: Counter[str] = Counter()

    def counting(method: Any) -> Any:
        def call(filesystem: Any, path: str, *args: Any, **options: Any) -> Any:
            names[path.rpartition("/")[2]] += 1
            return method(filesystem, path, *args, **options)

        return call

    for name in ("cat_file", "get_file"):
        monkeypatch.setattr(MemoryFileSystem, name, counting(getattr(MemoryFileSystem, name)))
    yield names
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yields a folder of the memory file system."""
    yield f"memory://{request.node.name}/scratch"
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize("scheme", ["", "memory:/"])
def test_written_chunks_come_back(tmp_path: Path, scheme: str) -> None:
    folder = f"{scheme}{tmp_path}/scratch"
    uris = [write(folder, "0-0", ["a dog", ODD]), write(folder, "1-0", ["a cat"])]
    assert uris == [f"{folder}/sentences-0-0", f"{folder}/sentences-1-0"]
    table = ChunkTable(uris)
    np.testing.assert_array_equal(
        table.look_up(["a cat", ODD, "a cat"]), [vector("a cat"), vector(ODD), vector("a cat")]
    )
    assert table.holds(ODD) and not table.holds("a bus")
    assert isinstance(table._vectors(table._paths[0]), np.memmap)
    with pytest.raises(KeyError):
        table.look_up(["a bus"])


def mapped(folder: Path) -> int:
    """Returns how many files of a folder this process has mapped into its memory."""
    return len({line.split(maxsplit=5)[-1] for line in MAPS.read_text().splitlines() if f"{folder}/" in line})


@needs_maps
def test_few_of_many_chunks_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_tables, "FILES", 3)
    captions = [f"{number} dogs" for number in range(10)]
    table = ChunkTable([write(str(tmp_path), f"0-{place}", [text]) for place, text in enumerate(captions)])
    for _ in range(2):
        for text in captions:
            np.testing.assert_array_equal(table.look_up([text]), [vector(text)])
            assert 1 <= mapped(tmp_path) <= 3


def test_remote_copies_go_with_the_table(place: str) -> None:
    table = ChunkTable([write(place, "0-0", ["a dog"])])
    assert table._copies is not None
    folder = Path(table._copies.name)
    assert len(list(folder.iterdir())) == 1
    del table
    assert not folder.exists()


def test_a_table_grows_only_by_the_new_chunks(place: str, fetched: Counter[str]) -> None:
    first, second = write(place, "0-0", ["a dog"]), write(place, "0-1", ["a cat"])
    table = ChunkTable((first,))
    for uris in ((first, second), (second,)):
        table.add(uris)
    assert len(table._paths) == 2
    np.testing.assert_array_equal(table.look_up(["a cat", "a dog"]), [vector("a cat"), vector("a dog")])
    assert set(fetched.values()) == {1} and len(fetched) == 4


def test_threads_that_want_the_same_chunks_fetch_each_once(place: str, fetched: Counter[str]) -> None:
    uris = [write(place, f"0-{number}", [f"caption {number}"]) for number in range(20)]
    together, table = threading.Barrier(8), ChunkTable()

    def look(_: int) -> list[float]:
        together.wait()
        table.add(uris)
        return table.look_up([f"caption {number}" for number in range(20)])[:, 0].tolist()

    with ThreadPoolExecutor(8) as threads:
        assert set(map(tuple, threads.map(look, range(8)))) == {(9.0,) * 10 + (10.0,) * 10}
    assert set(fetched.values()) == {1} and len(fetched) == 40


def test_a_closed_table_leaves_nothing_and_can_be_used_again(place: str, fetched: Counter[str]) -> None:
    uri = write(place, "0-0", ["a dog"])
    table = ChunkTable((uri,))
    assert table._copies is not None
    copies = Path(table._copies.name)
    table.close()
    assert not copies.exists() and not table.holds("a dog")
    table.add((uri,))
    np.testing.assert_array_equal(table.look_up(["a dog"]), [vector("a dog")])
    assert set(fetched.values()) == {2}
    ChunkTable().close()


@needs_maps
def test_a_removed_file_is_readable_until_the_table_is_closed(tmp_path: Path) -> None:
    uri = write(str(tmp_path), "0-0", ["a dog"])
    table = ChunkTable((uri,))
    Path(f"{uri}.npy").unlink()
    table.add((uri,))
    np.testing.assert_array_equal(table.look_up(["a dog"]), [vector("a dog")])
    assert mapped(tmp_path) == 1
    table.close()
    assert mapped(tmp_path) == 0


def test_a_chunk_that_cannot_be_fetched_is_fetched_later(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = write(place, "0-0", ["a dog"]), write(place, "0-1", ["a cat"])

    table = ChunkTable()

    def fail(*_: Any) -> None:
        raise ConnectionError("storage is away")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "get_file", fail)
        with pytest.raises(ConnectionError):
            table.add((first, second))
    table.add((first, second))
    np.testing.assert_array_equal(table.look_up(["a dog", "a cat"]), [vector("a dog"), vector("a cat")])


def test_only_chunks_of_earlier_waves_leave_captions_out(place: str) -> None:
    """A table may hold chunks that a bundle on the same machine wrote already, in this very pipeline."""
    uri = write(place, "0-0", ["a dog"])
    chunks = SharedChunks()
    chunks.get().add((uri,))
    assert list(leave_out_known(b"a dog", (), None, chunks)) == [b"a dog"]
    assert list(leave_out_known(b"a dog", (uri,), None, chunks)) == []
    assert list(leave_out_known(b"a cat", (uri,), None, chunks)) == [b"a cat"]


class Encoder(ModelHandler[list[str], Any, object]):
    """Encodes by `vector`."""

    def load_model(self) -> object:
        return Encoder

    def run_inference(self, batch: Sequence[list[str]], model: object, inference_args: Any = None) -> list[Any]:
        return [np.stack([vector(text) for text in texts]) for texts in batch]


WAVES = [["a dog", "cats"], ["cats", ODD], ["a dog", ODD, "a bus"]]


def mean_of(pair: tuple[Matched, np.ndarray]) -> list[float]:
    return pair[1].tolist()


def test_each_chunk_is_fetched_once_over_three_waves(place: str, fetched: Counter[str]) -> None:
    known: list[str] = []
    chunks = SharedChunks()
    table = chunks.get()
    for number, captions in enumerate(WAVES):
        photo = Matched(Photo("a", "1", "a", 3, 2, ()), tuple(CaptionMatch(text, 0.5) for text in captions))
        prefix = f"{place}/wave-{number}-sentences-"
        step = EncodeSentences(Encoder(), prefix, 2, tuple(known), chunks=chunks)
        with TestPipeline("FnApiRunner") as root:
            means = root | beam.Create([photo]) | step | beam.Map(mean_of)
            expected = np.mean([vector(text) for text in captions], axis=0, dtype="f4")
            assert_that(means, equal_to([expected.tolist()]), label="means")
        files = fsspec.filesystem("memory").ls(place, detail=False)
        known = [f"memory:/{file[:-5]}" for file in files if file.endswith(".json")]
    assert len(known) >= 3
    assert fetched == Counter({f"{uri.rpartition('/')[2]}.{end}": 1 for uri in known for end in ("json", "npy")})
    assert len(table._paths) == len(known)
