"""Which listed photos are due in this run, and the outcomes of the others: for lists and for PCollections.

Both forms use the rules of transforms/due_rules.py. A run on this machine uses lists, a run on another runner uses
PCollections, and both select the same photos.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton, PCollection, TaggedOutput
from apache_beam.transforms.combiners import Top

from transforms.due_rules import (
    EVERYTHING_NEW,
    Attempt,
    Selection,
    bound,
    is_beyond,
    ledger_uri,
    pending,
    sample_key,
    settle_early,
    uri_key,
)
from transforms.read_photos import LISTED, REPEATED, SplitRepeated, best_first, classify
from transforms.records import DEFERRED, Listing, Outcome
from transforms.step_labels import TaggedOutputs, labelled

SETTLED = "settled"


def take_out_done(
    listings: Iterable[Listing],
    styles: Sequence[str],
    attempts: Mapping[str, Collection[Attempt]],
    selection: Selection = EVERYTHING_NEW,
    files: bool = True,
) -> tuple[list[Listing], list[Outcome]]:
    """Returns the listings with the styles that are due, and the outcomes of the others; TakeOutDone for lists.

    Args:
        listings: listed objects; those that are due keep this order.
        styles: see TakeOutDone.
        attempts: earlier attempts by uri, as ledgers spell it.
        selection: see TakeOutDone.
        files: see TakeOutDone.
    """
    photos, settled = _split_names(listings, styles, files)
    last = selection.share
    if selection.sample_size is not None:
        last = _bound_of(map(sample_key, photos), selection.sample_size)
    due: list[Listing] = []
    for photo in photos:
        listing, outcomes = pending(photo, styles, attempts.get(ledger_uri(photo), ()), selection, last)
        settled += outcomes
        due += [listing] if listing.styles else []
    last = None if selection.limit is None else _bound_of(map(uri_key, due), selection.limit)
    for listing in due:
        settled += settle_early(listing, listing.styles, DEFERRED) if is_beyond(uri_key(listing), last) else []
    return [listing for listing in due if not is_beyond(uri_key(listing), last)], settled


def _split_names(
    listings: Iterable[Listing], styles: Sequence[str], files: bool
) -> tuple[list[Listing], list[Outcome]]:
    """Returns one listing of each uri that may be a photo, and the outcomes of the others."""
    once: dict[str, Listing] = {}
    settled: list[Outcome] = []
    for listing in listings:
        known = [once[listing.uri]] if listing.uri in once else []
        once[listing.uri], *others = best_first([*known, listing])
        settled += [outcome for other in others for outcome in settle_early(other, styles, "repeated")]
    photos: list[Listing] = []
    for listing in once.values():
        if _is_ignored(listing, files):
            settled += settle_early(listing, styles, "ignored")
        else:
            photos.append(listing)
    return photos, settled


def _bound_of(keys: Iterable[bytes], count: int) -> bytes | None:
    return bound(heapq.nsmallest(count, keys), count)


def _is_ignored(listing: Listing, files: bool) -> bool:
    return files and classify(listing) == "ignored"


def split_ignored(listing: Listing, styles: tuple[str, ...], files: bool = True) -> Iterator[Any]:
    """Yields the listing, or its outcomes under the tag SETTLED if it is known not to be a photo."""
    if not _is_ignored(listing, files):
        yield listing
        return
    yield from (TaggedOutput(SETTLED, outcome) for outcome in settle_early(listing, styles, "ignored"))


def split_done(
    element: tuple[bytes, dict[str, Iterable[Any]]],
    styles: tuple[str, ...],
    selection: Selection = EVERYTHING_NEW,
    last: bytes | None = None,
) -> Iterator[Any]:
    """Yields a uri's listing with the styles that are due; outcomes of the other styles come under SETTLED."""
    _, groups = element
    attempts = list(groups["attempts"])
    for listing in groups["listings"]:
        due, outcomes = pending(listing, styles, attempts, selection, last)
        if due.styles:
            yield due
        yield from (TaggedOutput(SETTLED, outcome) for outcome in outcomes)


def split_beyond(listing: Listing, last: bytes | None) -> Iterator[Any]:
    """Yields the listing if its uri is within the limit, otherwise its outcomes under SETTLED."""
    if not is_beyond(uri_key(listing), last):
        yield listing
        return
    yield from (TaggedOutput(SETTLED, outcome) for outcome in settle_early(listing, listing.styles, DEFERRED))


def key_attempt(attempt: Attempt) -> tuple[bytes, Attempt]:
    """Returns the attempt keyed by its uri."""
    return attempt.uri.encode(), attempt


def key_plainly(listing: Listing) -> tuple[bytes, Listing]:
    """Returns the listing keyed by its uri, as ledgers spell it."""
    return ledger_uri(listing).encode(), listing


@dataclass(eq=False)
class FindBound(beam.PTransform[PCollection[bytes], PCollection[Any]]):
    """The largest of the `count` smallest keys.

    Input: keys. Output: one key; None if there are no more keys than `count`. No dead letters.
    """

    count: int

    def expand(self, keys: PCollection[bytes]) -> PCollection[Any]:
        """Returns the largest of the smallest keys as a single element."""
        smallest = keys | "Find smallest" >> Top.Smallest(self.count)
        last: PCollection[Any] = smallest | "Take last" >> beam.Map(bound, self.count)
        return last


@dataclass(eq=False)
class TakeOutDone(beam.PTransform[PCollection[Listing], TaggedOutputs]):
    """Listings with stories that are due, each uri once.

    Input: Listing. Output: `listed` Listing with the styles that are due, and `settled` Outcome: `repeated`,
    `ignored`, `unchanged` or `deferred`. No dead letters.

    Attributes:
        attempts: attempts of earlier runs that are comparable to this one.
        styles: styles of this run.
        selection: which photos this run takes.
        files: the listings are of files, some of whose names show that they are not photos; otherwise they are of
            ready-made feature vectors.
    """

    attempts: PCollection[Attempt]
    styles: tuple[str, ...]
    selection: Selection = EVERYTHING_NEW
    files: bool = True

    def expand(self, listings: PCollection[Listing]) -> TaggedOutputs:
        """Returns the listings and outcomes by the tags LISTED and SETTLED."""
        once = listings | "Split repeated" >> SplitRepeated()
        repeated = once[REPEATED] | "Settle repeated" >> beam.FlatMap(settle_early, self.styles, "repeated")
        leave_out = labelled(beam.FlatMap(split_ignored, self.styles, self.files), "FlatMap(part_ignored)")
        photos = once[LISTED] | "Part ignored" >> leave_out.with_outputs(SETTLED, main=LISTED)
        joined = {
            "listings": photos[LISTED] | "Key listings" >> beam.Map(key_plainly),
            "attempts": self.attempts | "Key attempts" >> beam.Map(key_attempt),
        } | "Join by uri" >> beam.CoGroupByKey()
        last = self._last_of_sample(photos[LISTED])
        take_out = labelled(beam.FlatMap(split_done, self.styles, self.selection, last), "FlatMap(part_done)")
        fresh = joined | "Part done" >> take_out.with_outputs(SETTLED, main=LISTED)
        settled = [repeated, photos[SETTLED], fresh[SETTLED]]
        due = fresh[LISTED]
        if self.selection.limit is not None:
            within = self._limit(due, self.selection.limit)
            due, settled = within[LISTED], [*settled, within[SETTLED]]
        return {LISTED: due, SETTLED: settled | "Gather settled" >> beam.Flatten()}

    def _last_of_sample(self, photos: PCollection[Listing]) -> bytes | AsSingleton | None:
        if self.selection.sample_size is None:
            return self.selection.share
        keys = photos | "Take sample keys" >> beam.Map(sample_key)
        return AsSingleton(keys | "Find sample" >> FindBound(self.selection.sample_size))

    def _limit(self, due: PCollection[Listing], count: int) -> TaggedOutputs:
        last = due | "Take uris" >> beam.Map(uri_key) | "Find last" >> FindBound(count)
        split = labelled(beam.FlatMap(split_beyond, AsSingleton(last)), "FlatMap(part_beyond)")
        return due | "Part beyond" >> split.with_outputs(SETTLED, main=LISTED)
