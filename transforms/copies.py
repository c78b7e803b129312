"""Copies of photos: of several files with the same bytes, one goes through the networks and carries the others.

Only files of the same size, and with the same checksum if the store has one, can be copies. These are read and
hashed on one worker each before anything is decoded: names are shuffled, bytes and pixels never. (A checksum proves
nothing: CRC32C and MD5 can be forged.)
"""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from transforms.load_images import BatchListings, batch_listings, read_batch
from transforms.read_photos import key_by_uri
from transforms.records import Listing, StoryRequest
from transforms.step_labels import labelled
from transforms.uris import EVERYTHING, Allowed

MOST_COPIES = 10_000  # copies that travel with one photo; further copies go through the networks with another photo
ALONE, ALIKE = "alone", "alike"


def may_be_copied(listing: Listing, max_bytes: int) -> bool:
    """Returns whether a file's bytes should be compared with those of others."""
    return 0 < listing.size <= max_bytes


def identify(listings: list[Listing], max_bytes: int, allowed: Allowed = EVERYTHING) -> Iterator[Listing]:
    """Yields the listings with their photo ids; a file that cannot be read gets none, and fails again later."""
    unknown = [listing for listing in listings if listing.photo_id is None]
    yield from (listing for listing in listings if listing.photo_id is not None)
    for listing, content in read_batch(unknown, max_bytes, allowed):
        yield replace(listing, photo_id=hashlib.sha256(content).hexdigest()) if isinstance(content, bytes) else listing


def identity(listing: Listing) -> bytes:
    """Returns the key that a listing shares only with its copies."""
    return listing.photo_id.encode() if listing.photo_id else b"uri " + key_by_uri(listing)[0]


def join_copies(listings: Iterable[Listing]) -> Iterator[Listing]:
    """Yields the first of listings with the same bytes, with the others as its copies.

    The first one is the listing for which earlier runs kept most; ties are broken by uri.
    """
    ordered = iter(sorted(listings, key=_order))
    while group := list(islice(ordered, MOST_COPIES)):
        yield replace(group[0], copies=tuple(group[1:]))


def _order(listing: Listing) -> tuple[bool, bool, bytes]:
    kept = listing.kept
    return kept is None or not kept.captions, kept is None, key_by_uri(listing)[0]


def each_listing(listing: Listing) -> Iterator[Listing]:
    """Yields the listing and its copies one by one."""
    yield replace(listing, copies=())
    yield from listing.copies


def find_copies(listings: Sequence[Listing], max_bytes: int, allowed: Allowed = EVERYTHING) -> list[Listing]:
    """Returns the listings without copies, which go with the first of them; FindCopies for lists in this process."""
    groups = _group(key_by_likeness(listing, max_bytes) for listing in listings)
    alike = [listing for group in groups.values() if len(group) > 1 for listing in group]
    known = [one for batch in batch_listings(alike) for one in identify(batch, max_bytes, allowed)]
    return put_together(listings, known)


def put_together(listings: Sequence[Listing], known: Iterable[Listing]) -> list[Listing]:
    """Returns the listings in their order, without copies.

    Args:
        listings: listings, each uri once.
        known: listings that may have copies, with their photo ids.
    """
    groups = _group((identity(listing), listing) for listing in known)
    joined = {one.uri: one for group in groups.values() for one in join_copies(group)}
    met = {listing.uri for group in groups.values() for listing in group}
    return [joined.get(one.uri, one) for one in listings if one.uri in joined or one.uri not in met]


def _group(pairs: Iterable[tuple[Hashable, Listing]]) -> dict[Hashable, list[Listing]]:
    groups: dict[Hashable, list[Listing]] = defaultdict(list)
    for key, listing in pairs:
        groups[key].append(listing)
    return groups


def key_by_likeness(listing: Listing, max_bytes: int) -> tuple[bytes, Listing]:
    """Returns the listing keyed by size and checksum, or by its uri if it need not be compared."""
    if may_be_copied(listing, max_bytes):
        return f"{listing.size} {listing.checksum}".encode(), listing
    return b"uri " + key_by_uri(listing)[0], listing


def split_alike(element: tuple[bytes, Iterable[Listing]]) -> Iterator[Any]:
    """Yields a listing that is unlike all others; listings that may be alike come under the tag ALIKE."""
    _, group = element
    listings = iter(group)
    first = list(islice(listings, 2))
    if len(first) == 1:
        yield first[0]
        return
    yield from (TaggedOutput(ALIKE, listing) for listing in first)
    yield from (TaggedOutput(ALIKE, listing) for listing in listings)


def key_by_identity(listing: Listing) -> tuple[bytes, Listing]:
    """Returns the listing with the key that it shares only with its copies."""
    return identity(listing), listing


def join_group(element: tuple[bytes, Iterable[Listing]]) -> Iterator[Listing]:
    """Yields the first of listings with the same bytes, with the others as its copies."""
    yield from join_copies(element[1])


@dataclass(eq=False)
class JoinCopies(beam.PTransform[PCollection[Listing], PCollection[Listing]]):
    """Listings without copies, which go with the first of them.

    Input: Listing, with its photo id if it may have copies. Output: Listing. No dead letters.
    """

    def expand(self, listings: PCollection[Listing]) -> PCollection[Listing]:
        """Returns the first listing of each photo, with the others as its copies."""
        joined: PCollection[Listing] = (
            listings
            | "Key by identity" >> beam.Map(key_by_identity)
            | "Group copies" >> beam.GroupByKey()
            | "Join copies" >> beam.FlatMap(join_group)
        )
        return joined


@dataclass(eq=False)
class FindCopies(beam.PTransform[PCollection[Listing], PCollection[Listing]]):
    """Listings without copies, which go with the first of them.

    Input: Listing, each uri once. Output: Listing. No dead letters: a file that cannot be read continues
    by itself, and becomes a dead letter when it is read again.

    Attributes:
        max_bytes: larger files are not read.
        allowed: allowed schemes and places; other files are not read.
    """

    max_bytes: int
    allowed: Allowed = EVERYTHING

    def expand(self, listings: PCollection[Listing]) -> PCollection[Listing]:
        """Returns the listings with their copies, after reading and comparing files that may be alike."""
        split = labelled(beam.FlatMap(split_alike), "FlatMap(part_alike)")
        groups = (
            listings
            | "Key by likeness" >> beam.Map(key_by_likeness, self.max_bytes)
            | "Group alike" >> beam.GroupByKey()
            | "Part alike" >> split.with_outputs(ALIKE, main=ALONE)
        )
        known = (
            groups[ALIKE]
            | "Spread files" >> beam.Reshuffle()
            | "Batch files" >> beam.ParDo(BatchListings())  # type: ignore[no-untyped-call]
            | "Identify files" >> beam.FlatMap(identify, self.max_bytes, self.allowed)
            | "Join copies" >> JoinCopies()
        )
        photos: PCollection[Listing] = (groups[ALONE], known) | "Gather photos" >> beam.Flatten()
        return photos


def copy_stories(element: tuple[StoryRequest, Any]) -> Iterator[tuple[StoryRequest, Any]]:
    """Yields the story of a photo for the photo and for each of its copies that needs the style."""
    request, story = element
    for photo in request.photo.wanting(request.style):
        yield replace(request, photo=photo), story
