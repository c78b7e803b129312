"""Counters of runs: sums over waves in the manifest, the same as the single pipeline of remote runners counts."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import check_config
from model_handlers.pack import Pack
from pipelines.nightly.main_job import new_run
from pipelines.nightly.measures import Sums
from pipelines.nightly.remote import build_single
from pipelines.telling.settings import resolve
from pipelines.telling.steps import make_steps
from transforms.metrics import COUNTERS, DISTRIBUTIONS, count, measure

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "counters.md"
SMALL = {"captions_per_photo": 5, "beam_width": 2, "max_words": 10, "device": "cpu", "style": "romance,swift"}
OF_THE_MACHINE = re.compile(r".*_msecs|bytes_written|decoder_starts|decoder_restarts|captions_encoded|.*batch_size")


def counted(number: int) -> int:
    count("photos", number)
    measure("pixels", number)
    return number


def test_sums_of_several_pipelines_and_steps() -> None:
    sums = Sums()
    assert sums.totals() == {"counters": {}, "distributions": {}}
    for numbers in ([3, 5], [], [1, 9]):
        root = beam.Pipeline("FnApiRunner")
        _ = root | beam.Create(numbers) | "First" >> beam.Map(counted) | "Second" >> beam.Map(counted)
        sums.add(root.run().metrics())
    sums.count("outcomes_deferred", 4)
    sums.count("outcomes_story", 0)
    assert sums.totals() == {
        "counters": {"outcomes_deferred": 4, "photos": 36},
        "distributions": {"pixels": {"count": 8, "sum": 36, "min": 1, "max": 9}},
    }


def pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    text = "|".join(re.sub("STAGE|ERROR|OUTCOME", r"\\w+", name) for name in names)
    return re.compile(text)


def test_a_run_keeps_what_its_waves_counted(
    run_job: Any, photo_pack: Pack, output: Any, tmp_path: Path, make_photo: Any
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        (photos / f"{number}.{make_photo(number).ending}").write_bytes(make_photo(number).data)
    (photos / "bad.jpg").write_bytes(b"text")
    (photos / "notes.txt").write_bytes(b"text")
    options = {"input": [str(photos)], "output": output.location, "pack": photo_pack.location, **SMALL}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if name != "input"]
    code, _, errors = run_job(f"--input={photos}", "--wave-size=2", "--deadline=1h", *flags)
    assert code == 0, errors
    (manifest,) = output.manifests
    metrics = manifest["metrics"]
    counters, distributions = metrics["counters"], metrics["distributions"]
    assert all(pattern(COUNTERS).fullmatch(name) for name in counters)
    assert all(pattern(DISTRIBUTIONS).fullmatch(name) for name in distributions)
    outcomes = {name.removeprefix("outcomes_"): counters[name] for name in counters if name.startswith("outcomes_")}
    assert outcomes == manifest["counts"] == {"story": 6, "dead_letter": 2, "ignored": 2}
    assert counters["photos"] == 4 and counters["dead_letters_decode_NotAnImage"] == 1
    sizes = [make_photo(number).width * make_photo(number).height for number in range(3)]
    assert distributions["pixels"] == {"count": 3, "sum": sum(sizes), "min": min(sizes), "max": max(sizes)}
    rows = output.rows("stories")
    assert distributions["story_words"]["sum"] == sum(row["words"] for row in rows)
    best = [round(1e6 * row["captions"][0]["similarity"]) for row in rows if row["style"] == "swift"]
    told = {"count": 3, "sum": sum(best), "min": min(best), "max": max(best)}
    assert distributions["similarity_millionths"] == pytest.approx(told, abs=3)
    for stage, items in {"features": 3, "captions": 3, "story": 6}.items():
        assert distributions[f"{stage}_batch_size"]["sum"] == items
        assert distributions[f"{stage}_batch_msecs"]["count"] == distributions[f"{stage}_batch_size"]["count"] == 2
    assert distributions["sentences_batch_size"]["sum"] >= 1
    assert counters["captions_encoded"] == len({one["caption"] for row in rows for one in row["captions"]})
    assert distributions["bytes_written"]["sum"] == sum(file["bytes"] for file in manifest["files"])

    settings = resolve(check_config(options | {"output": f"{output.location} single"}))
    root = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    build_single(root, new_run(settings), settings, make_steps(settings, {}))
    single = Sums()
    single.add(root.run().metrics())
    alone = without_machine(single.totals())
    assert alone["counters"] == without_machine(metrics)["counters"]
    assert alone["distributions"].keys() == without_machine(metrics)["distributions"].keys()
    for name, sums in alone["distributions"].items():
        assert sums == pytest.approx(distributions[name], abs=6), name  # batches of other shapes round differently


def without_machine(metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        kind: {name: value for name, value in found.items() if not OF_THE_MACHINE.fullmatch(name)}
        for kind, found in metrics.items()
    }


def test_late_photos_are_counted_as_deferred(run_job: Any, write_features: Any, story_pack: Pack, output: Any) -> None:
    features = write_features([(f"photo {place}", [1.0] * 4096) for place in range(3)])
    places = (f"--features={features}", f"--output={output.location}", f"--pack={story_pack.location}")
    assert run_job(*places, "--deadline=0s")[0] == 0
    assert output.manifests[0]["metrics"]["counters"] == {"outcomes_deferred": 3}


def test_the_page_explains_each_name() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\w+)` \| (counter|distribution) \|", page, re.MULTILINE)
    assert named == [(name, "counter") for name in COUNTERS] + [(name, "distribution") for name in DISTRIBUTIONS]
    assert "`storyteller`" in page
    assert Counter(name for name, _ in named).most_common(1)[0][1] == 1
