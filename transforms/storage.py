"""Objects on any file system by URI: looked at and read in bulk, with an error for each that fails, and written whole.

Names are taken literally: fsspec's own `cat` would expand `[`, `*` and `?` in them.
"""

import contextlib
import errno
import functools
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.asyn import _run_coros_in_chunks, sync

from transforms.read_errors import (
    IO_ERRORS,
    NotAFile,
    ReadError,
    RefusedUri,
    ask_again,
    may_pass,
    read_error,
)
from transforms.redaction import USER

SCHEMES = frozenset(
    ("abfs", "abfss", "adl", "az", "file", "gcs", "gs", "hdfs", "memory", "obs", "oci", "oss", "r2", "s3", "s3a")
    + ("sftp", "smb", "ssh", "webhdfs")
)  # what photos are read from; http and wrappers such as zip:: are not among them
READ_SECONDS = 120.0  # of one object
MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Stat:
    """What storage says of an object.

    Attributes:
        size: its bytes.
        version: generation, etag, or size and modification time.
        modified: seconds since 1970.
        checksum: of its bytes, empty where the store has none in its listings.
    """

    size: int
    version: str
    modified: float | None = field(default=None, compare=False)
    checksum: str = field(default="", compare=False)


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


@dataclass(frozen=True)
class Allowed:
    """What photos may be read from.

    Attributes:
        schemes: of URIs, `file` for local paths; none allows all of SCHEMES.
        roots: places that everything must lie below, symbolic links followed; none allows all.
    """

    schemes: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()


EVERYTHING = Allowed()


def check_uri(uri: str, allowed: Allowed = EVERYTHING) -> str | None:
    """Returns what is wrong with a URI, a local path or a pattern, None where nothing is."""
    scheme, rest = split_scheme(uri)
    schemes, roots = sorted(SCHEMES.intersection(allowed.schemes or SCHEMES)), allowed.roots
    if not uri.strip() or "\0" in uri:
        return f"{uri!r}: is not the name of anything"
    if scheme in ("http", "https"):
        return f"{uri}: files are not fetched over http; copy them to a folder or bucket"
    if scheme not in schemes:
        return f"{uri}: the scheme {scheme}:// is not allowed; allowed are {', '.join(schemes)}"
    if USER.search(uri):
        return f"{scheme}://...: a password in a URI would be written to every row; configure it for fsspec instead"
    if roots and not any(_is_below(absolute(uri), absolute(root)) for root in roots):
        return f"{uri}: lies outside the allowed places ({', '.join(roots)})"
    if roots and scheme == "file" and not _leads_below(absolute(uri), roots):
        return f"{uri}: a symbolic link leads out of the allowed places ({', '.join(roots)})"
    return None


def _is_below(uri: str, root: str) -> bool:
    return ".." not in uri.split("/") and (uri + "/").startswith(root.rstrip("/") + "/")


def _leads_below(path: str, roots: Sequence[str]) -> bool:
    real = os.path.realpath(path)
    return any(_is_below(real, os.path.realpath(absolute(root))) for root in roots if is_local(root))


def stat_all(uris: Sequence[str], allowed: Allowed = EVERYTHING) -> list[Stat | ReadError]:
    """Returns what storage says of each object, or why it cannot, after several tries."""

    def ask(waiting: list[str]) -> list[Stat | ReadError]:
        return _by_place(waiting, allowed, _stat_local, _stat_remote)

    def failed(_: str, answer: Stat | ReadError) -> bool:
        return may_pass(answer)

    return ask_again(ask, uris, failed)


def read_all(uris: Sequence[str], sizes: Sequence[int], allowed: Allowed = EVERYTHING) -> list[bytes | ReadError]:
    """Returns the bytes of each object, at most one more than its listed size, or why it cannot be read.

    What fails, or ends before its listed size, is read again several times.
    """
    limits = dict(zip(uris, sizes, strict=True))

    def local(uri: str) -> bytes:
        with Path(split_scheme(uri)[1]).open("rb") as file:
            return file.read(limits[uri] + 1)

    def remote(fs: Any, paths: list[str], group: list[str]) -> list[Any]:
        ends = [limits[uri] + 1 for uri in group]
        if not fs.async_impl:
            return fs.cat_ranges(paths, [0] * len(paths), ends, on_error="return")
        return _run_all(fs, [fs._cat_file(path, start=0, end=end) for path, end in zip(paths, ends, strict=True)])

    def ask(waiting: list[str]) -> list[bytes | ReadError]:
        return _by_place(waiting, allowed, local, remote)

    def failed(uri: str, answer: bytes | ReadError) -> bool:
        return len(answer) < limits[uri] if isinstance(answer, bytes) else may_pass(answer)

    return ask_again(ask, uris, failed)


def _run_all(fs: Any, calls: list[Any]) -> list[Any]:
    """Returns each call's result or error; one that takes too long is a TimeoutError."""
    run = functools.partial(_run_coros_in_chunks, timeout=READ_SECONDS, nofiles=True, return_exceptions=True)
    return sync(fs.loop, run, calls)


def entry_version(entry: dict[str, Any]) -> str:
    """Returns the version in an fsspec listing's entry: generation, else etag, else size and modification time."""
    for key in ("generation", "ETag", "etag"):
        if entry.get(key):
            return str(entry[key]).strip('"')
    changed = next((entry[key] for key in ("mtime", "LastModified", "last_modified", "created") if entry.get(key)), "")
    return f"{entry.get('size') or 0}-{changed.isoformat() if hasattr(changed, 'isoformat') else changed}"


def entry_checksum(entry: dict[str, Any]) -> str:
    """Returns a checksum of an object's bytes in an fsspec listing's entry, empty where there is none.

    Google's store has CRC32C of every object, S3 and its like an MD5 sum as the ETag of those uploaded in one piece.
    """
    if entry.get("crc32c"):
        return f"crc32c {entry['crc32c']}"
    tag = str(entry.get("ETag") or "").strip('"')
    return f"md5 {tag}" if MD5.fullmatch(tag) else ""


def entry_modified(entry: dict[str, Any]) -> float | None:
    """Returns the modification time in an fsspec listing's entry, in seconds since 1970; None where there is none."""
    names = ("timeCreated", "mtime", "LastModified", "last_modified", "modified", "updated", "created")
    changed = next((entry[name] for name in names if entry.get(name)), None)
    if isinstance(changed, str):
        try:
            changed = datetime.fromisoformat(changed)
        except ValueError:
            return None
    if isinstance(changed, datetime):
        return (changed if changed.tzinfo else changed.replace(tzinfo=UTC)).timestamp()
    return float(changed) if isinstance(changed, int | float) else None


def local_version(status: os.stat_result) -> str:
    """Returns a local file's version: its size and modification time in nanoseconds."""
    return f"{status.st_size}-{status.st_mtime_ns}"


def _by_place(
    uris: Sequence[str],
    allowed: Allowed,
    local: Callable[[str], Any],
    remote: Callable[[Any, list[str], list[str]], list[Any]],
) -> list[Any]:
    """Returns each URI's result or error, in order; remote file systems get all their paths in one call."""
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


def _stat_remote(fs: Any, paths: list[str], group: list[str]) -> list[Any]:
    found = _run_all(fs, [fs._info(path) for path in paths]) if fs.async_impl else [_info(fs, path) for path in paths]
    return [
        entry
        if isinstance(entry, BaseException)
        else Stat(entry["size"], entry_version(entry), entry_modified(entry), entry_checksum(entry))
        if entry["type"] == "file"
        else NotAFile(f"{uri} is a folder")
        for uri, entry in zip(group, found, strict=True)
    ]


def _info(fs: Any, path: str) -> Any:
    try:
        return fs.info(path)
    except Exception as error:  # read_error raises it again where it is a bug
        return error


class StorageFullError(Exception):
    """A file could not be written, since no room or no right to room is left; its message says where."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_whole(uri: str, data: bytes | memoryview) -> None:
    """Puts a file in place whole: on local disks through a temporary name, elsewhere by the store's own put.

    Raises:
        StorageFullError: there is no room for it.
    """
    filesystem, path = fsspec.core.url_to_fs(uri)
    if "file" not in filesystem.protocol:
        with needing_room(uri):
            filesystem.pipe_file(path, bytes(data))
        return
    with needing_room(uri):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    os.replace(write_temporary(path, data), path)


def write_temporary(path: str, data: bytes | memoryview) -> str:
    """Returns the name of a local file beside `path` that holds the data, safe on the disk.

    Raises:
        StorageFullError: there is no room for it; what was written of it is gone.
    """
    temporary = f"{path}.{os.getpid()}.{time.monotonic_ns()}.part"
    try:
        with needing_room(path), open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return temporary


@contextlib.contextmanager
def needing_room(uri: str) -> Iterator[None]:
    """Names the file that no room is left for."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        why = os.strerror(error.errno)
        raise StorageFullError(f"{uri} could not be written: {why}. Make room there, and run again") from error
