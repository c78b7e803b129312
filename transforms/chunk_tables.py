"""Sentence vectors that a run has written, by caption; each process fetches and opens each chunk once."""

import functools
import json
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import fsspec
import numpy as np

from transforms.per_process import PerProcess
from transforms.write_whole import needing_room

FILES = 400  # chunks of a table open at once; each needs a file descriptor, and processes are often limited to 1,024


class ChunkTable:
    """Sentence vectors of written chunks, memory-mapped from the local disk; safe to share between threads.

    Args:
        uris: URIs of chunks, as `write_chunk` returns them.
    """

    def __init__(self, uris: Sequence[str] = ()) -> None:
        self._copies: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()
        self._added: set[str] = set()
        self._paths: list[str] = []
        self._vectors = functools.lru_cache(FILES)(_open_chunk)  # of a path
        self._places: dict[str, tuple[int, int]] = {}
        self.add(uris)

    def add(self, uris: Sequence[str]) -> None:
        """Opens the chunks that are not open yet; chunks are never changed."""
        if self._added.issuperset(uris):
            return
        with self._lock:
            for uri in uris:
                if uri not in self._added:
                    self._add(uri)
                    self._added.add(uri)

    def _add(self, uri: str) -> None:
        filesystem, path = fsspec.core.url_to_fs(uri)
        texts = json.loads(filesystem.cat_file(f"{path}.json"))
        local = self._local(filesystem, f"{path}.npy")
        self._vectors(local)
        self._paths.append(local)  # vectors first: other threads look up a file by its captions
        self._places.update((text, (len(self._paths) - 1, row)) for row, text in enumerate(texts))

    def _local(self, filesystem: fsspec.AbstractFileSystem, path: str) -> str:
        if "file" in filesystem.protocol:
            return path
        if self._copies is None:
            self._copies = tempfile.TemporaryDirectory(prefix="sentence-vectors-")
        target = str(Path(self._copies.name) / f"{len(self._paths):05d}.npy")
        with needing_room(target):
            filesystem.get_file(path, target)
        return target

    def holds(self, caption: str) -> bool:
        """Returns whether the table has a vector for the caption."""
        return caption in self._places

    def look_up(self, captions: Sequence[str]) -> np.ndarray:
        """Returns the captions' sentence vectors `[K, S]` float32."""
        places = [self._places[caption] for caption in captions]
        rows = [self._vectors(self._paths[file])[row] for file, row in places]
        return np.stack(rows)  # [K, S]

    def close(self) -> None:
        """Frees the memory and the copies on the local disk; chunks added later are opened again."""
        with self._lock:
            for held in (self._added, self._places, self._paths):
                held.clear()
            self._vectors.cache_clear()
            if self._copies is not None:
                self._copies.cleanup()
                self._copies = None


def _open_chunk(path: str) -> np.ndarray:
    """Returns a chunk's vectors `[n, S]`."""
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)  # [n, S]
    return array


class SharedChunks(PerProcess[ChunkTable]):
    """Handle on the vectors that a run has written so far; each process opens them once."""

    def __init__(self) -> None:
        super().__init__(ChunkTable)

    def open(self, uris: Sequence[str]) -> ChunkTable:
        """Returns this process's table after adding these chunks."""
        table = self.get()
        table.add(uris)
        return table
