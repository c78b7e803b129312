"""Lists of URIs: text, CSV or Parquet files that name photos one by one."""

import csv
import io
import os
from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.folders import QUERY, ListingError
from transforms.object_stats import Stat
from transforms.read_errors import ReadError, read_error
from transforms.records import Listing
from transforms.redaction import bare_uri
from transforms.storage import stat_all
from transforms.uris import EVERYTHING, Allowed, absolute, check_uri, is_local, open_remote, split_scheme

LOOK_UPS = 500  # objects looked at in one call


def list_uris(location: str, allowed: Allowed = EVERYTHING) -> Iterator[Listing]:
    """Yields a listing for each URI of a list after looking at the object; missing or refused ones have the size -1.

    A signed query is always dropped from a URI, another query unless an object has it in its name.
    """
    batch: list[str] = []
    for uri in read_uris(location):
        batch.append(uri)
        if len(batch) == LOOK_UPS:
            yield from _look_up(batch, allowed)
            batch = []
    yield from _look_up(batch, allowed)


def _look_up(uris: list[str], allowed: Allowed) -> Iterator[Listing]:
    names = [absolute(bare_uri(uri)) for uri in uris]
    found = dict(zip(names, stat_all(names, allowed), strict=True))
    bare = {name: QUERY.sub("", name) for name in names if isinstance(found[name], ReadError) and "://" in name}
    bare = {name: short for name, short in bare.items() if short != name}
    found |= dict(zip(bare.values(), stat_all(list(bare.values()), allowed), strict=True))
    for name in names:
        uri = bare.get(name, name)
        status = found[uri]
        if isinstance(status, Stat):
            yield Listing(uri, status.size, status.version, modified=status.modified, checksum=status.checksum)
        else:
            yield Listing(uri, -1, "")


def read_uris(location: str) -> Iterator[str]:
    """Yields the URIs of a list: a UTF-8 text file with one on each line, or CSV or Parquet with a column `uri`.

    Blank lines and empty cells are skipped.

    Raises:
        ListingError: the list is missing or damaged; the message says where.
    """
    problem = check_uri(location)
    if problem:
        raise ListingError(problem)
    ending = os.path.splitext(location)[1].lower()
    try:
        with _open_list(location) as stream:
            if ending == ".parquet":
                uris = _parquet_uris(location, stream)
            elif ending == ".csv":
                uris = _csv_uris(location, stream)
            else:
                uris = (line.rstrip("\r\n") for line in io.TextIOWrapper(stream, "utf-8-sig", newline="\n"))
            yield from (uri for uri in uris if uri.strip())
    except (csv.Error, UnicodeDecodeError, pa.ArrowException) as error:
        raise ListingError(f"{location} is not a valid list of URIs: {error}") from error
    except OSError as error:
        raise ListingError(f"{location}: {read_error(location, error)}") from error


def _open_list(location: str) -> IO[bytes]:
    if is_local(location):
        return open(split_scheme(absolute(location))[1], "rb")
    fs, path = open_remote(location)
    stream: IO[bytes] = fs.open(path, "rb")
    return stream


def _parquet_uris(location: str, stream: IO[bytes]) -> Iterator[str]:
    table = pq.ParquetFile(stream)
    _check_column(location, table.schema_arrow.names)
    for batch in table.iter_batches(columns=["uri"]):
        yield from (str(uri) for uri in batch.column("uri").to_pylist() if uri is not None)


def _csv_uris(location: str, stream: IO[bytes]) -> Iterator[str]:
    rows = csv.DictReader(io.TextIOWrapper(stream, "utf-8-sig", newline=""))
    _check_column(location, list(rows.fieldnames or []))
    yield from (row["uri"] or "" for row in rows)


def _check_column(location: str, names: list[str]) -> None:
    if "uri" not in names:
        raise ListingError(f"{location} has no column 'uri'; it has {', '.join(names) or 'none'}")
