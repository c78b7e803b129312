"""The folder of a page, on this machine or in a bucket."""

import posixpath
import tempfile
from pathlib import Path

import fsspec

from transforms.write_whole import write_whole


class Folder:
    """A folder or bucket prefix whose files a browser can open; files in buckets get their content type.

    Args:
        location: folder or URI.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._filesystem, self._path = fsspec.core.url_to_fs(location)

    def names(self, below: str = "") -> list[str]:
        """Returns the names of files and folders in the folder or one below it."""
        try:
            found = self._filesystem.ls(posixpath.join(self._path, below).rstrip("/"), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(posixpath.basename(path.rstrip("/")) for path in found)

    def read(self, name: str) -> bytes:
        """Returns a file's bytes; empty if there is no such file."""
        try:
            content: bytes = self._filesystem.cat_file(posixpath.join(self._path, name))
        except (FileNotFoundError, IsADirectoryError):
            return b""
        return content

    def write(self, name: str, data: bytes) -> None:
        """Writes a file whole."""
        if "file" in self._filesystem.protocol:
            write_whole(posixpath.join(self._path, name), data)
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, posixpath.basename(name))
            copy.write_bytes(data)
            self._filesystem.put_file(str(copy), posixpath.join(self._path, name))  # content type by the ending

    def remove(self, name: str) -> None:
        """Removes a file, or a folder with its content."""
        self._filesystem.rm(posixpath.join(self._path, name), recursive=True)
