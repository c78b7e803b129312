"""Files are written whole or not at all, and say where no room is left for them."""

import contextlib
import errno
import os
import time
from collections.abc import Iterator

import fsspec


class StorageFullError(Exception):
    """A file could not be written, since no room or no right to room is left; its message says where."""

    code = "storage_full"


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
