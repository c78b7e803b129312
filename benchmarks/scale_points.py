"""The points of benchmarks.scale, each measured in a fresh process, and the conditions that they share."""

import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.limits import processor
from benchmarks.memory import Used, run_measured
from benchmarks.scale_captions import write_index
from model_handlers.pack import Pack
from transforms.cores import cores
from transforms.read_photos import classify, list_photos

ROOT = Path(__file__).resolve().parent.parent
WAVES, ONE_PIPELINE, SEARCH = "waves", "one pipeline", "search"
Result = dict[str, Any]


class PointError(Exception):
    """A point could not be measured; the message says where its log is."""


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        against: `photos` or `captions`.
        way: WAVES or ONE_PIPELINE for photos, SEARCH for captions.
        count: of photos or captions.
    """

    against: str
    way: str
    count: int

    @property
    def name(self) -> str:
        """Returns the point's name in the report."""
        return f"{self.count} {self.against}, {self.way}"


@dataclass(frozen=True)
class Setting:
    """Conditions under which all points are measured.

    Attributes:
        photos: a folder of them; None if no point needs one.
        pack: the model pack of the main job.
        beam_width: of the main job.
    """

    photos: Path | None
    pack: str
    beam_width: int

    def facts(self) -> Result:
        """Returns what points must have in common to be on one line."""
        return {
            "photos": str(self.photos.resolve()) if self.photos else None,
            "pack_digest": Pack.open(self.pack).digest,
            "beam_width": self.beam_width,
            "processor": processor(),
            "cores": cores(),
            "threads": os.environ.get("OMP_NUM_THREADS", "one a core"),
            "python": platform.python_version(),
            "versions": {name: version(name) for name in ("apache-beam", "torch", "numpy")},
        }


def points(photos: Sequence[int], captions: Sequence[int]) -> list[Point]:
    """Returns the points of these counts, the quick ones first."""
    ways = [Point("photos", way, count) for count in sorted(set(photos)) for way in (WAVES, ONE_PIPELINE)]
    return [Point("captions", SEARCH, count) for count in sorted(set(captions))] + ways


def find_photos(folder: Path) -> list[str]:
    """Returns the files of a folder that may be photos, always in the same order, as if drawn by lot."""
    found = [listing.uri for listing in list_photos([str(folder)]) if classify(listing) == "photo"]
    return sorted(found, key=_lot)


def _lot(path: str) -> bytes:
    return hashlib.blake2b(os.path.basename(path).encode("utf-8", "surrogateescape")).digest()


def link_photos(photos: Sequence[str], folder: Path) -> None:
    """Makes a folder of links to the photos."""
    folder.mkdir(parents=True)
    for number, path in enumerate(photos):
        (folder / f"{number:06d}{Path(path).suffix}").symlink_to(path)


def measure(point: Point, setting: Setting, output: Path) -> Result:
    """Returns the time and memory of a point.

    Raises:
        PointError: the process failed, or processed other photos than it was given.
    """
    with tempfile.TemporaryDirectory(prefix="point-", dir=output) as folder:
        if point.against == "captions":
            return asdict(point) | _measure_search(point, Path(folder), output)
        return asdict(point) | _measure_run(point, setting, Path(folder), output)


def remove_left(output: Path) -> None:
    """Removes the leftovers of points that were killed."""
    for folder in output.glob("point-*"):
        shutil.rmtree(folder)


def warm_up(setting: Setting, output: Path) -> None:
    """Runs the main job over one photo, so that the caption index is in the cache: it is made once a machine."""
    with tempfile.TemporaryDirectory(prefix="point-", dir=output) as folder:
        _measure_run(Point("photos", WAVES, 1), setting, Path(folder), output)


def _measure_run(point: Point, setting: Setting, folder: Path, output: Path) -> Result:
    assert setting.photos is not None
    link_photos(find_photos(setting.photos)[: point.count], folder / "photos")
    stories = folder / "stories"
    flags = {"input": folder / "photos", "output": stories, "pack": setting.pack, "beam-width": setting.beam_width}
    flags |= {"device": "cpu", "runner": "FnApiRunner"}
    if point.way == ONE_PIPELINE:
        flags["wave-size"] = point.count
    used = _run(point, ["pipelines.run", *(f"--{name}={value}" for name, value in flags.items())], output)
    counts = json.loads((stories / "manifests" / "00000001.json").read_text())["counts"]
    if sum(counts.values()) != point.count:
        raise PointError(f"{point.name}: outcomes of other photos, too: {counts}")
    return asdict(used) | {"outcomes": counts}


def _measure_search(point: Point, folder: Path, output: Path) -> Result:
    write_index(folder / "pack", point.count)
    used = _run(point, ["benchmarks.scale_captions", str(folder / "pack")], output)
    told = json.loads(_log(point, output).read_text("utf-8").splitlines()[-1])
    return asdict(used) | {"whole_seconds": used.seconds, "seconds": median(told["batch_seconds"])} | told


def _run(point: Point, words: Sequence[str], output: Path) -> Used:
    """Returns the time and memory of a module of this project, run as a separate process."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "HOME": str(output / "home")}
    used = run_measured([sys.executable, "-m", *words], ROOT, environment, _log(point, output))
    if used.exit != 0:
        raise PointError(f"{point.name}: ended with {used.exit}; {_log(point, output)} says why")
    return used


def _log(point: Point, output: Path) -> Path:
    return output / "logs" / f"{point.against}-{point.way.replace(' ', '-')}-{point.count}.log"


class Results:
    """Results so far, written to a file after each point, so that a second call continues.

    Args:
        file: file of the results, created if it does not exist.
        facts: conditions that all points share.

    Raises:
        PointError: the file's points were measured under something else.
    """

    def __init__(self, file: Path, facts: Result) -> None:
        self._file = file
        kept = json.loads(file.read_text("utf-8")) if file.exists() else {"facts": {}, "points": []}
        self.facts = facts | {name: value for name, value in kept["facts"].items() if value is not None}
        self.points: list[Result] = kept["points"]
        changed = [name for name, value in facts.items() if value not in (None, self.facts[name])]
        if changed:
            raise PointError(f"{file} was measured with other {', '.join(changed)}; name another --output")

    def missing(self, wanted: Sequence[Point]) -> Iterator[Point]:
        """Yields those of the points that are still to be measured."""
        done = [Point(one["against"], one["way"], one["count"]) for one in self.points]
        yield from (point for point in wanted if point not in done)

    def add(self, result: Result) -> None:
        """Keeps the time and memory of a point."""
        self.points.append(result)
        temporary = self._file.with_suffix(".part")
        temporary.write_text(json.dumps({"facts": self.facts, "points": self.points}, indent=1) + "\n", "utf-8")
        shutil.move(temporary, self._file)
