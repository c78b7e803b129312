"""Rules for which stories are due: those that no earlier run has settled and that this run selects."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from transforms.read_photos import key_by_uri
from transforms.records import DEFERRED, Listing, Outcome
from transforms.rows import plain_text

AGAIN = 3  # retries of a photo after a dead letter that may succeed in a later run
TOLD, FAILED, MAY_PASS = "story", "dead_letter", "retryable"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Result of a photo in one style, in one committed run that tried it.

    Attributes:
        uri: uri, as ledgers spell it.
        version: version as listed in that run.
        style: style of the story.
        result: TOLD, FAILED (for good), or MAY_PASS (a dead letter that may succeed in a later run).
        run: number of the run; later runs have higher numbers.
    """

    uri: str
    version: str
    style: str
    result: str
    run: int


@dataclass(frozen=True)
class Selection:
    """Which of the photos that are due a run processes; the others are deferred.

    Attributes:
        since: seconds since 1970; photos modified earlier are deferred, those without a known time are not.
        sample: share of the listed photos if below 1, otherwise their number; the same photos in each run.
        limit: maximum number of photos, the first ones by uri.
        failed: only photos whose last attempt ended as a dead letter, no matter how many attempts there were.
    """

    since: float | None = None
    sample: float | None = None
    limit: int | None = None
    failed: bool = False

    @property
    def sample_size(self) -> int | None:
        """Returns the number of photos in the sample; None if the sample is a share or there is none."""
        return int(self.sample) if self.sample is not None and self.sample >= 1 else None

    @property
    def share(self) -> bytes | None:
        """Returns the highest sample key that is in a sample given as a share."""
        if self.sample is None or self.sample >= 1:
            return None
        return int(self.sample * 2**64).to_bytes(8, "big")


EVERYTHING_NEW = Selection()


def ledger_uri(listing: Listing) -> str:
    """Returns the listing's uri as ledgers spell it."""
    return plain_text(listing.uri)


def sample_key(listing: Listing) -> bytes:
    """Returns a key that puts listings in a random order that is the same in each run."""
    uri = ledger_uri(listing).encode()
    return hashlib.blake2b(uri, digest_size=8).digest() + uri


def uri_key(listing: Listing) -> bytes:
    """Returns a key that orders listings by uri."""
    return key_by_uri(listing)[0]


def bound(smallest: Collection[bytes], count: int) -> bytes | None:
    """Returns the largest of the `count` smallest keys; None if there are fewer keys."""
    return max(smallest) if len(smallest) == count else None


def is_beyond(key: bytes, last: bytes | None) -> bool:
    """Returns whether a key is beyond the last one that is selected; None selects all."""
    return last is not None and key > last


def is_settled(attempts: Iterable[Attempt]) -> bool:
    """Returns whether earlier attempts settled a photo's version in a style, so that it is not tried again."""
    results = [attempt.result for attempt in attempts]
    return TOLD in results or FAILED in results or results.count(MAY_PASS) > AGAIN


def settle_early(listing: Listing, styles: Iterable[str], outcome: str) -> list[Outcome]:
    """Returns the outcomes of a listed object that gets no story in this run, one for each style."""
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
        listing: listed object.
        styles: styles of the run.
        attempts: attempts at this uri in comparable runs.
        selection: which photos the run selects.
        last: largest sample key that is in the sample; None if all photos are.
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
    """Returns the outcome in a style if no story is due in it, None if one is due."""
    same = [attempt for attempt in tried if attempt.version == listing.version]
    if not failed:
        return "unchanged" if is_settled(same) else None
    if any(attempt.result == TOLD for attempt in same):
        return "unchanged"
    newest = max(tried, key=_run, default=None)
    return DEFERRED if newest is None or newest.result == TOLD else None


def _run(attempt: Attempt) -> int:
    return attempt.run
