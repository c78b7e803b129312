"""The rules that say which stories are due: those that no earlier run settled, and that this run selects."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from transforms.read_photos import key_by_uri
from transforms.records import DEFERRED, Listing, Outcome
from transforms.rows import plain_text

AGAIN = 3  # times that a photo is tried again after a dead letter that another night may do better on
TOLD, FAILED, MAY_PASS = "story", "dead_letter", "retryable"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a photo in one style in one committed run that tried it.

    Attributes:
        uri: as ledgers spell it.
        version: as listed then.
        style: of the story.
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
    """Which of the photos that are due a run takes; the others are deferred.

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


def ledger_uri(listing: Listing) -> str:
    """Returns the listing's uri as ledgers spell it."""
    return plain_text(listing.uri)


def sample_key(listing: Listing) -> bytes:
    """Returns what orders listings at random, but always alike."""
    uri = ledger_uri(listing).encode()
    return hashlib.blake2b(uri, digest_size=8).digest() + uri


def uri_key(listing: Listing) -> bytes:
    """Returns what orders listings by uri."""
    return key_by_uri(listing)[0]


def bound(smallest: Collection[bytes], count: int) -> bytes | None:
    """Returns the largest of the `count` smallest keys; None where all keys are among them."""
    return max(smallest) if len(smallest) == count else None


def is_beyond(key: bytes, last: bytes | None) -> bool:
    """Returns whether a key comes after the last one that is taken; None takes all."""
    return last is not None and key > last


def is_settled(attempts: Iterable[Attempt]) -> bool:
    """Returns whether a photo's version needs no further try in a style, by all that was tried."""
    results = [attempt.result for attempt in attempts]
    return TOLD in results or FAILED in results or results.count(MAY_PASS) > AGAIN


def settle_early(listing: Listing, styles: Iterable[str], outcome: str) -> list[Outcome]:
    """Returns the outcomes of a listed object that gets no story in this run, one a style."""
    return [Outcome(listing.uri, listing.version, None, style, outcome) for style in styles]


def pending(
    listing: Listing,
    styles: Iterable[str],
    attempts: Collection[Attempt],
    selection: Selection = EVERYTHING_NEW,
    last: bytes | None = None,
) -> tuple[Listing, list[Outcome]]:
    """Returns the listing with the styles that are due, and the outcomes `unchanged` and `deferred` of the others.

    Args:
        listing: as listed.
        styles: of the run.
        attempts: of this uri, in comparable runs.
        selection: what of it the run takes.
        last: largest sample key that is in the sample; None takes all photos in.
    """
    early = selection.since is not None and listing.modified is not None and listing.modified < selection.since
    left = early or is_beyond(sample_key(listing), last)
    due, outcomes = [], []
    for style in styles:
        tried = [attempt for attempt in attempts if attempt.style == style]
        outcome = _outcome(listing, tried, selection.failed)
        if outcome is None and not left:
            due.append(style)
        else:
            outcomes += settle_early(listing, [style], outcome or DEFERRED)
    return replace(listing, styles=tuple(due)), outcomes


def _outcome(listing: Listing, tried: Collection[Attempt], failed: bool) -> str | None:
    """Returns the outcome in a style in which no story is due, None where one is."""
    same = [attempt for attempt in tried if attempt.version == listing.version]
    if not failed:
        return "unchanged" if is_settled(same) else None
    if any(attempt.result == TOLD for attempt in same):
        return "unchanged"
    newest = max(tried, key=_run, default=None)
    return DEFERRED if newest is None or newest.result == TOLD else None


def _run(attempt: Attempt) -> int:
    return attempt.run
