"""The command as people run it, at tiny sizes."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import frameworks, jobs, networks, photos, run
from benchmarks.bench import TINY, Bench, LeftOut
from benchmarks.checks import Check
from benchmarks.frameworks import Task
from benchmarks.results import Result
from benchmarks.timing import Timed
from model_handlers.families.gru_decoder import GruDecoder
from model_handlers.features import FeatureHandler
from model_handlers.handler import Placement
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from transforms.load_images import LoadImages

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))


@pytest.fixture(scope="session")
def pocket(work: Path) -> Pack:
    """Returns the pocket pack with few captions, which the original embeds at its start."""
    base = Pack.open(str(ROOT / "packs" / "pocket"))
    writer = PackWriter(str(work / "pocket"), base)
    writer.components["captions"] = {"texts": writer.add_lines("captions.txt", base.lines("captions.txt")[:20])}
    return writer.finish()


@pytest.fixture
def bench(work: Path, random: Pack, pocket: Pack) -> Bench:
    return Bench(TINY, 1, 1, work, Path(pocket.location), SAMPLES)


def call(work: Path, *options: str) -> int:
    return run.main([f"--work={work}", "--scale=tiny", "--rounds=2", "--threads=1", *options])


def test_stages_of_the_networks(work: Path, random: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, page = tmp_path / "figures.json", tmp_path / "report.md"
    stages = "--stages=retrieval,sentences,beam_search"
    assert call(work, stages, f"--json={file}", f"--markdown={page}") == 0
    told = json.loads(file.read_text())
    assert told.keys() == {"format", "machine", "rounds", "scale", "stages", "left_out"}
    assert told["machine"]["threads"] == 1 and "torch" in told["machine"]
    assert [stage["stage"] for stage in told["stages"]] == ["retrieval", "sentences", "look_up", "beam_search"]
    for stage in told["stages"]:
        assert all(len(figures) == 2 and min(figures) > 0 for figures in stage["figures"].values())
        assert stage["ratios"].keys() == stage["figures"].keys() - {"product"}
        assert stage["targets"] == {}
    assert {stage["check"]["compared"] for stage in told["stages"][:2]} == {2 * TINY.original, 3 + 2 + 2 * 4 - 1}
    assert page.read_text() in capsys.readouterr().out
    assert "| beam_search (tiny) |" in page.read_text()


def test_another_story_is_told_and_ends_with_1(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    search = GruDecoder.search
    monkeypatch.setattr(GruDecoder, "search", lambda self, contexts, width: search(self, contexts.flip(0), width))
    assert call(work, "--stages=beam_search") == run.DIFFERENT
    assert "DIFFERENT: photo 0: another text" in capsys.readouterr().out


def test_rows_are_counted(work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    step = networks.take_means
    monkeypatch.setattr(networks, "take_means", lambda *args: [step(*args) for _ in range(2)])
    assert call(work, "--stages=sentences") == run.DIFFERENT
    assert "encoder rows of three photos with the same captions: 8, not 4" in capsys.readouterr().out


def test_all_wrong_options_are_told_at_once(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ("--stages=start,stop", "--photos=/nowhere", "--pack=/nowhere", "--rounds=0", "--json=/nowhere/a.json")
    assert call(work, *wrong) == run.WRONG_OPTIONS
    said = capsys.readouterr().err
    for part in (
        "no stage 'stop'; there are beam_search, ",
        "--photos /nowhere: no",
        "--pack /nowhere: no",
        "--rounds must",
    ):
        assert part in said
    assert "--json /nowhere/a.json: its folder is not there" in said
    with pytest.raises(SystemExit) as end:
        call(work, "--no-such-option")
    assert end.value.code == run.WRONG_OPTIONS


def test_targets_are_told_at_the_originals_sizes_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    result = Result("x", "tiny", "photo", {"product": [1.0]}, {"limit": 1.0}, 5.0)
    monkeypatch.setitem(run.STAGES, "x", lambda bench: iter([result]))
    ((told,), _, _) = run.measure(bench, ["x"])
    assert told.targets == {} and told.most_seconds is None


def test_stage_that_cannot_run_is_left_out(bench: Bench) -> None:
    bench.photos = []
    results, left_out, failed = run.measure(bench, ["decode", "features", "end_to_end", "two_processes"])
    assert results == [] and not failed and left_out.keys() == {"decode", "features", "end_to_end", "two_processes"}
    assert all("--photos" in why for why in left_out.values())


def test_stage_that_fails_costs_no_other_its_figures(
    work: Path, random: Pack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(bench: Bench) -> Iterator[Result]:
        yield Result("first", "tiny", "photo", {"product": [1.0]})
        raise RuntimeError("no luck")

    monkeypatch.setitem(run.STAGES, "start", fail)
    assert call(work, "--stages=start,retrieval") == run.DIFFERENT
    printed = capsys.readouterr()
    assert "| first (tiny) |" in printed.out and "| retrieval (tiny) |" in printed.out
    assert "- start was left out: it failed: RuntimeError: no luck" in printed.out and "Traceback" in printed.err


def test_missing_frameworks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frameworks, "find_spec", lambda package: package == "torch")
    found, missing = frameworks.there()
    assert list(found) == ["data_loader"] and missing.keys() == {"ray", "ray_in_one_actor", "daft"}
    assert all(".[benchmarks]" in why for why in missing.values())


def test_pipeline_and_data_loader_see_the_same(random: Pack) -> None:
    paths = [str(path) for path in (*SAMPLES[:2], SAMPLES[0])]
    handler = FeatureHandler(Placement(random.location, random.digest, "cpu"), 2)
    recipe = random.component("features")["preprocessing"]
    ours = photos.by_pipeline(LoadImages(recipe), handler, paths)  # [N, F]
    check = Check()
    check.floats("features", ours, frameworks.by_data_loader(Task(random.location, 1, 2), paths))
    assert check.compared == 1 + 3 and not check.different
    np.testing.assert_allclose(ours[0], ours[2], atol=1e-6)
    assert np.abs(ours[0] - ours[1]).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ray", "ray_in_one_actor", "daft"])
def test_frameworks_see_the_same(random: Pack, name: str) -> None:
    installed, _ = frameworks.there()
    if name not in installed:
        pytest.skip(f"{name} is not installed")
    paths, task = [str(path) for path in SAMPLES[:3]], Task(random.location, 1, 2)
    with frameworks.ray_cluster(1):
        found = installed[name](task, paths)  # [N, F]
    check = Check()
    check.floats("features", found, frameworks.by_data_loader(task, paths))
    assert check.compared == 1 + 3 and not check.different


def test_frameworks_that_see_something_else_are_told(
    bench: Bench, random: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(task: Task, paths: list[str]) -> np.ndarray:
        return np.ones((len(paths), TINY.sizes.feature), np.float32)  # [N, F]

    monkeypatch.setattr(photos, "there", lambda: ({"blind": blind}, {"ray": "not installed"}))
    monkeypatch.setattr(photos, "ray_cluster", lambda threads: contextlib.nullcontext(0.5))
    result = next(photos.features(bench))
    assert result.figures.keys() == {"product", "blind", "forward", "limit"}
    assert result.starts.keys() == {"product", "blind"} and result.amounts["start of Ray"] == 0.5
    assert len(result.check.different) == TINY.seen[1] and result.left_out == {"ray": "not installed"}
    assert result.targets == {"forward": 0.9, "blind": 1.0}


def test_large_photos(tmp_path: Path) -> None:
    found = photos.large_photos(SAMPLES, 300_000)
    assert found.keys() == {"decode"} and 0 < len(found["decode"]) < len(SAMPLES)
    assert photos.large_photos(SAMPLES, 10**9) == {}


def test_decoding(bench: Bench, tmp_path: Path) -> None:
    with Image.open(SAMPLES[0]) as image:
        for name, progressive in (("large.jpg", False), ("progressive.jpg", True)):
            image.resize((2400, 1600)).save(tmp_path / name, progressive=progressive)
    bench.photos = [tmp_path / "large.jpg", tmp_path / "progressive.jpg"]
    results = list(photos.decode(bench))
    assert [result.stage for result in results] == ["decode", "decode_progressive"]
    for result in results:
        assert result.figures.keys() == {"product", "full", "limit"} and result.amounts["photos"] == 1
        assert photos.COSINE < result.amounts["least cosine"] < 1
    bench.scale = run.SCALES["original"]
    with pytest.raises(LeftOut, match="8,000,000 pixels"):
        next(photos.decode(bench))


def test_end_to_end_equals_the_original(bench: Bench) -> None:
    (result,) = jobs.end_to_end(bench)
    assert result.check.compared == 1 + 3 and result.check.different == []
    assert result.amounts == {"product": 3, "original": 1}


def test_processes_and_threads_are_shared_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[int, bool, int]] = []

    def tell(bench: Bench, threads: int, options: list[str], count: int) -> jobs.Rows:
        runs.append((threads, "--direct_num_workers=2" in options, count))
        cost = 20.0 + (threads == 4)  # which only the one process of all threads is given
        row = {"captions": [], "passage": "the sea .", "cost": cost}
        return {photo.name: row for photo in bench.photos[:count]}

    monkeypatch.setattr(jobs, "run_apart", tell)
    monkeypatch.setattr(jobs, "cores", lambda: 4)
    (result,) = jobs.two_processes(bench)
    few, many = TINY.run
    warm_up = [(2, True, few), (2, False, few), (4, False, few)]
    assert runs == warm_up + [(2, True, few), (2, True, many), (2, False, few), (2, False, many)] + [
        (4, False, few), (4, False, many),
    ]  # fmt: skip
    assert result.figures.keys() == {"product", "one_process_half_the_cores", "one_process_all_cores"}
    assert result.amounts["cores"] == 4 and result.notes[0].endswith("that of half, 4 in the other")
    assert len(result.check.different) == many


@pytest.mark.slow
def test_two_processes_tell_what_one_does(bench: Bench) -> None:
    ours = jobs.run_apart(bench, 1, jobs.TWO_WORKERS, 2)
    check = Check()
    jobs.check_rows(check, bench.pocket_pack, ours, jobs.run_here(bench, SAMPLES[:2]))
    assert check.compared == 1 + 2 * 3 and check.different == []


def test_rows_that_differ_are_told(pocket: Pack) -> None:
    captions = [{"caption": text, "similarity": 0.5} for text in pocket.lines("captions.txt")[:2]]
    one: dict[str, Any] = {"captions": captions, "passage": "the sea .", "cost": 20.0}
    check = Check()
    jobs.check_rows(check, pocket, {"a": one | {"passage": "the sun ."}}, {"a": one, "b": one})
    assert len(check.different) == 2
    assert check.different[0].startswith("photos without a story: ['b']") and "a: another text" in check.different[1]


@pytest.mark.slow
def test_start(bench: Bench) -> None:
    (result,) = networks.start(bench)
    assert result.check.different == [] and result.amounts["imports"] > 0


def test_timed_side_keeps_its_output() -> None:
    side = Timed(lambda: "done", 1)
    side.warm_up()
    assert side.output is None
    side.measure()
    assert side.output == "done"
