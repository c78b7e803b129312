"""Published stories on the screen: `python -m pipelines.show OUTPUT`."""

import argparse
import posixpath
import sys
from collections.abc import Iterator
from typing import Any

import fsspec
import pyarrow.parquet as pq

from pipelines.commits import read_manifests

SHOWN = 3  # captions of a photo


def main(argv: list[str]) -> int:
    """Returns the exit code: 0, or 2 where nothing is published."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.show", description="Shows published stories.")
    parser.add_argument("output", help="OUTPUT of the main job, a folder or URI")
    output = parser.parse_args(argv).output
    rows = newest_rows(output)
    if not rows:
        print(f"{output}: no story is published there", file=sys.stderr)
        return 2
    for row in rows:
        print(f"{row['uri']} ({row['style']})")
        for match in row["captions"][:SHOWN]:
            print(f"  {match['similarity']:.2f}  {match['caption']}")
        print(f"\n{row['story']}\n")
    return 0


def newest_rows(output: str) -> list[dict[str, Any]]:
    """Returns the newest story row of each photo and style, by uri."""
    newest = {(row["uri"], row["style"]): row for row in _story_rows(output)}
    return [newest[key] for key in sorted(newest)]


def _story_rows(output: str) -> Iterator[dict[str, Any]]:
    for manifest in read_manifests(output):
        for file in manifest["files"]:
            if file["table"] == "stories":
                filesystem, path = fsspec.core.url_to_fs(posixpath.join(output, file["path"]))
                with filesystem.open(path, "rb") as stream:
                    yield from pq.read_table(stream).to_pylist()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
