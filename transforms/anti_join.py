"""What earlier runs have settled is taken out of the listing, by key."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from transforms.read_photos import LISTED, REPEATED, SplitRepeated, classify
from transforms.records import Listing, Outcome
from transforms.rows import plain_text

SETTLED = "settled"

Settled = tuple[str, str, str]
"""(uri, version, style)."""


def settle_early(listing: Listing, styles: Iterable[str], outcome: str) -> list[Outcome]:
    """Returns the outcomes of a listed object that is not told, one a style."""
    return [Outcome(listing.uri, listing.version, None, style, outcome) for style in styles]


def pending(
    listing: Listing, styles: Iterable[str], done: frozenset[Settled] | set[Settled]
) -> tuple[Listing, list[Outcome]]:
    """Returns the listing with the styles still to tell, and the outcome `unchanged` of the others."""
    styles, uri = list(styles), plain_text(listing.uri)
    wanted = tuple(style for style in styles if (uri, listing.version, style) not in done)
    unchanged = [style for style in styles if style not in wanted]
    return replace(listing, styles=wanted), settle_early(listing, unchanged, "unchanged")


def part_ignored(listing: Listing, styles: tuple[str, ...]) -> Iterator[Any]:
    """Yields the listing, or where it is known to be no photo its outcomes under the tag SETTLED."""
    if classify(listing) != "ignored":
        yield listing
        return
    yield from (TaggedOutput(SETTLED, outcome) for outcome in settle_early(listing, styles, "ignored"))


def part_done(element: tuple[bytes, dict[str, Iterable[Any]]], styles: tuple[str, ...]) -> Iterator[Any]:
    """Yields a uri's listing with the styles that no earlier run has settled; the others' outcomes under SETTLED."""
    _, groups = element
    done = set(groups["done"])
    for listing in groups["listings"]:
        wanted, unchanged = pending(listing, styles, done)
        if wanted.styles:
            yield wanted
        yield from (TaggedOutput(SETTLED, outcome) for outcome in unchanged)


def key_settled(settled: Settled) -> tuple[bytes, Settled]:
    """Returns what was settled behind its uri."""
    return settled[0].encode(), settled


def key_plainly(listing: Listing) -> tuple[bytes, Listing]:
    """Returns the listing behind its uri as ledgers spell it."""
    return plain_text(listing.uri).encode(), listing


@dataclass(eq=False)
class TakeOutDone(beam.PTransform[PCollection[Listing], Any]):
    """Listings that are to be told, each uri once.

    Input: Listing. Output: `listed` Listing with the styles still to tell, and `settled` Outcome: `repeated`,
    `ignored` or `unchanged`. No dead letters.

    Attributes:
        done: (uri, version, style) that earlier runs have settled.
        styles: that this run is to tell.
    """

    done: PCollection[Settled]
    styles: tuple[str, ...]

    def expand(self, listings: PCollection[Listing]) -> Any:
        once = listings | "Split repeated" >> SplitRepeated()
        repeated = once[REPEATED] | "Settle repeated" >> beam.FlatMap(settle_early, self.styles, "repeated")
        photos = once[LISTED] | "Part ignored" >> beam.FlatMap(part_ignored, self.styles).with_outputs(
            SETTLED, main=LISTED
        )
        joined = {
            "listings": photos[LISTED] | "Key listings" >> beam.Map(key_plainly),
            "done": self.done | "Key settled" >> beam.Map(key_settled),
        } | "Join by uri" >> beam.CoGroupByKey()
        fresh = joined | "Part done" >> beam.FlatMap(part_done, self.styles).with_outputs(SETTLED, main=LISTED)
        settled = (repeated, photos[SETTLED], fresh[SETTLED]) | "Gather settled" >> beam.Flatten()
        return {LISTED: fresh[LISTED], SETTLED: settled}
