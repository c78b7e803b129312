"""Writes the tables of docs/explanation/scale.md: `python docs/scripts/scale_model.py [--check] [--prices FILE]`.

Its inputs are scale_model.yaml (rates and assumptions, each with its source) and scale_bytes.json (bytes of elements,
from scale_crossings.py), both in docs/scripts. With `--prices` the tables are printed for your own prices.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from configs.prices import Prices, load_prices  # noqa: E402  (the repository's root must be on the path first)
from pipelines.nightly.remote import SHARDS  # noqa: E402
from pipelines.planning.estimate import HOUR, Spread, Work, cost_of  # noqa: E402
from pipelines.planning.plan_report import duration, size  # noqa: E402
from transforms.encode_sentences import CHUNK  # noqa: E402

PAGE = ROOT / "docs" / "explanation" / "scale.md"
FIGURES = ROOT / "docs" / "scripts" / "scale_model.yaml"
BYTES = ROOT / "docs" / "scripts" / "scale_bytes.json"
PRICES = ROOT / "configs" / "prices.yaml"
PACKS = ("original", "pocket")
TABLES = 3  # with rows of every photo: stories, ledger, kept features
JOINT = 1024  # J
NUMBER = 4  # bytes of a float32
MEMORY, DISK = 16e9, 100e9  # of an n2-standard-4 and of each worker, as configs/nightly.yaml has them

Cells = tuple[str, ...]


class Model:
    """The night, by its figures.

    Args:
        content: of docs/scripts/scale_model.yaml.
        measured: of docs/scripts/scale_bytes.json.
        prices: the user's, or those that ship here.
    """

    def __init__(self, content: dict[str, Any], measured: dict[str, Any], prices: Prices) -> None:
        self.figures = content["figures"]
        self.crossings = content["crossings"]
        self.measured = measured
        shape = {"worker_cores": int(self["cores"]), "worker_pace": 1.0}
        self.gpu_prices = prices.model_copy(update=shape | {"worker_gpus": 1})
        self.core_prices = prices.model_copy(update=shape | {"worker_gpus": 0})

    def __getitem__(self, name: str) -> float:
        return float(self.figures[name]["value"])

    def mark(self, *names: str) -> str:
        """Returns the mark of what is computed from some figures: `measured` where all of them are."""
        return "measured" if all(self.figures[name]["measured"] for name in names) else "not measured"

    @property
    def same_size(self) -> float:
        """Returns the photos whose size another photo has too."""
        return self._twins(self["size_width"])

    @property
    def alike(self) -> float:
        """Returns the photos whose size and checksum another photo has too, and which are no copies."""
        return self._twins(self["size_width"] * 2.0 ** self["checksum_bits"])

    def _twins(self, width: float) -> float:
        """Returns the photos that share one of `width` values, all as likely, with another: N (1 - exp(-N / width))."""
        return self["photos"] * -math.expm1(-self["photos"] / width)

    def elements(self, pack: str) -> dict[str, float]:
        """Returns how many elements cross, by the names that the crossings have."""
        photos, sizes = self["photos"], self.measured[pack]["sizes"]
        retrieved = pack == "original"
        unique = self["bank"] if retrieved else self["unique_written"] * photos
        return {
            "photos": photos,
            "both": 2 * photos,
            "earlier": self["earlier"],
            "alike": self.alike,
            "captions": sizes["captions"] * photos,
            "unique": unique,
            "chunks": self["shards"] * math.ceil(unique / self["shards"] / CHUNK),
        }

    def bytes_each(self, crossing: dict[str, str], pack: str) -> float:
        """Returns the bytes of an element that crosses, or its share of one that holds several."""
        run = self.measured[pack][crossing.get("run", "night")]
        found = run[crossing["step"]]
        if "of" not in crossing:
            return found["bytes"]
        return found["bytes"] * found["elements"] / run[crossing["of"]]["elements"]

    def total(self, pack: str, between: str | None = None) -> float:
        """Returns the bytes that cross in a night."""
        return sum(
            self.elements(pack)[one["elements"]] * self.bytes_each(one, pack)
            for one in self.crossings
            if between in (None, one["between"])
        )

    def shuffle_rows(self) -> Iterable[Cells]:
        """Yields the table of what crosses."""
        yield "what", "elements", "bytes each", "together", "pocket pack: bytes each", "together", "crosses"
        for name, group in groupby(self.crossings, itemgetter("name")):
            crossings = list(group)
            cells = [name]
            for pack in PACKS:
                count = self.elements(pack)[crossings[0]["elements"]]
                each = sum(self.bytes_each(one, pack) for one in crossings)
                cells += [million(count)] if pack == "original" else []
                cells += [f"{each:,.0f}", size(count * each)]
            yield *cells, "always" if crossings[0]["between"] == "shuffle" else "between pools"
        for name, between in (("always", "shuffle"), ("between pools", "pools"), ("both", None)):
            first, second = (size(self.total(pack, between)) for pack in PACKS)
            yield f"**{name}**", "", "", f"**{first}**", "", f"**{second}**", ""

    @property
    def gpu_seconds(self) -> float:
        """Returns the seconds of an L4 for a photo of the original's sizes, told in one style."""
        retrieval = 2 * self["bank"] * JOINT / 1e9
        sentences = self["sentence_gflop"] * self["bank"] / self["photos"]
        work = self["feature_gflop"] + retrieval + self["story_gflop"] + sentences
        return work / (1000 * self["gpu_tflops"] * self["gpu_share"])

    @property
    def core_seconds(self) -> float:
        """Returns the seconds of a core for a photo, without networks."""
        return self["megapixels"] / self["decode_rate"] + self["beam_ms"] / 1000

    @property
    def bytes_read(self) -> float:
        """Returns the bytes of photos that are read: of those that may be copies, twice."""
        return (self["photos"] + self.alike) * self["photo_bytes"]

    @property
    def listing_seconds(self) -> float:
        """Returns the seconds that listing takes."""
        return self["photos"] / 1000 * self["list_seconds"]

    @property
    def ledger_seconds(self) -> float:
        """Returns the seconds that reading earlier ledgers takes: each is read by one thread."""
        return self["earlier"] / min(self["nights"], SHARDS) / self["ledger_rate"]

    def work(self, each: float) -> Work:
        """Returns all work of the night on one worker, from the seconds of a photo there."""
        once = self["start_seconds"] + self.listing_seconds + self.ledger_seconds
        return Work({}, exactly(each), once, exactly(each * self["photos"]))

    def kept_bytes(self, pack: str) -> float:
        """Returns the bytes that the night leaves at most."""
        night = self.measured[pack]["night"]
        rows = ("stories", "ledger", "features")
        return self["photos"] * sum(night[f"Write {table}/Group shards"]["bytes"] for table in rows)

    def night_rows(self) -> Iterable[Cells]:
        """Yields the table of hours and cost."""
        yield "a night of 10 million", "original's sizes, on L4", "pocket pack, without a GPU", ""
        fast = {"gpu": self.gpu_seconds, "cores": self.core_seconds / self["cores"]}
        fast["reading"] = self.bytes_read / self["photos"] / (self["read_rate"] * 1e9)
        slow = self["pocket_seconds"] * 2 / self["cores"] + fast["cores"]
        rates = [f"{1000 * value:.1f} ms" for value in (fast["gpu"], fast["cores"], fast["reading"], slow)]
        yield "networks on the GPU, a photo", rates[0], "", self.mark("gpu_tflops", "gpu_share")
        mark = self.mark("decode_rate", "beam_ms")
        yield f"decoding and Beam, a photo, on {self['cores']:.0f} cores", rates[1], rates[1], mark
        yield "reading, a photo and worker", rates[2], rates[2], self.mark("read_rate")
        yield f"networks too, a photo, on {self['cores']:.0f} cores", "", rates[3], self.mark("pocket_seconds", "cores")
        slowest = max(fast, key=fast.__getitem__)
        each = fast[slowest], max(slow, fast["reading"])
        yield "what limits the time", slowest, "cores", ""
        yield from self._hours(each)

    def _hours(self, each: tuple[float, float]) -> Iterable[Cells]:
        workers, works = int(self["workers"]), [self.work(one) for one in each]
        reads = round(self["photos"] + self.alike + self["photos"] / 1000)
        writes = round(TABLES * self["shards"] + 2 * self.elements("original")["chunks"])
        prices, kept = (self.gpu_prices, self.core_prices), [self.kept_bytes(pack) for pack in PACKS]
        costs = [
            cost_of(work, workers, 1.0, price, leaves, reads, writes)
            for work, price, leaves in zip(works, prices, kept, strict=True)
        ]
        hours = [duration(work.shared(workers, 1.0).median) for work in works]
        worker_hours = [f"{workers * work.shared(workers, 1.0).median / HOUR:,.0f}" for work in works]
        once = duration(works[0].once)
        yield "start, listing, earlier ledgers", once, once, self.mark("list_seconds", "ledger_rate", "start_seconds")
        yield f"**hours, {workers} workers**", *(f"**{one}**" for one in hours), "not measured"
        yield "worker hours", *worker_hours, "not measured"
        yield "GPU hours", worker_hours[0], "0", "not measured"
        yield "reads, writes of the bucket", *[f"{million(reads)}, {writes:,}"] * 2, self.mark("size_width")
        yield "kept in OUTPUT, at most", *map(size, kept), "as pickled, before Parquet packs it"
        for name, values in (
            ("machines", [cost.workers.median for cost in costs]),
            ("operations", [cost.operations for cost in costs]),
            ("a month of storage", [cost.storage_month for cost in costs]),
        ):
            yield f"{name}, at the prices given", *(f"{value:,.0f} {prices[0].currency}" for value in values), "made up"

    def limit_rows(self) -> Iterable[Cells]:
        """Yields the table of what breaks, and from how many photos on."""
        yield "what", "at 10 million", "there is", "breaks from about"
        yield self._limit(
            f"rows of kept features in one of {SHARDS} shards, twice in memory", self._rows_of_shard(), MEMORY
        )
        yield self._limit("objects of one folder, in memory", self.measured["entry_memory"], MEMORY)
        unique = self["unique_written"] * NUMBER * self.measured["pocket"]["sizes"]["sentence"]
        yield self._limit("sentence vectors of written captions, on each worker's disk (pocket)", unique, DISK)
        bank = self["bank"] * NUMBER * self.measured["original"]["sizes"]["sentence"]
        yield "sentence vectors of the bank, on each worker's disk", size(bank), size(DISK), "never: the bank is full"
        share = self.same_size / self["photos"]
        half = million(self["size_width"] * math.log(2))
        yield "photos read twice, where the store lists no checksum", f"{share:.0%}", "", f"every second one at {half}"

    def _rows_of_shard(self) -> float:
        return 2 * self.measured["original"]["row_memory"] / SHARDS

    def _limit(self, what: str, each: float, there: float) -> Cells:
        return what, size(each * self["photos"]), size(there), f"{million(there / each)} photos"


def exactly(value: float) -> Spread:
    """Returns a figure without a spread."""
    return Spread(value, value, value)


def million(count: float) -> str:
    """Returns a number as a person says it."""
    if count >= 1e6:
        return f"{count / 1e6:,.3g} million" if count < 1e9 else f"{count / 1e9:,.3g} billion"
    return f"{count:,.0f}"


TABLE_ROWS = {"bytes": Model.shuffle_rows, "night": Model.night_rows, "limits": Model.limit_rows}


def markdown(rows: Iterable[Cells]) -> str:
    """Returns a Markdown table."""
    head, *body = rows
    lines = [head, ("---",) * len(head), *body]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def with_tables(page: str, model: Model) -> str:
    """Returns the page with fresh tables between its marks."""
    for name, rows in TABLE_ROWS.items():
        start, end = f"<!-- {name}: written by docs/scripts/scale_model.py -->\n", f"<!-- end of {name} -->"
        before, rest = page.split(start)
        page = before + start + markdown(rows(model)) + end + rest.split(end, 1)[1]
    return page


def load(prices: str = str(PRICES)) -> Model:
    """Returns the model by the files here."""
    content = yaml.safe_load(FIGURES.read_text("utf-8"))
    return Model(content, json.loads(BYTES.read_text("utf-8")), load_prices(prices))


def main(argv: list[str]) -> int:
    """Returns 0, or 1 with `--check` where the page's tables are stale."""
    parser = argparse.ArgumentParser(prog="docs/scripts/scale_model.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="writes nothing, and ends with 1 where the page is stale")
    parser.add_argument("--prices", metavar="FILE", help="your own prices, as configs/prices.yaml has them")
    flags = parser.parse_args(argv)
    if flags.prices:
        model = load(flags.prices)
        print("\n".join(markdown(rows(model)) for rows in TABLE_ROWS.values()))
        return 0
    old = PAGE.read_text("utf-8")
    new = with_tables(old, load())
    if flags.check:
        if new != old:
            print("docs/explanation/scale.md: its tables are stale; run docs/scripts/scale_model.py", file=sys.stderr)
        return int(new != old)
    PAGE.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
