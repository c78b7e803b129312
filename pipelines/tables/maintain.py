"""Finding and removing files that no reader of an OUTPUT can see: leftovers of crashed runs and replaced files."""

import os
import posixpath
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import fsspec

from pipelines.tables.leases import read_leases
from pipelines.tables.manifests import as_they_stand, is_rewrite, list_files, read_all_manifests


def find_leftovers(output: str, older_than: timedelta) -> list[str]:
    """Returns the paths below OUTPUT of files that no manifest names, and that nobody has needed for that long.

    All files of a run that was never committed are returned together, when the youngest of them is old enough. While a
    run holds a lease, none of its files are.
    """
    oldest = datetime.now(UTC) - older_than
    found = _files(output)  # before the manifests are read: a run that is committed in between keeps its files
    going = {f"runs/{lease.run_id}" for lease in read_leases(output) if lease.is_live}
    manifests = read_all_manifests(output)
    folders = {f"{'rewrites' if is_rewrite(manifest) else 'runs'}/{manifest['run_id']}" for manifest in manifests}
    needed = {file["path"] for run in as_they_stand(manifests) for file in run["files"]}
    needed |= {f"{folder}/started.json" for folder in folders}
    replaced = {path: manifest["committed"] for manifest in manifests for path in manifest.get("replaces", ())}
    groups: dict[str, list[str]] = {}
    for path in sorted(found - needed):
        folder = posixpath.join(*path.split("/")[:2])
        if folder not in going:
            groups.setdefault(path if folder in folders else folder, []).append(path)
    return [path for group in groups.values() if _unneeded_since(output, group, replaced) <= oldest for path in group]


def _files(output: str) -> set[str]:
    """Returns the paths below OUTPUT of files of runs and rewrites, of expired leases, and of partly written files."""
    filesystem, root = fsspec.core.url_to_fs(output)
    root = root.rstrip("/")
    found = [path for folder in ("runs", "rewrites") for path in filesystem.find(f"{root}/{folder}", refresh=True)]
    for folder in ("manifests", "leases"):
        found += [path for path in filesystem.find(f"{root}/{folder}", refresh=True) if path.endswith(".part")]
    leases = [lease.path for lease in read_leases(output) if not lease.is_live]
    return {path.removeprefix(f"{root}/") for path in found} | {*list_files(output, "", ".part"), *leases}


def _unneeded_since(output: str, paths: list[str], replaced: dict[str, str]) -> datetime:
    """Returns when files were replaced, or when the youngest of them was written."""
    if paths[0] in replaced:
        return datetime.fromisoformat(replaced[paths[0]])
    filesystem, root = fsspec.core.url_to_fs(output)
    youngest: datetime = max(filesystem.modified(posixpath.join(root, path)) for path in paths)
    return youngest


def remove(output: str, paths: Iterable[str]) -> None:
    """Removes files below OUTPUT, and the folders that become empty."""
    filesystem, root = fsspec.core.url_to_fs(output)
    folders = set()
    for path in paths:
        filesystem.rm_file(posixpath.join(root, path))
        parts = path.split("/")[:-1]
        folders |= {posixpath.join(root, *parts[:depth]) for depth in range(2, len(parts) + 1)}
    if "file" in filesystem.protocol:
        for folder in sorted(folders, key=len, reverse=True):
            if not os.listdir(folder):
                os.rmdir(folder)
