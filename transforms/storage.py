"""Objects on any file system by URI: looked at and read in bulk, with an error for each that fails, and written whole.

Names are taken literally: fsspec's own `cat` would expand `[`, `*` and `?` in them.
"""

import asyncio
import os
import re
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.asyn import _run_coros_in_chunks, sync

SCHEMES = frozenset(
    ("abfs", "abfss", "adl", "az", "file", "gcs", "gs", "hdfs", "memory", "obs", "oci", "oss", "r2", "s3", "s3a")
    + ("sftp", "smb", "ssh", "webhdfs")
)  # what photos are read from; http and wrappers such as zip:: are not among them
CLIENTS = ("adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "paramiko", "requests")
IO_ERRORS = (OSError, EOFError, TimeoutError, asyncio.TimeoutError)


class ReadError(Exception):
    """An object could not be read; another night may do better."""

    retryable = True


class MissingFile(ReadError):
    """The object is not there, or not any more."""


class AccessDenied(ReadError):
    """The object may not be read with the rights that the job has."""


class ReadTimeout(ReadError):
    """The storage did not answer in time."""


class NotAFile(ReadError):
    """A folder, a pipe or a device stands under the name."""

    retryable = False


class RefusedUri(ReadError):
    """The URI's scheme or place is not allowed."""

    retryable = False


@dataclass(frozen=True)
class Stat:
    """What storage says of an object: its bytes and its version (generation, etag, or size and modification time)."""

    size: int
    version: str


def split_scheme(uri: str) -> tuple[str, str]:
    """Returns (scheme, rest); a plain path has the scheme `file`."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", uri)
    if match is None:
        return "file", uri
    return match[1].lower(), uri[match.end() :]


def is_local(uri: str) -> bool:
    """Tells whether the URI names a file of this machine."""
    return split_scheme(uri)[0] == "file"


def absolute(uri: str) -> str:
    """Returns the URI in the form that rows have: local files as absolute plain paths, others with their scheme."""
    scheme, rest = split_scheme(uri)
    if scheme != "file":
        return uri
    return os.path.abspath(os.path.expanduser(rest) if rest.startswith("~") and not os.path.lexists(rest) else rest)


def open_remote(uri: str) -> tuple[Any, str]:
    """Returns (fsspec file system, path in it) of a URI with a scheme."""
    scheme, _ = split_scheme(uri)
    kind = fsspec.get_filesystem_class(scheme)
    options = kind._get_kwargs_from_urls(uri)
    return fsspec.filesystem(scheme, use_listings_cache=False, **options), kind._strip_protocol(uri)


def check_uri(uri: str, roots: Sequence[str] = ()) -> str | None:
    """Returns what is wrong with a URI or pattern, None where nothing is.

    Args:
        uri: URI, local path or pattern.
        roots: places that it must lie below; none allows all.
    """
    scheme, rest = split_scheme(uri)
    if not uri.strip() or "\0" in uri:
        return f"{uri!r}: is not the name of anything"
    if scheme in ("http", "https"):
        return f"{uri}: files are not fetched over http; copy them to a folder or bucket"
    if scheme not in SCHEMES:
        return f"{uri}: the scheme {scheme}:// is not allowed; allowed are {', '.join(sorted(SCHEMES))}"
    if scheme != "file" and re.match(r"[^/@]*:[^/@]*@", rest):
        return f"{scheme}://...: a password in a URI would be written to every row; configure it for fsspec instead"
    if roots and not any(_is_below(absolute(uri), absolute(root)) for root in roots):
        return f"{uri}: lies outside the allowed places ({', '.join(roots)})"
    return None


def _is_below(uri: str, root: str) -> bool:
    return ".." not in uri.split("/") and (uri + "/").startswith(root.rstrip("/") + "/")


def stat_all(uris: Sequence[str]) -> list[Stat | ReadError]:
    """Returns what storage says of each object, or why it cannot."""
    return _by_place(uris, _stat_local, _stat_remote)


def read_all(uris: Sequence[str], sizes: Sequence[int]) -> list[bytes | ReadError]:
    """Returns the bytes of each object, at most one more than its listed size, or why it cannot be read."""
    limits = dict(zip(uris, sizes, strict=True))

    def local(uri: str) -> bytes:
        with Path(split_scheme(uri)[1]).open("rb") as file:
            return file.read(limits[uri] + 1)

    def remote(fs: Any, paths: list[str], group: list[str]) -> list[Any]:
        return fs.cat_ranges(paths, [0] * len(paths), [limits[uri] + 1 for uri in group], on_error="return")

    return _by_place(uris, local, remote)


def entry_version(entry: dict[str, Any]) -> str:
    """Returns the version in an fsspec listing's entry: generation, else etag, else size and modification time."""
    for key in ("generation", "ETag", "etag"):
        if entry.get(key):
            return str(entry[key]).strip('"')
    changed = next((entry[key] for key in ("mtime", "LastModified", "last_modified", "created") if entry.get(key)), "")
    return f"{entry.get('size') or 0}-{changed.isoformat() if hasattr(changed, 'isoformat') else changed}"


def local_version(status: os.stat_result) -> str:
    """Returns a local file's version: its size and modification time in nanoseconds."""
    return f"{status.st_size}-{status.st_mtime_ns}"


def read_error(uri: str, error: BaseException) -> ReadError:
    """Returns the named error for what a file system raised.

    Raises:
        BaseException: the error itself where it is no matter of storage, but a bug.
    """
    if isinstance(error, ReadError):
        return error
    client = type(error).__module__.split(".")[0] in CLIENTS
    if not isinstance(error, IO_ERRORS) and not client:
        raise error
    text = str(error) or type(error).__name__
    code = getattr(error, "code", None) or getattr(error, "status", None)
    if isinstance(error, FileNotFoundError | NotADirectoryError) or str(code) == "404":
        return MissingFile(f"{uri} is not there, or not any more")
    if isinstance(error, PermissionError) or str(code) in ("401", "403"):
        return AccessDenied(f"{uri} may not be read: {text}")
    if isinstance(error, IsADirectoryError):
        return NotAFile(f"{uri} is not a file: {text}")
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return ReadTimeout(f"{uri}: storage did not answer in time ({text})")
    return ReadError(f"{uri} could not be read: {type(error).__name__}: {text}")


def _by_place(
    uris: Sequence[str],
    local: Callable[[str], Any],
    remote: Callable[[Any, list[str], list[str]], list[Any]],
) -> list[Any]:
    """Returns each URI's result or error, in order; remote file systems get all their paths in one call."""
    results: dict[str, Any] = {}
    groups: dict[int, tuple[Any, list[str], list[str]]] = {}
    for uri in dict.fromkeys(uris):
        problem = check_uri(uri)
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
    return Stat(status.st_size, local_version(status))


def _stat_remote(fs: Any, paths: list[str], group: list[str]) -> list[Any]:
    if fs.async_impl:
        calls = [fs._info(path) for path in paths]
        found = sync(fs.loop, _run_coros_in_chunks, calls, nofiles=True, return_exceptions=True)
    else:
        found = [_info(fs, path) for path in paths]
    return [
        entry
        if isinstance(entry, BaseException)
        else Stat(entry["size"], entry_version(entry))
        if entry["type"] == "file"
        else NotAFile(f"{uri} is a folder")
        for uri, entry in zip(group, found, strict=True)
    ]


def _info(fs: Any, path: str) -> Any:
    try:
        return fs.info(path)
    except Exception as error:  # read_error raises it again where it is a bug
        return error


def write_whole(uri: str, data: bytes) -> None:
    """Puts a file in place whole: on local disks through a temporary name, elsewhere by the store's own put."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    if "file" not in filesystem.protocol:
        filesystem.pipe_file(path, data)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.replace(write_temporary(path, data), path)


def write_temporary(path: str, data: bytes) -> str:
    """Returns the name of a local file beside `path` that holds the data, safe on the disk."""
    temporary = f"{path}.{os.getpid()}.{time.monotonic_ns()}.part"
    with open(temporary, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return temporary
