"""Differences between two committed runs by their ledgers: stories that changed, are new, or are gone."""

from collections.abc import Sequence

from pipelines.gallery_page.page_records import PHOTO, Key, Manifest, newest_stories
from pipelines.tables.manifests import read_rows
from transforms.rows import Row

KINDS = ("changed", "new", "gone")
STANDS = ("story", "unchanged", "deferred")  # outcomes after which an earlier story is still valid
GONE = {None: "the run did not list it", "dead_letter": "the run made it a dead letter"}
REASONS = {"photo_id": "the photo changed", "pack_digest": "another model pack", "settings_digest": "other settings"}


def compare_runs(output: str, manifests: Sequence[Manifest], first: Manifest, second: Manifest) -> list[Row]:
    """Returns a record of each uri and style whose story differs between two runs: changed ones, then new, then gone.

    A run's stories are those that it wrote and, for photos that were done already, those of earlier runs.
    """
    before, after = (_stories_of(output, manifests, run) for run in (first, second))
    outcomes = _ledger(output, second)
    records = [
        record
        for key in before.keys() | after.keys()
        if (record := _difference(before.get(key), after.get(key), outcomes.get(key)))
    ]
    return sorted(records, key=_order)


def _order(record: Row) -> tuple[int, str, str]:
    return KINDS.index(record["kind"]), record["uri"], record["style"]


def _ledger(output: str, run: Manifest) -> dict[Key, str]:
    """Returns the outcome of each uri and style that a run listed; repeated listings are left out."""
    rows = read_rows(output, dict(run), "ledger", ["uri", "style", "outcome"])
    return {(row["uri"], row["style"]): row["outcome"] for row in rows if row["outcome"] != "repeated"}


def _stories_of(output: str, manifests: Sequence[Manifest], run: Manifest) -> dict[Key, Row]:
    told = newest_stories(output, [manifest for manifest in manifests if manifest["number"] <= run["number"]])
    return {key: told[key] for key, outcome in _ledger(output, run).items() if outcome in STANDS and key in told}


def _difference(before: Row | None, after: Row | None, outcome: str | None) -> Row | None:
    """Returns the record of one uri and style, None if the story is the same in both runs."""
    row = after or before
    if row is None or (before and after and before["story"] == after["story"]):
        return None
    kind, why = "new", ""
    if before and after:
        kind = "changed"
        why = ", ".join(reason for name, reason in REASONS.items() if before[name] != after[name])
    elif before:
        kind, why = "gone", GONE.get(outcome, f"the run says {outcome}")
    told = {"before": before and before["story"], "after": after and after["story"]}
    return {name: row[name] for name in (*PHOTO, "style")} | {"kind": kind, "why": why} | told
