"""Looks at and reads objects on any file system in bulk, by URI, with an error for each object that fails.

Names are used literally: fsspec's own `cat` would expand `[`, `*` and `?` in them.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.asyn import sync

from transforms.object_stats import Stat, entry_checksum, entry_modified, entry_version, local_version
from transforms.read_errors import IO_ERRORS, NotAFile, ReadError, RefusedUri, ask_again, may_pass, read_error
from transforms.uris import EVERYTHING, Allowed, check_uri, is_local, open_remote, split_scheme

READ_SECONDS = 120.0  # time limit for one object
AT_ONCE = 1280  # objects of a call that are looked at or read at a time


def stat_all(uris: Sequence[str], allowed: Allowed = EVERYTHING) -> list[Stat | ReadError]:
    """Returns the metadata of each object, or its error after several tries."""

    def ask(waiting: list[str]) -> list[Stat | ReadError]:
        return _by_place(waiting, allowed, _stat_local, _stat_remote)

    def failed(_: str, answer: Stat | ReadError) -> bool:
        return may_pass(answer)

    return ask_again(ask, uris, failed)


def read_all(uris: Sequence[str], sizes: Sequence[int], allowed: Allowed = EVERYTHING) -> list[bytes | ReadError]:
    """Returns the bytes of each object, at most one more than its listed size, or its error.

    Objects that fail, or end before their listed size, are read again several times.
    """
    limits = dict(zip(uris, sizes, strict=True))

    def local(uri: str) -> bytes:
        with Path(split_scheme(uri)[1]).open("rb") as file:
            return file.read(limits[uri] + 1)

    def remote(fs: AbstractFileSystem, paths: list[str], group: list[str]) -> list[Any]:
        ends = [limits[uri] + 1 for uri in group]
        if not fs.async_impl:
            contents: list[Any] = fs.cat_ranges(paths, [0] * len(paths), ends, on_error="return")
            return contents
        return _run_all(fs, [fs._cat_file(path, start=0, end=end) for path, end in zip(paths, ends, strict=True)])

    def ask(waiting: list[str]) -> list[bytes | ReadError]:
        return _by_place(waiting, allowed, local, remote)

    def failed(uri: str, answer: bytes | ReadError) -> bool:
        return len(answer) < limits[uri] if isinstance(answer, bytes) else may_pass(answer)

    return ask_again(ask, uris, failed)


def _run_all(fs: AbstractFileSystem, calls: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Returns each call's result or error; one that takes too long is a TimeoutError.

    The calls are fsspec's coroutines, since its blocking functions have no time limit for a single object.
    """

    async def run() -> list[Any]:
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(call: Coroutine[Any, Any, object]) -> object:
            async with turns:
                return await asyncio.wait_for(call, READ_SECONDS)

        return await asyncio.gather(*map(one, calls), return_exceptions=True)

    found: list[Any] = sync(fs.loop, run)
    return found


def _by_place(
    uris: Sequence[str],
    allowed: Allowed,
    local: Callable[[str], Any],
    remote: Callable[[Any, list[str], list[str]], list[Any]],
) -> list[Any]:
    """Returns each URI's result or error, in order; a remote file system gets all its paths in one call."""
    results: dict[str, Any] = {}
    groups: dict[int, tuple[Any, list[str], list[str]]] = {}
    for uri in dict.fromkeys(uris):
        problem = check_uri(uri, allowed)
        if problem:
            results[uri] = RefusedUri(problem)
        elif is_local(uri):
            try:
                results[uri] = local(uri)
            except IO_ERRORS as error:
                results[uri] = read_error(uri, error)
        else:
            fs, path = open_remote(uri)
            _, paths, group = groups.setdefault(id(fs), (fs, [], []))
            paths.append(path)
            group.append(uri)
    for fs, paths, group in groups.values():
        for uri, result in zip(group, remote(fs, paths, group), strict=True):
            results[uri] = read_error(uri, result) if isinstance(result, BaseException) else result
    return [results[uri] for uri in uris]


def _stat_local(uri: str) -> Stat | ReadError:
    status = os.stat(split_scheme(uri)[1])
    if not stat.S_ISREG(status.st_mode):
        return NotAFile(f"{uri} is a folder, a pipe or a device, not a file")
    return Stat(status.st_size, local_version(status), status.st_mtime)


def _stat_remote(fs: AbstractFileSystem, paths: list[str], group: list[str]) -> list[Any]:
    found = _run_all(fs, [fs._info(path) for path in paths]) if fs.async_impl else [_info(fs, path) for path in paths]
    return [
        entry
        if isinstance(entry, BaseException)
        else Stat(entry["size"], entry_version(entry), entry_modified(entry), entry_checksum(entry))
        if entry["type"] == "file"
        else NotAFile(f"{uri} is a folder")
        for uri, entry in zip(group, found, strict=True)
    ]


def _info(fs: AbstractFileSystem, path: str) -> dict[str, Any] | BaseException:
    try:
        entry: dict[str, Any] = fs.info(path)
    except Exception as error:  # read_error raises it again if it is a bug
        return error
    return entry
