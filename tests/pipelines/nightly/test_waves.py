"""Waves: cut evenly, reported through files, cleaned up after."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.nightly import waves
from pipelines.nightly.graph import OutputPlace
from pipelines.nightly.measures import Sums
from pipelines.nightly.waves import _chunks, cut_into_waves, read_report, remove_scratch, write_report
from pipelines.tables.commits import Run
from transforms.encode_sentences import Texts, write_chunk
from transforms.records import Listing
from transforms.write import FileRecord


def tasks(count: int) -> list[Any]:
    return [(Listing(str(place), 1, "1"), None) for place in range(count)]


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(0, 5, [0]), (1, 5, [1]), (5, 5, [5]), (6, 5, [5, 1]), (10, 5, [5, 5]), (3, 1, [1] * 3)],
)
def test_waves_hold_every_task_once(count: int, size: int, sizes: list[int]) -> None:
    waves = list(cut_into_waves(iter(tasks(count)), size))
    assert [len(wave) for wave in waves] == sizes
    assert [task for wave in waves for task in wave] == tasks(count)


@pytest.mark.parametrize("scheme", ["", "memory:/"])
def test_reports_come_back(tmp_path: Path, scheme: str) -> None:
    uri = f"{scheme}{tmp_path}/scratch [1]/wave-0-files.json"
    records = [
        FileRecord("ledger", "runs/é/x.parquet", 3, "sha", 99, (("dead_letter", 1), ("story", 2))),
        FileRecord("stories", "runs/é/y.parquet", 2, "sha", 98),
    ]
    write_report(records, uri)
    assert read_report(uri) == records
    write_report([], uri)
    assert read_report(uri) == []


@pytest.mark.parametrize("output", ["out", "out [1]*", "memory://waves/out"])
def test_chunks_of_earlier_waves_are_found(tmp_path: Path, output: str) -> None:
    work = output if "://" in output else str(tmp_path / output)
    assert _chunks(work) == []
    written = []
    for wave in (1, 0):
        key = ("00003-00000", Texts(["a"]))
        written.append(write_chunk((key, [[1.0]]), f"{work}/wave-{wave:05d}-sentences-"))
        write_report([], f"{work}/wave-{wave:05d}-files.json")
    assert _chunks(work) == sorted(written)


@pytest.mark.parametrize("place", ["file", "memory"])
def test_work_is_removed_and_nothing_else(tmp_path: Path, place: str) -> None:
    output = str(tmp_path) if place == "file" else "memory://waves/removed"
    run = Run(output, "night", "", {}, "", {}, 0.25)
    remove_scratch(run)  # there is none
    for name in ("scratch/deep/a.json", "started.json"):
        filesystem, path = fsspec.core.url_to_fs(f"{output}/runs/night/{name}")
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        filesystem.pipe_file(path, b"x")
    remove_scratch(run)
    filesystem, path = fsspec.core.url_to_fs(f"{output}/runs/night")
    assert [name.rpartition("/")[2] for name in filesystem.find(path)] == ["started.json"]


@pytest.mark.parametrize("output", ["", "file://", "memory://"])
@pytest.mark.parametrize("fails", [False, True])
def test_waves_share_a_folder_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, fails: bool
) -> None:
    """Each wave sees the chunks of those before, and reads none of them from a bucket."""
    run = Run(f"{output}{tmp_path}", "night", "", {}, "", {}, 0.25)
    seen: list[tuple[str, ...]] = []
    tables = []

    def tell(wave: Any, settled: Any, parts: Any, place: OutputPlace, *_: Any) -> list[FileRecord]:
        seen.append(place.known)
        tables.append(place.chunks.get())
        tables[-1].add(place.known)
        write_chunk((("0-0", Texts(["a"])), [[1.0]]), f"{place.scratch}/wave-{len(seen)}-sentences-")
        if fails and len(seen) == 3:
            raise RuntimeError("the third wave fails")
        return []

    monkeypatch.setattr(waves, "_run_wave", tell)
    parts: Any = None
    progress, sums = SimpleNamespace(advance=lambda *_: None), Sums()
    with pytest.raises(RuntimeError) if fails else nullcontext():
        waves.run_waves(run, parts, [tasks(1)] * 3, [], PipelineOptions([]), 1, progress, sums)  # type: ignore[arg-type]
    assert [len(known) for known in seen] == [0, 1, 2]
    assert tables[0] is tables[1] is tables[2] and not tables[0].holds("a"), "the disk space goes with the run"
    folder = Path(seen[-1][0].removeprefix("file://")).parent
    assert folder.is_absolute() and folder.exists() == (output != "memory://"), "what is not in OUTPUT goes at once"
    assert (folder == tmp_path / "runs/night/scratch") == (output != "memory://")
    assert not fsspec.filesystem("memory").exists(f"{tmp_path}/runs")
