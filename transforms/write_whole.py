"""Writes files completely or not at all, with a clear error when no room is left."""

import contextlib
import errno
import os
import time
from collections.abc import Iterator

import fsspec


class StorageFullError(Exception):
    """A file could not be written because the disk or quota is full; the message says where."""

    code = "storage_full"


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_whole(uri: str, data: bytes | memoryview) -> None:
    """Puts a complete file in place: through a temporary name on local disks, elsewhere by the store's own put.

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
    """Returns the name of a local file beside `path` with the data, flushed to disk.

    Raises:
        StorageFullError: there is no room for it; the part that was written is removed.
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
    """Raises StorageFullError with the file's name when no room is left for it."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        why = os.strerror(error.errno)
        raise StorageFullError(f"{uri} could not be written: {why}. Make room there and run again") from error
