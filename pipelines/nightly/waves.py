"""Runs on this machine: one pipeline a wave, progress after each wave, and one commit at the end."""

import json
import posixpath
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from itertools import islice
from typing import Any

import apache_beam as beam
import fsspec
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineRunner
from apache_beam.transforms.combiners import ToListCombineFn

from pipelines.cli.progress import Report
from pipelines.nightly.graph import OutputPlace, build_from_photos, build_from_vectors
from pipelines.nightly.measures import Sums
from pipelines.nightly.selection import Task, count_photos, feature_photo
from pipelines.nightly.workers import in_processes, run_watched
from pipelines.tables.commits import Run, count_outcomes
from pipelines.telling.steps import PhotoSteps, Steps
from transforms.chunk_tables import SharedChunks
from transforms.copies import each_listing
from transforms.records import Outcome
from transforms.uris import is_local
from transforms.write import FileRecord
from transforms.write_whole import write_whole


def cut_into_waves(tasks: Iterable[Task], size: int) -> Iterator[list[Task]]:
    """Yields the tasks in waves, at least one: an empty wave still writes the settled outcomes."""
    remaining = iter(tasks)
    wave = list(islice(remaining, size))
    yield wave
    while wave := list(islice(remaining, size)):
        yield wave


def run_waves(
    run: Run,
    steps: Steps,
    waves: Iterable[list[Task]],
    settled: Sequence[Outcome],
    options: PipelineOptions,
    shards: int,
    progress: Report,
    sums: Sums,
) -> list[FileRecord]:
    """Processes each wave and returns the records of all files; adds what the pipelines counted to `sums`."""
    files: list[FileRecord] = []
    chunks = SharedChunks()
    with closing(chunks.get()), scratch_here(run) as scratch:
        for number, wave in enumerate(waves):
            prefix = f"{run.folder}/wave-{number:05d}-"
            reuse = any(listing.kept for listing, _ in wave)
            place = OutputPlace(run.output, prefix, scratch, shards, tuple(_chunks(scratch)), reuse, chunks)
            records = _run_wave(wave, settled if number == 0 else [], steps, place, options, sums)
            files += records
            progress.advance(count_photos(wave), count_outcomes(records))
    return files


@contextmanager
def scratch_here(run: Run) -> Iterator[str]:
    """Yields a folder on this machine for files that are needed only during the run.

    If OUTPUT is remote, the folder is not in it: each wave has new worker processes, and each of them would fetch the
    sentence vectors of all earlier waves.
    """
    if is_local(run.output):
        yield run.scratch
        return
    with tempfile.TemporaryDirectory(prefix="storyteller-") as folder:
        yield folder


def _run_wave(
    wave: list[Task], settled: Sequence[Outcome], steps: Steps, place: OutputPlace, options: PipelineOptions, sums: Sums
) -> list[FileRecord]:
    report = posixpath.join(place.scratch, f"{posixpath.basename(place.prefix)}files.json")
    run_watched(options, partial(_process_wave, wave, settled, steps, place, options, sums, report))
    return read_report(report)


def _process_wave(
    wave: list[Task],
    settled: Sequence[Outcome],
    steps: Steps,
    place: OutputPlace,
    options: PipelineOptions,
    sums: Sums,
    report: str,
    runner: PipelineRunner | None,
) -> None:
    spread = in_processes(options)  # otherwise one process would get the whole wave
    with beam.Pipeline(runner, options=options) as root:
        listings = root | "Name photos" >> beam.Create([listing for listing, _ in wave], reshuffle=spread)
        due = listings | "Name copies" >> beam.FlatMap(each_listing)
        outcomes = root | "Name settled" >> beam.Create(list(settled), reshuffle=False)
        if isinstance(steps, PhotoSteps):
            records = build_from_photos(due, listings, outcomes, steps, place)
        else:
            vectors = root | "Give feature vectors" >> beam.Create(wave, reshuffle=spread)
            features = vectors | "Name vectors" >> beam.Map(feature_photo)
            records = build_from_vectors(due, features, outcomes, steps, place)
        gathered = records | "Gather report" >> beam.CombineGlobally(ToListCombineFn())
        _ = gathered | "Write report" >> beam.Map(write_report, report)
    sums.add(root.result.metrics())


def write_report(records: list[FileRecord], uri: str) -> None:
    """Writes a wave's file records for the driver to read."""
    write_whole(uri, json.dumps([asdict(record) for record in records]).encode())


def read_report(uri: str) -> list[FileRecord]:
    """Returns the file records that a wave wrote."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    return [_record(entry) for entry in json.loads(filesystem.cat_file(path))]


def _record(entry: dict[str, Any]) -> FileRecord:
    counts = tuple((outcome, count) for outcome, count in entry.pop("counts"))
    return FileRecord(**entry, counts=counts)


def _chunks(scratch: str) -> list[str]:
    """Returns the chunks of sentence vectors that earlier waves of the run wrote."""
    filesystem, path = fsspec.core.url_to_fs(scratch)
    try:
        names = [posixpath.basename(file) for file in filesystem.ls(path, detail=False, refresh=True)]
    except FileNotFoundError:
        return []
    found = sorted(name for name in names if "sentences-" in name and name.endswith(".json"))
    return [posixpath.join(scratch, name.removesuffix(".json")) for name in found]


def remove_scratch(run: Run) -> None:
    """Removes the files that were needed only during the run."""
    filesystem, path = fsspec.core.url_to_fs(run.scratch)
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)
