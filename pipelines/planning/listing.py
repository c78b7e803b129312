"""Photos that a run would process if it started now, and what earlier runs have done already."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.nightly.selection import Task, collect
from pipelines.tables.commits import Run, comparable
from pipelines.tables.manifests import read_manifests, read_rows
from pipelines.telling.settings import Settings
from transforms.copies import each_listing
from transforms.records import Listing, Outcome
from transforms.rows import plain_text

NEW, CHANGED, RETRIED, OTHERWISE = "new", "changed", "retried", "otherwise"
"""Why a photo is due: it was never processed, it has a new version, it is a dead letter that is tried again, or it was
processed in another style or with another pack or settings."""


@dataclass(frozen=True)
class Listed:
    """What a run would find.

    Attributes:
        tasks: photos that it would process.
        settled: number of photos that are not due in any style, by outcome.
        waiting: number of unchanged dead letters, which wait for a new version.
        kinds: number of photos that are due, by reason.
        styles: number of stories that are due, by style.
        size: bytes of the photos that are due, without those of unknown size.
        objects: number of listed objects, each once.
        unseen: number of tasks whose photos must be read, because no feature vector was kept.
        uncaptioned: number of tasks whose captions must be found, because none were kept.
    """

    tasks: list[Task]
    settled: Counter[str]
    waiting: int
    kinds: Counter[str]
    styles: Counter[str]
    size: int
    objects: int
    unseen: int
    uncaptioned: int


def look(settings: Settings, run: Run) -> Listed:
    """Returns what a run would process, without what earlier runs have done; writes nothing.

    Raises:
        ConfigError: a source cannot be read.
    """
    tasks, settled = collect(settings, run)
    listings = [one for listing, _ in tasks for one in each_listing(listing)]
    telling = {listing.uri for listing in listings}
    done = [outcome for outcome in settled if outcome.outcome == "unchanged" and outcome.uri not in telling]
    kinds, waiting = look_back(run, listings, done)
    styles = Counter(dict.fromkeys(settings.styles, 0))
    styles.update(style for listing in listings for style in listing.styles)
    kept = [listing.kept for listing, _ in tasks]
    return Listed(
        tasks=tasks,
        settled=_by_outcome(settled, telling, len(styles)),
        waiting=waiting,
        kinds=kinds,
        styles=styles,
        size=sum(max(listing.size, 0) for listing in listings),
        objects=len(telling | {outcome.uri for outcome in settled}),
        unseen=kept.count(None),
        uncaptioned=sum(place is None or not place.captions for place in kept),
    )


def _by_outcome(settled: Sequence[Outcome], telling: set[str], styles: int) -> Counter[str]:
    """Returns the number of settled photos by outcome.

    A photo that is due in any style is not settled, but a repeated listing of it is.
    """
    counts = Counter(one.outcome for one in settled if one.outcome == "repeated" or one.uri not in telling)
    return Counter({outcome: -(-count // styles) for outcome, count in counts.items()})


def look_back(run: Run, listings: Sequence[Listing], unchanged: Sequence[Outcome]) -> tuple[Counter[str], int]:
    """Returns the number of due photos by reason, and how many unchanged photos are dead letters."""
    telling = {plain_text(listing.uri): listing for listing in listings}
    known: set[str] = set()
    same: set[str] = set()
    retried: set[str] = set()
    dead: set[tuple[str, str, str]] = set()
    for manifest in read_manifests(run.output):
        alike = comparable(run, manifest)
        for row in read_rows(run.output, manifest, "ledger", ["uri", "version", "style", "outcome"]):
            uri, failed = row["uri"], row["outcome"] == "dead_letter"
            if failed and alike:
                dead.add((uri, row["version"], row["style"]))
            if uri in telling and (failed or row["outcome"] == "story"):
                known.add(uri)
                if row["version"] == telling[uri].version:
                    same.add(uri)
                    retried |= {uri} if failed and alike and row["style"] in telling[uri].styles else set()
    kinds: Counter[str] = Counter({NEW: 0, CHANGED: 0, RETRIED: 0, OTHERWISE: 0})
    for uri in telling:
        kinds[_kind(uri in known, uri in same, uri in retried)] += 1
    waiting = {one.uri for one in unchanged if (plain_text(one.uri), one.version, one.style) in dead}
    return kinds, len(waiting)


def _kind(known: bool, same: bool, retried: bool) -> str:
    if not known:
        return NEW
    if not same:
        return CHANGED
    return RETRIED if retried else OTHERWISE
