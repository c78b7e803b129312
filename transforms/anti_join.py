"""What earlier runs have settled is taken out of the listing, by key, and what this run is not to tell is deferred."""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton, PCollection, TaggedOutput

from transforms.read_photos import LISTED, REPEATED, SplitRepeated, classify, key_by_uri
from transforms.records import DEFERRED, Listing, Outcome
from transforms.rows import plain_text
from transforms.step_labels import labelled

SETTLED = "settled"
AGAIN = 3  # times that a photo is tried again after a dead letter that another night may do better on
TOLD, FAILED, MAY_PASS = "story", "dead_letter", "retryable"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a photo in one style in one committed run that tried it.

    Attributes:
        uri: as ledgers spell it.
        version: as listed then.
        style: told or not.
        result: TOLD, FAILED for good, or MAY_PASS, a dead letter that another night may do better on.
        run: number of the run; a later one has a higher number.
    """

    uri: str
    version: str
    style: str
    result: str
    run: int


@dataclass(frozen=True)
class Selection:
    """Which photos a run is to tell among those that it could; the others are deferred.

    Attributes:
        since: seconds since 1970; photos modified earlier are left, those of which the store does not say when are not.
        sample: share of the listed photos below 1, else how many of them; the same ones each night.
        limit: photos at most, the first by uri.
        failed: only what ended as a dead letter when it was last tried, however often that was.
    """

    since: float | None = None
    sample: float | None = None
    limit: int | None = None
    failed: bool = False

    @property
    def sample_size(self) -> int | None:
        """Returns how many photos are in the sample; None where that is not counted."""
        return int(self.sample) if self.sample is not None and self.sample >= 1 else None

    @property
    def share(self) -> bytes | None:
        """Returns the sample key up to which photos are in a sample that is a share."""
        if self.sample is None or self.sample >= 1:
            return None
        return int(self.sample * 2**64).to_bytes(8, "big")


EVERYTHING_NEW = Selection()


def sample_key(listing: Listing) -> bytes:
    """Returns what orders listings at random, but always alike."""
    uri = plain_text(listing.uri).encode()
    return hashlib.blake2b(uri, digest_size=8).digest() + uri


def uri_key(listing: Listing) -> bytes:
    """Returns what orders listings by uri."""
    return key_by_uri(listing)[0]


def bound(smallest: Collection[bytes], count: int) -> bytes | None:
    """Returns the largest of the `count` smallest keys; None where all keys are among them."""
    return max(smallest) if len(smallest) == count else None


def is_settled(attempts: Iterable[Attempt]) -> bool:
    """Tells whether a photo's version needs no further telling in a style, by all that was tried."""
    results = [attempt.result for attempt in attempts]
    return TOLD in results or FAILED in results or results.count(MAY_PASS) > AGAIN


def settle_early(listing: Listing, styles: Iterable[str], outcome: str) -> list[Outcome]:
    """Returns the outcomes of a listed object that is not told, one a style."""
    return [Outcome(listing.uri, listing.version, None, style, outcome) for style in styles]


def pending(
    listing: Listing,
    styles: Iterable[str],
    attempts: Collection[Attempt],
    selection: Selection = EVERYTHING_NEW,
    last: bytes | None = None,
) -> tuple[Listing, list[Outcome]]:
    """Returns the listing with the styles to tell, and the outcomes `unchanged` and `deferred` of the others.

    Args:
        listing: as listed.
        styles: that the run tells.
        attempts: of this uri, in comparable runs.
        selection: what of it the run is to tell.
        last: largest sample key that is in the sample; None takes all photos in.
    """
    early = selection.since is not None and listing.modified is not None and listing.modified < selection.since
    left = early or (last is not None and sample_key(listing) > last)
    wanted, outcomes = [], []
    for style in styles:
        tried = [attempt for attempt in attempts if attempt.style == style]
        outcome = _outcome(listing, tried, selection.failed)
        if outcome is None and not left:
            wanted.append(style)
        else:
            outcomes += settle_early(listing, [style], outcome or DEFERRED)
    return replace(listing, styles=tuple(wanted)), outcomes


def _outcome(listing: Listing, tried: Collection[Attempt], failed: bool) -> str | None:
    """Returns the outcome in a style that is not to be told, None where it is."""
    same = [attempt for attempt in tried if attempt.version == listing.version]
    if not failed:
        return "unchanged" if is_settled(same) else None
    if any(attempt.result == TOLD for attempt in same):
        return "unchanged"
    newest = max(tried, key=_run, default=None)
    return DEFERRED if newest is None or newest.result == TOLD else None


def _run(attempt: Attempt) -> int:
    return attempt.run


def split_ignored(listing: Listing, styles: tuple[str, ...]) -> Iterator[Any]:
    """Yields the listing, or where it is known to be no photo its outcomes under the tag SETTLED."""
    if classify(listing) != "ignored":
        yield listing
        return
    yield from (TaggedOutput(SETTLED, outcome) for outcome in settle_early(listing, styles, "ignored"))


def split_done(
    element: tuple[bytes, dict[str, Iterable[Any]]],
    styles: tuple[str, ...],
    selection: Selection = EVERYTHING_NEW,
    last: bytes | None = None,
) -> Iterator[Any]:
    """Yields a uri's listing with the styles that are to be told; the others' outcomes under SETTLED."""
    _, groups = element
    attempts = list(groups["attempts"])
    for listing in groups["listings"]:
        wanted, outcomes = pending(listing, styles, attempts, selection, last)
        if wanted.styles:
            yield wanted
        yield from (TaggedOutput(SETTLED, outcome) for outcome in outcomes)


def split_beyond(listing: Listing, last: bytes | None) -> Iterator[Any]:
    """Yields the listing where its uri is not behind the last one that is told, else its outcomes under SETTLED."""
    if last is None or uri_key(listing) <= last:
        yield listing
        return
    yield from (TaggedOutput(SETTLED, outcome) for outcome in settle_early(listing, listing.styles, DEFERRED))


def key_attempt(attempt: Attempt) -> tuple[bytes, Attempt]:
    """Returns the attempt behind its uri."""
    return attempt.uri.encode(), attempt


def key_plainly(listing: Listing) -> tuple[bytes, Listing]:
    """Returns the listing behind its uri as ledgers spell it."""
    return plain_text(listing.uri).encode(), listing


@dataclass(eq=False)
class FindBound(beam.PTransform[PCollection[bytes], PCollection[Any]]):
    """The largest of the `count` smallest keys.

    Input: keys. Output: one key; None where there are no more keys than that. No dead letters.
    """

    count: int

    def expand(self, keys: PCollection[bytes]) -> PCollection[Any]:
        smallest = keys | "Find smallest" >> beam.combiners.Top.Smallest(self.count)
        return smallest | "Take last" >> beam.Map(bound, self.count)


@dataclass(eq=False)
class TakeOutDone(beam.PTransform[PCollection[Listing], Any]):
    """Listings that are to be told, each uri once.

    Input: Listing. Output: `listed` Listing with the styles still to tell, and `settled` Outcome: `repeated`,
    `ignored`, `unchanged` or `deferred`. No dead letters.

    Attributes:
        attempts: of earlier runs, comparable to this one.
        styles: that this run is to tell.
        selection: what of it this run is to tell.
    """

    attempts: PCollection[Attempt]
    styles: tuple[str, ...]
    selection: Selection = EVERYTHING_NEW

    def expand(self, listings: PCollection[Listing]) -> Any:
        once = listings | "Split repeated" >> SplitRepeated()
        repeated = once[REPEATED] | "Settle repeated" >> beam.FlatMap(settle_early, self.styles, "repeated")
        leave_out = labelled(beam.FlatMap(split_ignored, self.styles), "FlatMap(part_ignored)")
        photos = once[LISTED] | "Part ignored" >> leave_out.with_outputs(SETTLED, main=LISTED)
        joined = {
            "listings": photos[LISTED] | "Key listings" >> beam.Map(key_plainly),
            "attempts": self.attempts | "Key attempts" >> beam.Map(key_attempt),
        } | "Join by uri" >> beam.CoGroupByKey()
        last = self._last_of_sample(photos[LISTED])
        take_out = labelled(beam.FlatMap(split_done, self.styles, self.selection, last), "FlatMap(part_done)")
        fresh = joined | "Part done" >> take_out.with_outputs(SETTLED, main=LISTED)
        settled = [repeated, photos[SETTLED], fresh[SETTLED]]
        wanted = fresh[LISTED]
        if self.selection.limit is not None:
            within = self._limit(wanted, self.selection.limit)
            wanted, settled = within[LISTED], [*settled, within[SETTLED]]
        return {LISTED: wanted, SETTLED: settled | "Gather settled" >> beam.Flatten()}

    def _last_of_sample(self, photos: PCollection[Listing]) -> Any:
        if self.selection.sample_size is None:
            return self.selection.share
        keys = photos | "Take sample keys" >> beam.Map(sample_key)
        return AsSingleton(keys | "Find sample" >> FindBound(self.selection.sample_size))

    def _limit(self, wanted: PCollection[Listing], count: int) -> Any:
        last = wanted | "Take uris" >> beam.Map(uri_key) | "Find last" >> FindBound(count)
        split = labelled(beam.FlatMap(split_beyond, AsSingleton(last)), "FlatMap(part_beyond)")
        return wanted | "Part beyond" >> split.with_outputs(SETTLED, main=LISTED)
