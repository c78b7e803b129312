"""Removes what no reader can see: `python -m pipelines.vacuum OUTPUT [--older-than 7d] [--dry-run]`.

That is what crashed runs left, and files whose rows `pipelines.catalog forget` or `compact` put elsewhere.
"""

import os
import posixpath
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import fsspec

from pipelines.cli.commands import ExitCode, check_output, duration, output_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.tables.leases import read_leases
from pipelines.tables.manifests import as_they_stand, is_rewrite, list_files, read_all_manifests, refresh_current

DESCRIPTION = (
    "Removes leftovers of runs that were never committed, and files that were replaced; never what a manifest names."
)
EPILOG = "Exit codes: 0 done; 1 the command failed; 2 options are wrong."


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 done, 1 failed, 2 wrong options."""
    return run_command(vacuum, argv)


def vacuum(argv: list[str]) -> int:
    """Returns 0, after removing or listing what is not needed."""
    parser = output_parser("vacuum", DESCRIPTION, EPILOG)
    parser.add_argument(
        "--older-than",
        type=duration,
        default=duration("7d"),
        metavar="AGE",
        help="younger leftovers stay: a run may still go, and a reader may still read (default: 7d)",
    )
    parser.add_argument("--dry-run", action="store_true", help="lists what would be removed")
    flags = parser.parse_args(argv)
    check_output(flags.output)
    if not flags.dry_run:
        refresh_current(flags.output)
    paths = find_leftovers(flags.output, flags.older_than)
    for path in paths:
        print(path)
    if not flags.dry_run:
        remove(flags.output, paths)
    print(f"{len(paths):,} files {'would be' if flags.dry_run else 'were'} removed", file=sys.stderr)
    return ExitCode.DONE


def find_leftovers(output: str, older_than: timedelta) -> list[str]:
    """Returns the paths below OUTPUT of files that no manifest names, and that nobody has needed for that long.

    What a run left that was never committed goes at once, when the youngest of its files is old enough. While a run
    holds a lease, nothing of it goes.
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
    """Returns the paths below OUTPUT of files of runs and rewrites, of expired leases, and of half written files."""
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
    return max(filesystem.modified(posixpath.join(root, path)) for path in paths)


def remove(output: str, paths: Iterable[str]) -> None:
    """Removes files below OUTPUT, and the folders that are empty then."""
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


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
