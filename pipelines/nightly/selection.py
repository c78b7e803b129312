"""Photos or ready-made feature vectors that a local run processes: those listed, without those that are done."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import ConfigError, RunConfig
from pipelines.cli.commands import AGE, duration
from pipelines.nightly.empty_inputs import only_ignored, why_empty
from pipelines.nightly.kept_runs import kept_files
from pipelines.tables.commits import Run, attempts_in, comparable
from pipelines.tables.manifests import read_manifests
from pipelines.telling.settings import Settings, allowed, photo_patterns
from transforms.audit import LostPhotoError
from transforms.copies import each_listing, find_copies, put_together
from transforms.due_photos import take_out_done
from transforms.due_rules import Attempt, Selection, ledger_uri
from transforms.kept import ReadLimits, find_kept, read_kept
from transforms.metrics import count
from transforms.read_photos import ListingError, check_input, classify, list_photos
from transforms.records import Listing, Networks, Outcome, Photo
from transforms.redaction import SIGNED, USER, bare_uri
from transforms.uris import SCHEMES, absolute

Task = tuple[Listing, np.ndarray | None]
"""A listed object to process, with its ready-made feature vector if it has one."""


def feature_tasks(location: str) -> Iterator[Task]:
    """Yields the rows of a feature file; version and photo id are the sha256 of the float32 little-endian bytes.

    Args:
        location: Parquet with columns uri (text) and feature (list of numbers).

    Raises:
        ConfigError: it cannot be read, or lacks a column or a uri.
    """
    with _open_features(location) as table:
        for batch in table.iter_batches(batch_size=1024, columns=["uri", "feature"]):
            yield from _feature_rows(location, batch)


@contextmanager
def _open_features(location: str) -> Iterator[pq.ParquetFile]:
    try:
        filesystem, path = fsspec.core.url_to_fs(location)
        with filesystem.open(path, "rb") as stream:
            table = pq.ParquetFile(stream)
            _check_columns(location, table.schema_arrow)
            yield table
    except (OSError, ValueError, pa.ArrowException, ImportError) as error:
        raise ConfigError([f"--features {location}: cannot be read ({type(error).__name__}: {error})"]) from error


def _check_columns(location: str, schema: pa.Schema) -> None:
    problems = [
        f"--features {location}: has no column {name!r}; it has {', '.join(schema.names)}"
        for name in ("uri", "feature")
        if name not in schema.names
    ]
    if not problems:
        kind = schema.field("feature").type
        lists = (pa.types.is_list(kind), pa.types.is_large_list(kind), pa.types.is_fixed_size_list(kind))
        if not any(lists) or not pa.types.is_floating(kind.value_type):
            problems.append(f"--features {location}: the column feature is {kind}, it must be a list of floats")
    if problems:
        raise ConfigError(problems)


def _feature_rows(location: str, batch: pa.RecordBatch) -> Iterator[Task]:
    for uri, values in zip(batch.column("uri").to_pylist(), batch.column("feature"), strict=True):
        if not uri:
            raise ConfigError([f"--features {location}: a row has no uri; every vector needs a name"])
        numbers = values.values.to_numpy(zero_copy_only=False) if values.is_valid else []
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and a dead letter later
            feature = np.ascontiguousarray(numbers, "<f4")  # [F]
        digest = hashlib.sha256(feature.tobytes()).hexdigest()
        yield Listing(bare_uri(str(uri)), feature.nbytes, digest), feature


def feature_photo(task: tuple[Listing, np.ndarray]) -> tuple[Photo, np.ndarray]:
    """Returns the photo record of a ready-made feature vector, and the vector."""
    listing, feature = task
    photo, *copies = (Photo(one.uri, one.version, one.version, None, None, one.styles) for one in each_listing(listing))
    count("photos", 1 + len(copies))
    return replace(photo, copies=tuple(copies)), feature


def listed_sources(config: RunConfig) -> list[str]:
    """Returns all sources that a run lists, local ones by their absolute paths."""
    features = [config.features] if config.features else []
    return [absolute(bare_uri(source)) for source in photo_patterns(config) + config.uris + features]


def photo_tasks(config: RunConfig) -> Iterator[Task]:
    """Yields the listed objects.

    Raises:
        ConfigError: a source cannot be listed, or all sources are empty.
    """
    patterns = photo_patterns(config)
    empty: list[str] = []
    for source, lists in [*((name, False) for name in patterns), *((name, True) for name in config.uris)]:
        one: tuple[list[str], list[str]] = ([], [source]) if lists else ([source], [])
        ignored: list[str] = []
        photos = 0
        try:
            for listing in list_photos(*one, allowed(config)):
                if classify(listing) == "ignored":
                    ignored.append(listing.uri)
                else:
                    photos += 1
                yield listing, None
        except ListingError as error:
            raise ConfigError([str(error)]) from error
        if ignored and not photos:
            logging.warning("%s", only_ignored(source, ignored))
        empty += [] if photos or ignored else [f"{source}: {'no URI in the list' if lists else why_empty(source)}"]
    if len(empty) == len(patterns) + len(config.uris):
        raise ConfigError(empty)
    for problem in empty:
        logging.warning("%s; the other inputs are processed", problem)


def selection_of(config: RunConfig) -> Selection:
    """Returns which photos are selected if the run starts now."""
    since = None
    if config.since is not None:
        if AGE.fullmatch(config.since):
            since = (datetime.now(UTC) - duration(config.since)).timestamp()
        else:
            moment = datetime.fromisoformat(config.since)
            since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return Selection(since, config.sample, config.limit, config.retry_dead_letters)


def tried_before(run: Run) -> dict[str, list[Attempt]]:
    """Returns the attempts of earlier runs with the same pack and settings, by uri."""
    tried: dict[str, list[Attempt]] = {}
    for manifest in read_manifests(run.output):
        if comparable(run, manifest):
            for attempt in attempts_in(run.output, manifest):
                tried.setdefault(attempt.uri, []).append(attempt)
    return tried


def collect(settings: Settings, run: Run) -> tuple[list[Task], list[Outcome]]:
    """Returns the photos that a local run must process, and the outcomes of the others.

    Raises:
        ConfigError: a source cannot be read.
    """
    config = settings.config
    listed: list[Listing] = []
    vectors: dict[tuple[str, str], np.ndarray | None] = {}
    for listing, feature in feature_tasks(config.features) if config.features else photo_tasks(config):
        listed.append(listing)
        vectors[listing.uri, listing.version] = feature
    tried = tried_before(run)
    styles = tuple(settings.styles)
    due, settled = take_out_done(listed, styles, tried, selection_of(config), files=not config.features)
    photos = _join_copies(_find_kept(due, tried, run, limits_of(config)), config)
    return [(photo, vectors[photo.uri, photo.version]) for photo in photos], settled


def limits_of(config: RunConfig) -> ReadLimits:
    """Returns the limits of what may be read."""
    return ReadLimits(config.max_bytes, config.max_pixels, allowed(config))


def _find_kept(listings: list[Listing], tried: dict[str, list[Attempt]], run: Run, limits: ReadLimits) -> list[Listing]:
    """Returns the listings with the places where earlier runs kept features and captions of their photos."""
    if not run.networks or not listings:
        return listings
    versions = {ledger_uri(listing): listing.version for listing in listings}
    runs = {one.run for uri, version in versions.items() for one in tried.get(uri, ()) if one.version == version}
    networks = Networks(**run.networks)
    files = kept_files(run, networks, read_manifests(run.output), runs)
    return find_kept(listings, (photo for file in files for photo in read_kept(file, run.output, networks)), limits)


def _join_copies(listings: list[Listing], config: RunConfig) -> list[Listing]:
    """Returns the listings with copies attached to the first of them.

    Raises:
        LostPhotoError: a photo would be lost, or processed twice.
    """
    if config.features:
        joined = put_together(listings, map(identify_vector, listings))
    else:
        joined = find_copies(listings, config.max_bytes, allowed(config))
    after = [listing.uri for one in joined for listing in each_listing(one)]
    if sorted(after) != sorted(listing.uri for listing in listings):
        raise LostPhotoError(f"{len(listings)} photos became {len(after)} when copies were looked for")
    return joined


def count_photos(tasks: Iterable[Task]) -> int:
    """Returns the number of photos to process, copies included."""
    return sum(1 + len(listing.copies) for listing, _ in tasks)


def identify_vector(listing: Listing) -> Listing:
    """Returns the listing of a feature vector with its photo id."""
    return replace(listing, photo_id=listing.version)


def source_problems(config: RunConfig) -> list[str]:
    """Returns the problems with the inputs, before any photo is read."""
    problems = [
        f"--schemes {scheme}: is not a scheme that photos are read from; there are {', '.join(sorted(SCHEMES))}"
        for scheme in config.schemes
        if scheme not in SCHEMES
    ]
    problems += [problem for name in photo_patterns(config) if (problem := check_input(name, allowed(config)))]
    problems += [problem for name in config.uris if (problem := check_input(name))]
    problems += _secret_problems(config)
    if config.features and (config.input or config.uris):
        problems.append("--features replaces photos; leave out --input and --uris")
    if config.features and config.since:
        problems.append("--since: feature vectors have no modification time; leave it out")
    return problems + (_feature_problems(config.features) if config.features else [])


def _secret_problems(config: RunConfig) -> list[str]:
    """Returns a problem for each location that contains a secret and would be stored as it is."""
    named: dict[str, list[Any]] = {
        "output": [config.output],
        "pack": [config.pack],
        "features": [config.features],
        "uris": config.uris,
    }
    return [
        f"--{name}: a URI with a password or signature would be stored; configure it for fsspec instead"
        for name, uris in named.items()
        if any(uri and "://" in uri and (USER.search(uri) or SIGNED.search(uri)) for uri in uris)
    ]


def _feature_problems(location: str) -> list[str]:
    try:
        with _open_features(location):
            return []
    except ConfigError as error:
        return error.problems
