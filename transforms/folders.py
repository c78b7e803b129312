"""Files under a folder or glob, on this machine or any fsspec file system, in the same order each time.

Local folders are walked completely, hidden files included. Symbolic links are followed, but never back into a folder
above. A folder that matches a glob is not entered: `photos/*` selects the files in photos, `photos/**` and `photos`
also those in its subfolders.
"""

import fnmatch
import os
import re
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

from transforms.object_stats import entry_checksum, entry_modified, entry_version, local_version
from transforms.read_errors import MissingFile, call_again, read_error
from transforms.records import Listing
from transforms.redaction import without_secrets
from transforms.uris import EVERYTHING, Allowed, absolute, check_uri, is_local, open_remote

QUERY = re.compile(r"\?[\w.~-]+=[^/]*$")


class ListingError(Exception):
    """An input cannot be listed: a folder that may not be read, or a damaged list of URIs.

    The message contains no secrets.
    """

    code = "listing"

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


class Entry(NamedTuple):
    """An entry of a folder: its path, whether it is a folder, and its metadata if known."""

    path: str
    is_folder: bool
    size: int = -1
    version: str = ""
    modified: float | None = None
    checksum: str = ""


def expand(pattern: str, allowed: Allowed = EVERYTHING) -> Iterator[Listing]:
    """Yields the objects that a folder, file or glob stands for; a name that exists literally is not a glob.

    A symbolic link out of the allowed places becomes a listing of size -1 and is never followed.

    Raises:
        ListingError: a folder may not be read, or storage fails.
    """
    folders = _LocalFolders(allowed) if is_local(pattern) else _RemoteFolders(pattern)
    yield from _expand(folders, folders.path(pattern))


class _LocalFolders:
    """Local folders."""

    local = True

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed

    def path(self, pattern: str) -> str:
        return absolute(pattern)

    def listing(self, entry: Entry) -> Listing:
        return Listing(entry.path, entry.size, entry.version, modified=entry.modified)

    def find(self, path: str) -> Entry | None:
        return self._entry(path) if os.path.lexists(path) else None

    def identity(self, path: str) -> Hashable:
        status = os.stat(path)
        return status.st_dev, status.st_ino

    def scan(self, folder: str) -> list[Entry]:
        return [self._entry(os.path.join(folder, name)) for name in os.listdir(folder)]

    def _entry(self, path: str) -> Entry:
        if os.path.islink(path) and check_uri(path, self._allowed):
            return Entry(path, False)
        if os.path.isdir(path):
            return Entry(path, True)
        if not os.path.isfile(path):  # such as a broken link or a pipe: the look-up reports it as a dead letter
            return Entry(path, False)
        status = os.stat(path)
        return Entry(path, False, status.st_size, local_version(status), status.st_mtime)


class _RemoteFolders:
    """Folders of an fsspec file system; a pattern's prefix before the path is put before paths to make URIs."""

    local = False

    def __init__(self, pattern: str) -> None:
        self._fs, path = open_remote(pattern)
        pattern, path = pattern.rstrip("/"), path.rstrip("/")
        self._prefix = pattern.removesuffix(path) if path else pattern + "/"

    def path(self, pattern: str) -> str:
        return str(self._fs._strip_protocol(pattern)).rstrip("/")

    def listing(self, entry: Entry) -> Listing:
        return Listing(
            self._prefix + entry.path, entry.size, entry.version, modified=entry.modified, checksum=entry.checksum
        )

    def find(self, path: str) -> Entry | None:
        try:
            return self._entry(call_again(path, self._fs.info, path))
        except MissingFile:
            return None

    def identity(self, path: str) -> Hashable:
        return path

    def scan(self, folder: str) -> list[Entry]:
        entries = [self._entry(item) for item in call_again(folder, self._fs.ls, folder, detail=True)]
        return [entry for entry in entries if entry.path.rstrip("/") != folder.rstrip("/")]

    def _entry(self, item: dict[str, Any]) -> Entry:
        if item["type"] == "directory":
            return Entry(item["name"].rstrip("/"), True)
        size = item.get("size")
        size = -1 if size is None else int(size)
        return Entry(item["name"], False, size, entry_version(item), entry_modified(item), entry_checksum(item))


def _expand(folders: _LocalFolders | _RemoteFolders, path: str) -> Iterator[Listing]:
    """Yields the objects that a path or glob stands for; a name that exists literally is not a glob."""
    try:
        entry = folders.find(path)
        if entry is None and not folders.local and QUERY.search(path):
            path = QUERY.sub("", path)
            entry = folders.find(path)
        if entry is None and _has_magic(path):
            found = _glob(folders, path)
        else:
            found = _walk(folders, entry, ["**"]) if entry else iter(())
        for entry in found:
            yield folders.listing(entry)
    except Exception as error:  # read_error raises it again if it is a bug
        raise ListingError(f"{path} cannot be listed: {read_error(path, error)}") from error


def _has_magic(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _glob(folders: _LocalFolders | _RemoteFolders, path: str) -> Iterator[Entry]:
    """Yields the matches of a glob below the longest leading folder that is taken literally."""
    parts = path.split("/")
    literal = 0  # parts[:literal] name a folder
    while literal < len(parts) - 1:
        if _has_magic(parts[literal]):
            folder = folders.find("/".join(parts[: literal + 1]))
            if folder is None or not folder.is_folder:
                break
        literal += 1
    root = folders.find("/".join(parts[:literal]) or "/")
    if root is not None and root.is_folder:
        yield from _walk(folders, root, parts[literal:])


def _walk(folders: _LocalFolders | _RemoteFolders, root: Entry, parts: list[str]) -> Iterator[Entry]:
    """Yields the files below a folder that match the parts of a glob, by name; a file yields itself.

    Args:
        folders: file system of the root.
        root: a file, or the folder to search.
        parts: one pattern for each name, `**` for any number of names.
    """
    if not root.is_folder:
        yield root
        return
    # Each waiting folder has the positions in `parts` that its children may match next, and the folders above it.
    waiting: list[tuple[Entry, frozenset[int], tuple[Any, ...]]] = [(root, _places({0}, parts), ())]
    while waiting:
        entry, places, above = waiting.pop()
        if not entry.is_folder:
            yield entry
            continue
        identity = folders.identity(entry.path)
        if identity in above:
            continue
        for child in sorted(folders.scan(entry.path), reverse=True):
            name = child.path.rsplit("/", 1)[-1]
            after = _places(
                {
                    place if parts[place] == "**" else place + 1
                    for place in places
                    if place < len(parts) and (parts[place] == "**" or fnmatch.fnmatchcase(name, parts[place]))
                },
                parts,
            )
            if after and (max(after) == len(parts) if not child.is_folder else min(after) < len(parts)):
                waiting.append((child, after, (*above, identity)))


def _places(places: set[int], parts: list[str]) -> frozenset[int]:
    """Returns the positions and those after each `**` among them, since `**` may match no name."""
    closed = set(places)
    for place in range(len(parts)):
        if place in closed and parts[place] == "**":
            closed.add(place + 1)
    return frozenset(closed)
