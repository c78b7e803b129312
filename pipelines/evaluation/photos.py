"""Photos with captions written by people: their table, and their feature vectors by the pipeline's own steps."""

import csv
import io
import posixpath
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import numpy as np
from apache_beam.ml.inference.base import ModelHandler
from tqdm import tqdm

from configs.schema import ConfigError
from pipelines.telling.chain import extract_features, split_errors
from transforms.load_images import LoadImages, batch_listings, load_photos, read_batch
from transforms.read_errors import ReadError
from transforms.records import Listing, Photo
from transforms.storage import stat_all
from transforms.uris import absolute

SHOWN = 10  # problems of one kind that are listed


@dataclass(frozen=True)
class CaptionedPhoto:
    """A photo's file name, its split if the table has splits, and its captions written by people."""

    image: str
    split: str | None
    captions: tuple[str, ...]


def read_table(location: str) -> list[CaptionedPhoto]:
    """Returns the photos of a tab-separated table, each with all of its captions, in the order of the table.

    Raises:
        ConfigError: lists the problems of the table.
    """
    try:
        with fsspec.open(location, "rb") as file:
            text = file.read().decode("utf-8-sig")
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError([f"--captions {location}: cannot be read ({error})"]) from error
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    absent = [name for name in ("image", "caption") if name not in (rows.fieldnames or ())]
    if absent:
        raise ConfigError([f"--captions {location}: has no column {name}" for name in absent])
    captions: dict[tuple[str, str | None], list[str]] = {}
    wrong = []
    for row in rows:
        if not (row["image"] or "").strip() or not (row["caption"] or "").strip():
            wrong.append(f"--captions {location}: line {rows.line_num} lacks an image or a caption")
        else:
            captions.setdefault((row["image"], row.get("split")), []).append(row["caption"])
    if wrong:
        raise ConfigError(shorten(wrong))
    return [CaptionedPhoto(image, split, tuple(texts)) for (image, split), texts in captions.items()]


def open_photos(flags: Namespace) -> tuple[list[CaptionedPhoto], list[Listing]]:
    """Returns the photos that the options name, sorted by file name, and the listing of each file.

    Raises:
        ConfigError: lists the problems of the table, or the missing files.
    """
    photos = select(read_table(flags.captions), flags)
    return photos, find_files(photos, flags.photos)


def select(photos: Sequence[CaptionedPhoto], flags: Namespace) -> list[CaptionedPhoto]:
    """Returns the photos of the split that `--split` names, or all if the table has no splits, sorted by file name.

    Raises:
        ConfigError: there are no such photos.
    """
    chosen = [photo for photo in photos if photo.split in (None, flags.split)]
    if chosen:
        return sorted(chosen, key=lambda photo: photo.image)
    splits = ", ".join(sorted({photo.split for photo in photos if photo.split}))
    reason = f"no photo is of split {flags.split!r}; the table has {splits}" if splits else "holds no photo"
    raise ConfigError([f"--captions {flags.captions}: {reason}"])


def find_files(photos: Sequence[CaptionedPhoto], folder: str) -> list[Listing]:
    """Returns a listing of each photo's file, in the order of the photos.

    Raises:
        ConfigError: files are missing.
    """
    uris = [absolute(posixpath.join(folder, photo.image)) for photo in photos]
    found = list(zip(uris, stat_all(uris), strict=True))
    missing = [f"--photos {folder}: {status}" for _, status in found if isinstance(status, ReadError)]
    if missing:
        raise ConfigError(shorten(missing))
    return [Listing(uri, status.size, status.version) for uri, status in found if not isinstance(status, ReadError)]


def shorten(problems: list[str]) -> list[str]:
    """Returns the first problems, with a line that counts the others."""
    more = len(problems) - SHOWN
    return problems if more <= 0 else [*problems[:SHOWN], f"... and {more:,} more of this kind"]


def extract(
    listings: Sequence[Listing], load: LoadImages, handler: ModelHandler[Any, Any, Any], batch_size: int
) -> list[tuple[Photo, np.ndarray]]:
    """Returns each photo with its feature vector `[F]`, made by the pipeline's own steps.

    Raises:
        ConfigError: photos cannot be read, or the network fails on them.
    """
    pairs: list[tuple[Photo, np.ndarray]] = []
    problems: list[str] = []
    with tqdm(total=len(listings), desc="photos", unit="photo") as line:
        for batch in batch_listings(listings, batch_size):
            loaded = load_photos(read_batch(batch, load.max_bytes), load.decoders.get())
            found, errors = split_errors(extract_features(handler, loaded))
            pairs += found
            problems += map(str, errors)
            line.update(len(batch))
    if problems:
        raise ConfigError(shorten(problems))
    return pairs
