"""The page's files: records in numbered scripts that the browser loads on demand, and the page itself."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from pipelines.gallery_page.page_folder import Folder
from transforms.rows import Row

PER_FILE = 200  # records of one data file
PAGE = "index.html"
MARK = b'name="generator" content="Beam Storyteller gallery"'
BUILD = "build-"  # prefix of the folders that hold everything but the page and the thumbnails
ASSETS = ("gallery.css", "data.js", "elements.js", "cards.js", "records.js", "plots.js", "views.js")


def script(name: str, *values: object) -> bytes:
    """Returns a script that calls a function of the page with JSON values; their text cannot end it or run."""
    arguments = ",".join(json.dumps(value, separators=(",", ":")) for value in values)  # ASCII: U+2028 is escaped too
    for char in "<>&":
        arguments = arguments.replace(char, f"\\u{ord(char):04x}")
    return f"gallery.{name}({arguments});\n".encode()


def table_files(table: str, records: Sequence[Row]) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of each data file of a table."""
    for number, start in enumerate(range(0, len(records), PER_FILE)):
        yield f"{table}-{number:05d}.js", script("receive", table, number, records[start : start + PER_FILE])


def table_index(facets: Sequence[Sequence[str]]) -> Row:
    """Returns the index of a table, which the page has before it loads records.

    Args:
        facets: names that each record can be filtered by.
    """
    names = sorted({name for found in facets for name in found})
    places = {name: place for place, name in enumerate(names)}
    return {
        "count": len(facets),
        "perFile": PER_FILE,
        "names": names,
        "facets": [[places[name] for name in found] for found in facets],
    }


def is_free(folder: Folder) -> bool:
    """Returns whether a page can be written to the folder: it is empty, or has an earlier page."""
    return not folder.names() or MARK in folder.read(PAGE)


def write_page(folder: Folder, summary: Mapping[str, Any], tables: Mapping[str, Sequence[Row]]) -> None:
    """Writes the build under a new name, then `index.html`, and then removes earlier builds."""
    built = {name: files("pipelines.gallery_page").joinpath(name).read_bytes() for name in ASSETS}
    for table, records in tables.items():
        built |= table_files(table, records)
    built["summary.js"] = script("summarise", summary)
    digest = hashlib.sha256(b"".join(hashlib.sha256(built[name]).digest() for name in sorted(built))).hexdigest()
    build = f"{BUILD}{digest[:12]}"
    for name, data in built.items():
        folder.write(f"{build}/{name}", data)
    page = files("pipelines.gallery_page").joinpath(PAGE).read_bytes()
    folder.write(PAGE, page.replace(b'="build/', f'="{build}/'.encode()))
    for name in folder.names():
        if name.startswith(BUILD) and name != build:
            folder.remove(name)
