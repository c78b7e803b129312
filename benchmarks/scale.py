"""Time and peak memory against photos and captions: `python -m benchmarks.scale --photos DIR --output FOLDER`.

FOLDER gets scale.json with each point as soon as it is measured, scale.md and two pictures; a second call continues.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.scale_points import (
    ROOT,
    PointError,
    Results,
    Setting,
    find_photos,
    measure,
    points,
    remove_left,
    warm_up,
)
from benchmarks.scale_report import draw, report
from model_handlers.pack_card import PackError
from transforms.uris import absolute

PHOTOS = "100,500,1000,2000,3000,5000,7091"
CAPTIONS = "10000,50000,100000,200000,414000,600000"


def counts(text: str) -> list[int]:
    """Returns the numbers in a list with commas; an empty list is none.

    Raises:
        ArgumentTypeError: one is no whole number from 1 on.
    """
    words = [word.strip().replace("_", "") for word in text.split(",")] if text.strip() else []
    wrong = [word for word in words if not word.isdecimal() or int(word) < 1]
    if wrong:
        raise argparse.ArgumentTypeError(f"{', '.join(map(repr, wrong))}: no whole number from 1 on")
    return sorted({int(word) for word in words})


def parser() -> argparse.ArgumentParser:
    """Returns the command's parser."""
    told = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__, allow_abbrev=False)
    told.add_argument("--photos", type=Path, metavar="DIR", help="folder of photos; smaller sets are made by links")
    told.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="gets results, logs and pictures")
    told.add_argument("--counts", type=counts, default=PHOTOS, metavar="N,N", help=f"photos (default: {PHOTOS})")
    told.add_argument("--captions", type=counts, default=CAPTIONS, metavar="N,N", help=f"default: {CAPTIONS}")
    told.add_argument("--pack", default=str(ROOT / "packs" / "pocket"), help="model pack (default: packs/pocket)")
    told.add_argument("--beam-width", type=int, default=5, metavar="N", help="hypotheses a photo (default: 5)")
    return told


def check_photos(folder: Path | None, wanted: list[int]) -> None:
    """Checks that the folder has as many photos as are wanted.

    Raises:
        PointError: the folder has fewer photos.
    """
    if not wanted:
        return
    if folder is None:
        raise PointError("--photos DIR: name a folder of photos, or leave them out with --counts ''")
    found = len(find_photos(folder))
    if found < max(wanted):
        raise PointError(f"--photos {folder} has {found:,} photos; --counts may name so many at most")


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 measured, 1 a point failed, 2 the options are wrong."""
    flags = parser().parse_args(argv)
    setting, output = Setting(flags.photos, absolute(flags.pack), flags.beam_width), flags.output.resolve()
    try:
        check_photos(flags.photos, flags.counts)
        for folder in ("logs", "home"):
            (output / folder).mkdir(parents=True, exist_ok=True)
        results = Results(output / "scale.json", setting.facts())
    except (PointError, PackError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        tell(results, setting, flags.counts, flags.captions, output)
    except PointError as error:
        print(error, file=sys.stderr)
        return 1
    (output / "scale.md").write_text(report(results.points, results.facts), "utf-8")
    for file in (output / "scale.md", *draw(results.points, output)):
        print(file)
    return 0


def tell(results: Results, setting: Setting, photos: list[int], captions: list[int], output: Path) -> None:
    """Measures the remaining points, and logs the time and memory of each."""
    missing = list(results.missing(points(photos, captions)))
    remove_left(output)
    if any(point.against == "photos" for point in missing):
        warm_up(setting, output)
    for number, point in enumerate(missing, 1):
        result = measure(point, setting, output)
        results.add(result)
        taken = f"{result['seconds']:.2f} s, {result['memory_kb'] / 1024:,.0f} MB"
        print(f"{number} of {len(missing)}: {point.name}: {taken}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
