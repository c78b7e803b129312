"""The report of a plan: all of its figures as plain data."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from configs.prices import Prices
from model_handlers.captions import caption_texts
from pipelines.nightly.remote import SHARDS
from pipelines.planning.estimate import Spread, Work, cost_of
from pipelines.planning.listing import Listed
from pipelines.planning.plan_report import Report
from pipelines.planning.sample import Measured
from pipelines.tables.commits import SMALLEST_REFUSAL
from pipelines.telling.settings import Settings
from transforms.cores import cores

WORKERS = 10  # the default
FEW = 20  # photos; fewer say little about a bucket
LEDGER_BYTES = 200  # of a ledger row, roughly; stories are many times as large
NUMBER_BYTES = 4  # of a kept feature vector
TABLES = 3  # and one more, of what is kept


@dataclass(frozen=True)
class Night:
    """A run that would start now.

    Attributes:
        settings: settings of the run.
        listed: what it would find.
        measured: times of a sample.
        work: estimated time of all photos.
    """

    settings: Settings
    listed: Listed
    measured: Measured
    work: Work

    @property
    def stories(self) -> int:
        """Stories that the run is to write."""
        return self.listed.styles.total()

    @property
    def dead_letters(self) -> int:
        """Number of photos expected to fail."""
        measured = self.measured
        return round(measured.failed / measured.photos * len(self.listed.tasks)) if measured.photos else 0


@dataclass(frozen=True)
class Wanted:
    """What the user asked for.

    Attributes:
        workers: number of workers; None is as many as are needed, or WORKERS.
        within: seconds that the run may take; None for no limit.
        prices: prices of the user, if any.
        file: file of the prices.
    """

    workers: int | None
    within: float | None
    prices: Prices | None
    file: str


def bank_size(settings: Settings) -> int | None:
    """Returns the number of captions of the pack's bank; None if captions are written."""
    if settings.choices.captions != "retrieved":
        return None
    return len(set(caption_texts(settings.pack)))


def pace_of(prices: Prices | None) -> float:
    """Returns how fast a worker is relative to this machine: by the shape in the prices, otherwise 1."""
    if prices is None:
        return 1.0
    return prices.worker_pace or prices.worker_cores / cores()


def make_report(night: Night, wanted: Wanted, listing_seconds: float, device: str, local: bool) -> Report:
    """Returns the whole plan, as plain data for JSON.

    Args:
        night: the run.
        wanted: what the user asked for.
        listing_seconds: seconds of listing.
        device: device that the networks were measured on.
        local: whether the run goes in waves on this machine.
    """
    work, pace = night.work, pace_of(wanted.prices)
    needed = None if wanted.within is None else work.workers_within(wanted.within, pace)
    workers = wanted.workers or (needed or {}).get("high") or WORKERS
    return {
        **_photos(night.listed, listing_seconds),
        **_sample(night, device),
        "seconds": {"this_machine": spread(work.alone), "workers": spread(work.shared(workers, pace))},
        "workers": {"count": workers, "pace": pace, "within_seconds": wanted.within, "needed": needed},
        "cost": _cost(night, wanted, workers, pace, local),
        "warnings": _warnings(night),
    }


def _photos(listed: Listed, seconds: float) -> Report:
    return {
        "listed": {"photos": listed.objects, "seconds": rounded(seconds)},
        "settled": dict(sorted(listed.settled.items())),
        "waiting_dead_letters": listed.waiting,
        "to_tell": {
            "photos": listed.kinds.total(),
            "kept": len(listed.tasks) - listed.unseen,
            "why": dict(listed.kinds),
            "stories": dict(listed.styles),
            "bytes": listed.size,
        },
    }


def _sample(night: Night, device: str) -> Report:
    measured = night.measured
    return {
        "sample": {
            "photos": measured.photos,
            "groups": len(measured.groups),
            "failed": measured.failed,
            "failures": [
                {"stage": stage, "error": error, "count": count}
                for (stage, error), count in sorted(measured.failures.items())
            ],
        },
        "machine": {"cores": cores(), "device": device},
        "photo": spread(night.work.photo),
        "stages": {name: spread(seconds) for name, seconds in night.work.stages.items()},
        "start_seconds": rounded(measured.start),
        "expected_dead_letters": night.dead_letters,
    }


def spread(value: Spread) -> Report:
    """Returns a figure with its range, rounded to six digits."""
    return {name: rounded(number) for name, number in asdict(value).items()}


def rounded(number: float) -> float:
    """Returns a number rounded to six significant digits."""
    return float(f"{number:.6g}")


def _cost(night: Night, wanted: Wanted, workers: int, pace: float, local: bool) -> Report | None:
    """Returns the cost; None without prices, or if nothing is due."""
    config, listed, prices = night.settings.config, night.listed, wanted.prices
    if prices is None or not listed.tasks:
        return None
    vector = NUMBER_BYTES * night.settings.pack.features.width if config.keep_features else 0
    leaves = night.stories * (night.measured.row_bytes + LEDGER_BYTES) + listed.uncaptioned * vector
    reads = operations((listing.uri for listing, _ in listed.tasks if listing.kept is None), listed.objects)
    waves = math.ceil(len(listed.tasks) / config.wave_size) if local else 1
    shards = config.shards or (1 if local else SHARDS)
    files = waves * shards * (TABLES + config.keep_features) + 2  # and started.json and the manifest
    writes = files if "://" in config.output else 0
    cost = cost_of(night.work, workers, pace, prices, leaves, reads, writes)
    return {
        "prices": wanted.file,
        "currency": prices.currency,
        "workers": spread(cost.workers),
        "workers_counted": workers,
        "operations": rounded(cost.operations),
        "reads": reads,
        "writes": writes,
        "night": spread(cost.night),
        "storage_month": rounded(cost.storage_month),
        "bytes": round(leaves),
    }


def operations(uris: Iterable[str], objects: int) -> int:
    """Returns the read operations of buckets: one a photo, one for 1,000 listed objects, none for local files."""
    remote = sum("://" in uri for uri in uris)
    return remote + math.ceil(objects / 1000) if remote else 0


def _warnings(night: Night) -> list[str]:
    measured, tasks, limit = night.measured, len(night.listed.tasks), night.settings.config.max_dead_letter_ratio
    warnings = []
    if 0 < measured.photos < min(FEW, tasks):
        warnings.append(f"only {measured.photos} of {tasks:,} photos were measured; --photos says how many")
    if measured.photos and measured.failed == measured.photos:
        warnings.append("no photo of the sample could be processed; later steps were not measured")
    if night.dead_letters >= SMALLEST_REFUSAL and night.dead_letters > limit * tasks:
        share = night.dead_letters / tasks
        warnings.append(
            f"{share:.0%} dead letters are more than --max-dead-letter-ratio {limit:g} allows: the run would end with "
            "exit code 3 and publish nothing"
        )
    return warnings
