"""The numbered manifests of an OUTPUT: its committed runs and the files that now hold their rows.

Two kinds of manifest share one sequence of numbers. A run's manifest names the files that the run wrote. A rewrite's
manifest (`kind` is `forget` or `compact`) says which files it `replaces`, and names `files` that hold the rows of
several runs, each run's in row groups of its own: `groups` has [number of the run, rows] of each row group.
`read_manifests` returns only runs, with the files that now hold their rows.
"""

import functools
import json
import logging
import os
import posixpath
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.uris import absolute
from transforms.write_whole import needing_room, write_temporary, write_whole

Manifest = dict[str, Any]
StoredFile = dict[str, Any]

WHOLE = 32 * 2**20  # bytes up to which a file is read at once
BATCH = 1024  # rows


def put_if_absent(uri: str, data: bytes) -> None:
    """Writes a whole file, unless it exists.

    Raises:
        FileExistsError: the file exists.
        StorageFullError: there is no room for it.
    """
    filesystem, path = fsspec.core.url_to_fs(uri)
    with needing_room(uri):
        filesystem.makedirs(posixpath.dirname(path), exist_ok=True)
        if "file" not in filesystem.protocol:
            filesystem.pipe_file(path, data, mode="create")
            return
    temporary = write_temporary(path, data)
    try:
        with needing_room(uri):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)


def list_files(output: str, folder: str, ending: str = "") -> list[str]:
    """Returns the sorted names of the files directly in a folder of OUTPUT; none if there is no such folder."""
    filesystem, path = fsspec.core.url_to_fs(posixpath.join(output, folder))
    try:
        files = filesystem.ls(path, detail=False, refresh=True)
    except FileNotFoundError:
        return []
    return sorted(posixpath.basename(file) for file in files if file.endswith(ending))


def manifest_uri(output: str, number: int) -> str:
    """Returns the URI of the manifest with a number."""
    return posixpath.join(output, "manifests", f"{number:08d}.json")


def put_manifest(output: str, manifest: Manifest) -> bool:
    """Writes a manifest under its number, which commits it; returns False if another one has the number."""
    try:
        put_if_absent(manifest_uri(output, manifest["number"]), json.dumps(manifest, indent=1).encode())
    except FileExistsError:
        return False
    return True


def read_all_manifests(output: str) -> list[Manifest]:
    """Returns the manifests under OUTPUT, of runs and of rewrites, as they were written, in the order of their numbers.

    A truncated manifest commits nothing and is returned as a rewrite of no file. Stores without atomic puts leave such
    manifests when they are full.
    """
    return [_read_manifest(output, name) for name in list_files(output, "manifests", ".json")]


def _read_manifest(output: str, name: str) -> Manifest:
    filesystem, path = fsspec.core.url_to_fs(posixpath.join(output, "manifests", name))
    try:
        manifest: Manifest = json.loads(filesystem.cat_file(path))
    except ValueError:
        logging.warning("%s: the manifest is truncated; the files that it may name are not committed", path)
        number = int(posixpath.splitext(name)[0])
        return {"number": number, "kind": "cut", "run_id": name, "committed": "", "replaces": [], "files": []}
    return manifest


def read_manifests(output: str) -> list[Manifest]:
    """Returns the manifests of committed runs by their numbers, each with the files that now hold its rows."""
    return as_they_stand(read_all_manifests(output))


def as_they_stand(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Returns the manifests of the runs among all manifests, each with the files that now hold its rows.

    Several runs may name the same file; `groups` then has the indices of each run's row groups in it.
    """
    runs: dict[int, Manifest] = {}
    for manifest in manifests:
        if not is_rewrite(manifest):
            runs[manifest["number"]] = dict(manifest)
            continue
        replaced = set(manifest["replaces"])
        for run in runs.values():
            run["files"] = [file for file in run["files"] if file["path"] not in replaced]
        for file in manifest["files"]:
            for number in dict.fromkeys(number for number, _ in file["groups"]):
                runs[number]["files"].append(_share(file, number))
    return list(runs.values())


def _share(file: StoredFile, number: int) -> StoredFile:
    """Returns one run's share of a rewritten file: the file's entry with the run's row groups and their rows."""
    groups = [(place, rows) for place, (run, rows) in enumerate(file["groups"]) if run == number]
    return file | {"groups": [place for place, _ in groups], "rows": sum(rows for _, rows in groups)}


def is_rewrite(manifest: Manifest) -> bool:
    """Returns whether a manifest is that of a rewrite, not of a run."""
    return "replaces" in manifest


def last_number(manifests: Sequence[Manifest]) -> int:
    """Returns the highest number of the manifests, or 0 if there are none."""
    return max((manifest["number"] for manifest in manifests), default=0)


def read_rows(
    output: str, manifest: Manifest, table: str, columns: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yields the rows of one table of a committed run."""
    for file in manifest["files"]:
        if file["table"] == table:
            for batch in read_batches(output, file, columns):
                yield from batch.to_pylist()


def read_batches(output: str, file: StoredFile, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yields the rows that a manifest's file entry stands for, a few at a time and only in this thread.

    Arrow's own threads would continue to read a Python file while the interpreter ends, and abort the process.
    """
    parquet = open_parquet(output, file)
    yield from parquet.iter_batches(BATCH, row_groups=file.get("groups"), columns=columns, use_threads=False)


def open_parquet(output: str, file: StoredFile) -> pq.ParquetFile:
    """Returns a manifest's file, open; the last ones stay open, since consecutive runs share files."""
    return _opened.open(posixpath.join(output, file["path"]), file["bytes"], file["sha256"])


class _Opened(threading.local):
    """Files that this thread has open; threads never share an open file."""

    def __init__(self) -> None:
        self.open = functools.lru_cache(maxsize=2)(_open_parquet)


def _open_parquet(uri: str, size: int, sha256: str) -> pq.ParquetFile:
    filesystem, path = fsspec.core.url_to_fs(uri)
    source = pa.BufferReader(filesystem.cat_file(path)) if size <= WHOLE else filesystem.open(path, "rb")
    return pq.ParquetFile(source, pre_buffer=False)


_opened = _Opened()


def refresh_current(output: str) -> None:
    """Updates `current.files`: the URIs of the story files of committed runs, oldest run first, one a line.

    Two commits at once may write it in the wrong order, so it is checked again after writing.
    """
    uri = posixpath.join(output, "current.files")
    while True:
        files = [posixpath.join(output, path) for path in story_paths(read_manifests(output))]
        text = "".join(f"{absolute(file)}\n" for file in files).encode()
        if read_if_there(uri) == text:
            return
        write_whole(uri, text)


def read_if_there(uri: str) -> bytes | None:
    """Returns a file's bytes, or None if there is no such file."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    try:
        content: bytes = filesystem.cat_file(path)
    except FileNotFoundError:
        return None
    return content


def story_paths(manifests: Iterable[Manifest]) -> list[str]:
    """Returns the distinct paths of story files below OUTPUT, in the order of the runs."""
    files = (file for manifest in manifests for file in manifest["files"] if file["table"] == "stories")
    return list(dict.fromkeys(file["path"] for file in files))


def refresh_after_commit(output: str) -> None:
    """Updates `current.files` after a commit; a failure is only logged, since the commit itself has succeeded."""
    try:
        refresh_current(output)
    except Exception:  # each store's client raises errors of its own; the next commit writes the file
        logging.warning("%s: committed, but current.files could not be written", output, exc_info=True)
