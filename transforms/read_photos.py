"""Step 1 of the main job: lists the objects of patterns and lists of URIs.

Hidden files are listed too; `classify` ignores known clutter such as .DS_Store.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput

from transforms.folders import ListingError, expand
from transforms.records import Listing, Outcome
from transforms.redaction import bare_uri
from transforms.step_labels import TaggedOutputs
from transforms.uri_lists import list_uris
from transforms.uris import EVERYTHING, Allowed, check_uri

__all__ = ["ListingError", "ReadPhotos", "SplitRepeated", "check_input", "classify", "list_photos"]

REPEATED, LISTED = "repeated", "listed"
IGNORED_NAMES = frozenset(
    (".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", ".gitkeep", ".gitignore", ".nomedia", "_success")
)
TEXTS = (
    "txt|md|rst|html|htm|xml|xmp|json|jsonl|csv|tsv|yaml|yml|toml|ini|cfg|log|lock|py|ipynb|sh|js|css|aae|sha256|md5"
)
TABLES = "parquet|avro|npy|npz|pkl|db|sqlite|tfrecord|pdf|doc|docx|odt|rtf|xls|xlsx|ods|ppt|pptx"
FILMS = "mp4|mov|avi|mkv|webm|m4v|mpg|mpeg|wmv|3gp|mts|mp3|m4a|wav|aac|flac|ogg|thm|lrv"
ARCHIVES = "zip|tar|gz|tgz|bz2|xz|7z|rar|zst|exe|dll|so|dmg|iso|crdownload|part|tmp"
IGNORED_ENDINGS = frozenset(f".{ending}" for ending in "|".join([TEXTS, TABLES, FILMS, ARCHIVES]).split("|"))


def classify(listing: Listing) -> str:
    """Returns `ignored` for folder placeholders and names that are known not to be photos, otherwise `photo`.

    A file with an unknown ending is tried as a photo, and so is an empty file whose name does not say otherwise.
    """
    name = listing.uri.rsplit("/", 1)[-1].lower()
    if name == "" or name.endswith("_$folder$") or name in IGNORED_NAMES or name.startswith("._"):
        return "ignored"
    return "ignored" if os.path.splitext(name)[1] in IGNORED_ENDINGS else "photo"


def check_input(pattern: str, allowed: Allowed = EVERYTHING) -> str | None:
    """Returns a readable problem with an input's scheme or place; None if there is none."""
    return check_uri(bare_uri(pattern), allowed)


def list_photos(
    patterns: Iterable[str],
    uris_files: Iterable[str] = (),
    allowed: Allowed = EVERYTHING,
    empty: list[str] | None = None,
) -> Iterator[Listing]:
    """Yields all objects under the patterns and in the lists, in the same order each time, with repetitions.

    Args:
        patterns: folders, files and globs, each on this machine or on any allowed file system.
        uris_files: lists of URIs, see `read_uris`.
        allowed: allowed schemes and places.
        empty: list that gets the patterns and lists in which nothing was found.

    Raises:
        ListingError: an input is not allowed or cannot be listed.
    """
    for kind, names in (("pattern", patterns), ("uris", uris_files)):
        for name in names:
            found = False
            for listing in list_source((kind, name), allowed):
                found = True
                yield listing
            if not found and empty is not None:
                empty.append(name)


def list_source(source: tuple[str, str], allowed: Allowed = EVERYTHING) -> Iterator[Listing]:
    """Yields the objects of one source: ("pattern", pattern) or ("uris", list of URIs)."""
    kind, name = source
    if kind == "uris":
        yield from list_uris(name, allowed)
        return
    problem = check_input(name, allowed)
    if problem:
        raise ListingError(problem)
    yield from expand(bare_uri(name), allowed)


@dataclass(eq=False)
class ReadPhotos(beam.PTransform[PBegin, PCollection[Listing]]):
    """Listed objects, spread over the workers.

    Input: the pipeline itself. Output: Listing, with repetitions (SplitRepeated separates them). No dead letters: an
    input that cannot be listed fails the run, and a missing object of a list of URIs is a Listing of size -1.

    Attributes:
        patterns: folders, files and globs.
        uris_files: lists of URIs.
        allowed: allowed schemes and places.
    """

    patterns: Sequence[str]
    uris_files: Sequence[str] = ()
    allowed: Allowed = EVERYTHING

    def expand(self, pipeline: PBegin) -> PCollection[Listing]:
        """Returns the listings of all sources."""
        sources = [("pattern", name) for name in self.patterns] + [("uris", name) for name in self.uris_files]
        listings: PCollection[Listing] = (
            pipeline
            | "Create sources" >> beam.Create(sources)
            | "List source" >> beam.FlatMap(list_source, self.allowed).with_output_types(Listing)
            | "Spread listings" >> beam.Reshuffle()
        )
        return listings


Named = TypeVar("Named", Listing, Outcome)


def key_by_uri(named: Named) -> tuple[bytes, Named]:
    """Returns the listing or outcome keyed by its uri, as bytes for the shuffle."""
    return named.uri.encode("utf-8", "surrogateescape"), named


def _rank(listing: Listing) -> tuple[bool, str, int]:
    return listing.size >= 0, listing.version, listing.size


def best_first(listings: Iterable[Listing]) -> list[Listing]:
    """Returns the listings of a uri, the one to use first; one that was looked at comes before others."""
    return sorted(listings, key=_rank, reverse=True)


def split_repeated(element: tuple[bytes, Iterable[Listing]]) -> Iterator[Any]:
    """Yields the best listing of a uri, and the others under the tag REPEATED."""
    _, group = element
    first, *others = best_first(group)
    yield first
    yield from (TaggedOutput(REPEATED, other) for other in others)


@dataclass(eq=False)
class SplitRepeated(beam.PTransform[PCollection[Listing], TaggedOutputs]):
    """Listings with each uri once.

    Input: Listing. Output: `listed` Listing, each uri once, and `repeated` Listing, all the others. No dead letters.
    """

    def expand(self, listings: PCollection[Listing]) -> TaggedOutputs:
        """Returns the listings by the tags LISTED and REPEATED."""
        return (
            listings
            | "Key by uri" >> beam.Map(key_by_uri)
            | "Group by uri" >> beam.GroupByKey()
            | "Split repeated" >> beam.FlatMap(split_repeated).with_outputs(REPEATED, main=LISTED)
        )
