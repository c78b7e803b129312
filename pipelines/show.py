"""Published stories on the screen: `python -m pipelines.show OUTPUT`."""

import argparse
import sys
from typing import Any

from pipelines.catalog import open_stories
from pipelines.cli.ending import end_process

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
    return open_stories(output).to_table().sort_by([("uri", "ascending"), ("style", "ascending")]).to_pylist()


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
