"""Feature vectors and captions that earlier runs kept: found by uri and version, and read instead of the photo.

Only names and places of rows are joined; a vector goes from its file straight to the step that uses it.
"""

import logging
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.pvalue import PCollection, TaggedOutput

from transforms.due_photos import key_plainly
from transforms.due_rules import ledger_uri
from transforms.encode_sentences import caption_key
from transforms.metrics import count
from transforms.read_errors import ReadError, call_again
from transforms.records import KeptPlace, Listing, Networks, Photo, PhotoWithFeature
from transforms.rows import FEATURES, Row, plain_text
from transforms.step_labels import TaggedOutputs, labelled
from transforms.uris import EVERYTHING, Allowed, check_uri

KEPT_FEATURES, KEPT_CAPTIONS, UNREAD = "features", "captions", "unread"
NAMES = ["uri", "version", "photo_id", "width", "height", "features_digest", "captions_digest"]
BLOCK = 2**18  # bytes read ahead; the columns of NAMES are next to each other, the vectors follow them


@dataclass(frozen=True)
class KeptFile:
    """A file of the table `features`.

    Attributes:
        path: path below OUTPUT.
        run: number of the run.
        groups: row groups that belong to the run; None if all do.
    """

    path: str
    run: int
    groups: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class KeptPhoto:
    """What an earlier run kept of a photo.

    Attributes:
        uri: uri, as ledgers spell it.
        version: version as listed in that run.
        photo_id: sha256 of its bytes, in hex.
        pixels: width times height.
        kept: where it was kept.
        run: number of the run.
    """

    uri: str
    version: str
    photo_id: str
    pixels: int
    kept: KeptPlace
    run: int


@contextmanager
def open_table(root: str, path: str) -> Iterator[pq.ParquetFile]:
    """Yields an open file below OUTPUT; only the parts that are read are fetched from a remote file.

    The file is closed at once: a remote file fetches ahead until then, and warns in the log if it is never closed.
    """
    filesystem, name = fsspec.core.url_to_fs(posixpath.join(root, path))
    with filesystem.open(name, "rb", block_size=BLOCK) as source:
        yield pq.ParquetFile(source, pre_buffer=False)


def read_kept(file: KeptFile, root: str, networks: Networks) -> Iterator[KeptPhoto]:
    """Yields the photos in a file whose feature vectors were made by the networks of this run.

    A file that is missing or damaged yields none: its photos are read themselves.
    """
    try:
        groups = call_again(file.path, _read_names, root, file)
    except (ReadError, pa.ArrowException) as error:
        logging.warning("%s: kept feature vectors and captions are not used (%s)", file.path, error)
        return
    for group, rows in groups:
        for place, row in enumerate(rows.to_pylist()):
            if row["features_digest"] == networks.features:
                kept = KeptPlace(file.path, group, place, row["captions_digest"] == networks.captions)
                pixels = row["width"] * row["height"]
                yield KeptPhoto(row["uri"], row["version"], row["photo_id"], pixels, kept, file.run)


def _read_names(root: str, file: KeptFile) -> list[tuple[int, pa.Table]]:
    with open_table(root, file.path) as table:
        groups = range(table.num_row_groups) if file.groups is None else file.groups
        return [(group, table.read_row_group(group, NAMES, use_threads=False)) for group in groups]


@dataclass(frozen=True)
class ReadLimits:
    """Limits on the photos of this run; nothing kept is used for photos beyond them.

    Attributes:
        max_bytes: largest size of a file.
        max_pixels: largest number of pixels of a photo.
        allowed: allowed schemes and places.
    """

    max_bytes: int
    max_pixels: int
    allowed: Allowed = EVERYTHING


def take_kept(listing: Listing, photos: Iterable[KeptPhoto], limits: ReadLimits) -> Listing:
    """Returns the listing with the place of what was kept for its version, if there is anything that may be used."""
    same = [
        photo for photo in photos if photo.version == listing.version and photo.pixels <= limits.max_pixels
    ]  # all entries for its uri
    if not same or not 0 < listing.size <= limits.max_bytes or check_uri(listing.uri, limits.allowed):
        return listing
    best = max(same, key=_worth)
    return replace(listing, kept=best.kept, photo_id=best.photo_id)


def find_kept(listings: Sequence[Listing], photos: Iterable[KeptPhoto], limits: ReadLimits) -> list[Listing]:
    """Returns the listings with the places of what earlier runs kept for them; FindKept for lists."""
    versions = {ledger_uri(listing): listing.version for listing in listings}
    found: dict[str, list[KeptPhoto]] = {}
    for photo in photos:
        if versions.get(photo.uri) == photo.version:
            found.setdefault(photo.uri, []).append(photo)
    return [take_kept(listing, found.get(ledger_uri(listing), ()), limits) for listing in listings]


def _worth(photo: KeptPhoto) -> tuple[bool, int]:
    return photo.kept.captions, photo.run


def join_kept(element: tuple[bytes, dict[str, Iterable[Any]]], limits: ReadLimits) -> Iterator[Listing]:
    """Yields a uri's listings with the places of what was kept for them."""
    _, groups = element
    photos = list(groups["photos"])
    for listing in groups["listings"]:
        yield take_kept(listing, photos, limits)


def key_kept(photo: KeptPhoto) -> tuple[bytes, KeptPhoto]:
    """Returns the kept photo keyed by its uri."""
    return photo.uri.encode(), photo


@dataclass(eq=False)
class FindKept(beam.PTransform[PCollection[Listing], PCollection[Listing]]):
    """Listings with the places of what earlier runs kept for them.

    Input: Listing, each uri once. Output: Listing. No dead letters.

    Attributes:
        photos: photos of which earlier runs kept something.
        limits: limits on the photos of this run.
    """

    photos: PCollection[KeptPhoto]
    limits: ReadLimits

    def expand(self, listings: PCollection[Listing]) -> PCollection[Listing]:
        """Returns the listings, those of kept photos with the places."""
        joined = {
            "listings": listings | "Key listings" >> beam.Map(key_plainly),
            "photos": self.photos | "Key kept" >> beam.Map(key_kept),
        } | "Join by uri" >> beam.CoGroupByKey()
        found: PCollection[Listing] = joined | "Join kept" >> beam.FlatMap(join_kept, self.limits)
        return found


def split_kept(listing: Listing) -> Iterator[Any]:
    """Yields (place of a row group, listing) if something was kept, other listings under the tag UNREAD."""
    if listing.kept is None:
        yield TaggedOutput(UNREAD, listing)
    else:
        yield f"{listing.kept.group} {listing.kept.path}".encode(), listing


def read_group(element: tuple[bytes, Iterable[Listing]], root: str) -> Iterator[Any]:
    """Yields (Photo, feature `[F]`), or (PhotoWithFeature, captions) under the tag KEPT_CAPTIONS if they were kept too.

    If a file is missing or damaged, its listings come under the tag UNREAD.
    """
    key, listings = element
    group, path = key.decode().split(" ", 1)
    try:
        rows = call_again(path, _read_rows, root, path, int(group))
    except (ReadError, pa.ArrowException) as error:
        logging.warning("%s: kept feature vectors and captions are not used (%s)", path, error)
        rows = None
    for listing in listings:
        assert listing.kept is not None
        if rows is None or not _is_of(rows, listing.kept.row, listing):
            yield TaggedOutput(UNREAD, replace(listing, kept=None))
        else:
            yield _take_row(rows, listing, listing.kept)


def _read_rows(root: str, path: str, group: int) -> pa.Table:
    with open_table(root, path) as table:
        return table.read_row_group(group, use_threads=False)


def _is_of(rows: pa.Table, place: int, listing: Listing) -> bool:
    if place >= rows.num_rows:
        return False
    found = (rows["uri"][place].as_py(), rows["version"][place].as_py(), rows["photo_id"][place].as_py())
    return found == (plain_text(listing.uri), listing.version, listing.photo_id)


def _take_row(rows: pa.Table, listing: Listing, kept: KeptPlace) -> tuple[Photo, np.ndarray] | TaggedOutput[str, Any]:
    feature = rows["feature"][kept.row].values.to_numpy().copy()  # [F]
    size = rows["width"][kept.row].as_py(), rows["height"][kept.row].as_py()
    photo, *copies = (
        Photo(one.uri, one.version, listing.photo_id or "", *size, one.styles, (), bool(one.kept and one.kept.captions))
        for one in (listing, *listing.copies)
    )
    count("photos", 1 + len(copies))
    photo = replace(photo, copies=tuple(copies))
    if not kept.captions:
        return photo, feature
    captions = [(one["caption"], one["similarity"]) for one in rows["captions"][kept.row].as_py()]
    pairs = [(caption.decode("utf-8", "surrogateescape"), similarity) for caption, similarity in captions]
    return TaggedOutput(KEPT_CAPTIONS, (PhotoWithFeature(photo, feature), CaptionPairs(pairs)))


class CaptionPairs(list[tuple[str, float]]):
    """Captions with their similarities, best first; pickled whole, since some captions are not UTF-8."""


@dataclass(eq=False)
class ReadKept(beam.PTransform[PCollection[Listing], TaggedOutputs]):
    """Feature vectors and captions that earlier runs kept, instead of the photos.

    Input: Listing. Output: `features` (Photo, feature `[F]`), `captions` (PhotoWithFeature, captions with
    similarities), and `unread` Listing of photos that must be read themselves. No dead letters.

    Attributes:
        root: OUTPUT.
    """

    root: str

    def expand(self, listings: PCollection[Listing]) -> TaggedOutputs:
        """Returns what was kept by the tags KEPT_FEATURES and KEPT_CAPTIONS, and other listings by UNREAD."""
        split = labelled(beam.FlatMap(split_kept), "FlatMap(part_kept)")
        places = listings | "Part kept" >> split.with_outputs(UNREAD, main=KEPT_FEATURES)
        read = (
            places[KEPT_FEATURES]
            | "Group by file" >> beam.GroupByKey()
            | "Read groups"
            >> beam.FlatMap(read_group, self.root).with_outputs(KEPT_CAPTIONS, UNREAD, main=KEPT_FEATURES)
        )
        unread = (places[UNREAD], read[UNREAD]) | "Gather unread" >> beam.Flatten()
        return {KEPT_FEATURES: read[KEPT_FEATURES], KEPT_CAPTIONS: read[KEPT_CAPTIONS], UNREAD: unread}


def carry_feature(element: tuple[Photo, np.ndarray]) -> tuple[PhotoWithFeature, np.ndarray]:
    """Returns the feature vector with a key that also has it, so that it is still available with the captions."""
    photo, feature = element
    return PhotoWithFeature(photo, feature), feature


def feature_rows(element: tuple[PhotoWithFeature, list[tuple[str, float]]], networks: Networks) -> Iterator[Row]:
    """Yields the rows that keep the results for a photo and its copies, unless they were kept already."""
    found, pairs = element
    captions = [{"caption": caption_key(caption), "similarity": similarity} for caption, similarity in pairs]
    for photo in found.photo.each():
        if not photo.kept:
            row = {name: getattr(photo, name) for name in ("version", "photo_id", "width", "height")}
            row |= {"features_digest": networks.features, "captions_digest": networks.captions}
            row |= {"uri": plain_text(photo.uri), "feature": found.feature, "captions": captions}
            yield {name: row[name] for name in FEATURES.names}
