"""The model of a big night: its page is fresh, it knows all that crosses, and its sums can be done by hand."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.scripts.scale_crossings import differences
from docs.scripts.scale_model import BYTES, FIGURES, PAGE, PRICES, Model, load, main, million, with_tables

PRICES_OF_TWO = PRICES.read_text().replace("worker_hour: 1.00", "worker_hour: 2.00")


@pytest.fixture
def content() -> dict[str, Any]:
    """Returns the figures, to be changed."""
    return yaml.safe_load(FIGURES.read_text())


@pytest.fixture
def measured() -> dict[str, Any]:
    """Returns the bytes of elements, to be changed."""
    return json.loads(BYTES.read_text())


def model_of(content: dict[str, Any], measured: dict[str, Any], **figures: float) -> Model:
    """Returns a model with some other figures."""
    for name, value in figures.items():
        content["figures"][name]["value"] = value
    return Model(content, measured, load().core_prices)


def test_the_page_is_fresh() -> None:
    page = PAGE.read_text()
    assert with_tables(page, load()) == page, "run docs/scripts/scale_model.py"
    assert main(["--check"]) == 0


def test_what_the_page_says_in_short_is_what_its_tables_say() -> None:
    rows = {row[0]: row[1:] for row in load().night_rows()}
    assert "50 workers would take some two hours" in PAGE.read_text()
    value, unit = rows["**hours, 50 workers**"][0].strip("*").split()
    assert 1.5 < float(value) / {"min": 60, "h": 1}[unit] < 2.5
    assert rows["what limits the time"][0] == "cores", "the page says that cores are the limit"


def test_a_stale_page_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "scale.md"
    stale.write_text(PAGE.read_text().replace("| always |", "| sometimes |", 1))
    monkeypatch.setattr("docs.scripts.scale_model.PAGE", stale)
    assert main(["--check"]) == 1
    assert main([]) == 0 and stale.read_text() == PAGE.read_text()


def test_all_that_crosses_is_in_the_model(content: dict[str, Any], measured: dict[str, Any]) -> None:
    told = {(one.get("run", "night"), one["step"]) for one in content["crossings"]}
    left = set(content["flattened"])
    assert len(told) == len(content["crossings"])
    for pack in ("original", "pocket"):
        found = {(run, step) for run in ("night", "earlier") for step in measured[pack][run] if step not in left}
        assert found == told
        assert left <= {step for run in ("night", "earlier") for step in measured[pack][run]}
    assert {one["between"] for one in content["crossings"]} == {"shuffle", "pools"}


def test_each_figure_says_where_it_is_from(content: dict[str, Any]) -> None:
    script = FIGURES.with_suffix(".py").read_text()
    for name, figure in content["figures"].items():
        assert figure.keys() == {"value", "unit", "measured", "source"} and figure["source"] and figure["unit"], name
        assert f'"{name}"' in script, f"{name} is not used"
        if figure["measured"]:
            assert figure["source"].startswith(("docs/", "benchmarks")), f"{name}: where was it measured?"


def test_photos_of_one_size(content: dict[str, Any], measured: dict[str, Any]) -> None:
    """docs/how-to/nightly.md: 377 of 2,000 photos of 10 kB were read twice."""
    night = model_of(content, measured, photos=2000, size_width=9600)
    assert abs(night.same_size - 377) < 5
    few = model_of(content, measured, photos=100, size_width=1e9)
    assert few.same_size == pytest.approx(100 * 100 / 1e9, rel=1e-6)


def test_photos_that_may_be_copies(content: dict[str, Any], measured: dict[str, Any]) -> None:
    without = model_of(content, measured, checksum_bits=0)
    assert without.alike == without.same_size > 9e6 and without.bytes_read == (1e7 + without.alike) * 3e6
    told = model_of(content, measured, checksum_bits=8)
    assert told.alike == pytest.approx(1e7 * (1 - 2.718281828 ** (-1e7 / 4.2e6 / 256)))


def test_bytes_are_those_of_elements_or_shared_out(content: dict[str, Any], measured: dict[str, Any]) -> None:
    night = model_of(content, measured, photos=1000)
    night.crossings = [
        {"step": "a", "name": "x", "elements": "photos", "between": "shuffle"},
        {"step": "b", "name": "y", "elements": "unique", "between": "pools", "of": "a"},
    ]
    for pack in ("original", "pocket"):
        measured[pack]["night"] = {"a": {"elements": 10, "bytes": 7.0}, "b": {"elements": 2, "bytes": 50.0}}
    assert night.bytes_each(night.crossings[1], "original") == 10.0
    assert night.total("original", "shuffle") == 7000
    assert night.total("original") == 7000 + 10 * night["bank"]
    assert night.total("pocket", "pools") == 10 * 2.5 * 1000
    assert night.elements("original")["chunks"] == 2000 and night.elements("original")["both"] == 2000


def test_seconds_by_hand(content: dict[str, Any], measured: dict[str, Any]) -> None:
    work = {"feature_gflop": 10.0, "story_gflop": 90.0, "sentence_gflop": 0.0, "bank": 0}
    night = model_of(content, measured, gpu_tflops=1, gpu_share=0.5, megapixels=12, decode_rate=4, beam_ms=1000, **work)
    assert night.gpu_seconds == pytest.approx(100 / 500)
    assert night.core_seconds == pytest.approx(3 + 1)
    times = model_of(content, measured, photos=5e6, list_seconds=0.1, earlier=6e6, nights=3, ledger_rate=1000)
    assert times.listing_seconds == pytest.approx(500) and times.ledger_seconds == pytest.approx(2000)
    many = model_of(content, measured, nights=64)
    assert many.ledger_seconds == pytest.approx(6e6 / 32 / 1000), "32 threads read at once, at most"


def test_hours_by_hand(content: dict[str, Any], measured: dict[str, Any]) -> None:
    """A photo takes 0.8 core seconds, a tenth on eight cores: 3,600,000 of them two hours on 50 workers."""
    once = {"start_seconds": 3600, "list_seconds": 0.0, "earlier": 0}
    photo = {"beam_ms": 800, "megapixels": 0, "feature_gflop": 0, "story_gflop": 0, "photo_bytes": 0}
    night = model_of(content, measured, photos=3_600_000, workers=50, **once, **photo)
    rows = {row[0]: row[1:] for row in night.night_rows()}
    assert rows["**hours, 50 workers**"][0] == "**3.0 h**"
    assert rows["worker hours"][0] == rows["GPU hours"][0] == "150" and rows["GPU hours"][1] == "0"
    assert rows["what limits the time"][:2] == ("cores", "cores")
    assert rows["machines, at the prices given"][0] == "300 EUR", "an hour of a worker and one of its GPU"


def test_users_have_their_own_prices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES_OF_TWO.replace("EUR", "CHF"))
    assert main([f"--prices={prices}"]) == 0
    printed = capsys.readouterr().out
    mine = {row[0]: row[1:] for row in load(str(prices)).night_rows()}
    ours = {row[0]: row[1:] for row in load().night_rows()}
    name = "machines, at the prices given"
    assert mine[name][0] in printed and mine[name][0].endswith(" CHF")
    first, second = (float(rows[name][1].split()[0].replace(",", "")) for rows in (ours, mine))
    assert second == pytest.approx(2 * first, abs=2)


def test_limits_are_where_they_are_reached(content: dict[str, Any], measured: dict[str, Any]) -> None:
    measured = copy.deepcopy(measured)
    measured["entry_memory"] = 1000
    rows = {row[0]: row[1:] for row in model_of(content, measured).limit_rows()}
    assert rows["objects of one folder, in memory"] == ("10.0 GB", "16.0 GB", "16 million photos")
    half = model_of(content, measured, photos=1e6, size_width=1e6 / math.log(2))
    assert {row[0]: row[1] for row in half.limit_rows()}[
        "photos read twice, where the store lists no checksum"
    ] == "50%"


def test_marks_say_measured_where_all_is() -> None:
    assert load().mark("pocket_seconds") == "measured"
    assert load().mark("pocket_seconds", "cores") == load().mark("photos") == "not measured"


def test_numbers_as_people_say_them() -> None:
    assert [million(count) for count in (414_000, 5_390_000, 1e9)] == ["414,000", "5.39 million", "1 billion"]


def test_measurements_that_differ_are_told() -> None:
    kept = {"night": {"a": {"elements": 2, "bytes": 100.0}}, "entry_memory": 10}
    assert list(differences(kept, {"night": {"a": {"elements": 2, "bytes": 104.0}}, "entry_memory": 10})) == []
    told = list(differences(kept, {"night": {"a": {"elements": 2, "bytes": 106.0}, "b": {"elements": 1, "bytes": 1}}}))
    assert [line.partition(":")[0] for line in told] == ["/entry_memory", "/night/a/bytes", "/night/b"]


@pytest.mark.slow
def test_the_pipeline_is_as_it_was_measured() -> None:
    from docs.scripts import scale_crossings

    assert scale_crossings.main(["--check"]) == 0
