"""Which listed photos are due tonight, and the outcomes of the others: once on lists, once on PCollections.

Both forms go by the rules of transforms/due_rules.py. A run on this machine has lists, one on another runner has
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
    """Returns what TakeOutDone does, from lists: listings with the styles that are due, and the outcomes of the rest.

    Args:
        listings: in an order that what is due keeps.
        styles: see TakeOutDone.
        attempts: by uri as ledgers spell it.
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
    """Returns one listing of each uri that may be a photo, and the outcomes of the rest."""
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
    """Yields the listing, or where it is known to be no photo its outcomes under the tag SETTLED."""
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
    """Yields a uri's listing with the styles that are due; the others' outcomes under SETTLED."""
    _, groups = element
    attempts = list(groups["attempts"])
    for listing in groups["listings"]:
        due, outcomes = pending(listing, styles, attempts, selection, last)
        if due.styles:
            yield due
        yield from (TaggedOutput(SETTLED, outcome) for outcome in outcomes)


def split_beyond(listing: Listing, last: bytes | None) -> Iterator[Any]:
    """Yields the listing where its uri is not beyond the last one that is taken, else its outcomes under SETTLED."""
    if not is_beyond(uri_key(listing), last):
        yield listing
        return
    yield from (TaggedOutput(SETTLED, outcome) for outcome in settle_early(listing, listing.styles, DEFERRED))


def key_attempt(attempt: Attempt) -> tuple[bytes, Attempt]:
    """Returns the attempt behind its uri."""
    return attempt.uri.encode(), attempt


def key_plainly(listing: Listing) -> tuple[bytes, Listing]:
    """Returns the listing behind its uri as ledgers spell it."""
    return ledger_uri(listing).encode(), listing


@dataclass(eq=False)
class FindBound(beam.PTransform[PCollection[bytes], PCollection[Any]]):
    """The largest of the `count` smallest keys.

    Input: keys. Output: one key; None where there are no more keys than that. No dead letters.
    """

    count: int

    def expand(self, keys: PCollection[bytes]) -> PCollection[Any]:
        """Returns the highest of the smallest keys, as one element."""
        smallest = keys | "Find smallest" >> Top.Smallest(self.count)
        last: PCollection[Any] = smallest | "Take last" >> beam.Map(bound, self.count)
        return last


@dataclass(eq=False)
class TakeOutDone(beam.PTransform[PCollection[Listing], TaggedOutputs]):
    """Listings of which stories are due, each uri once.

    Input: Listing. Output: `listed` Listing with the styles that are due, and `settled` Outcome: `repeated`,
    `ignored`, `unchanged` or `deferred`. No dead letters.

    Attributes:
        attempts: of earlier runs, comparable to this one.
        styles: of this run.
        selection: which photos this run takes.
        files: listings are of files, some of which are known by their names to be no photos; others are of ready-made
            feature vectors.
    """

    attempts: PCollection[Attempt]
    styles: tuple[str, ...]
    selection: Selection = EVERYTHING_NEW
    files: bool = True

    def expand(self, listings: PCollection[Listing]) -> TaggedOutputs:
        """Returns the listings by LISTED, and the outcomes by SETTLED."""
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
