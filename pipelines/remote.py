"""Runs elsewhere: one pipeline that lists, tells and, as its last step, commits."""

import posixpath
import sys
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import fsspec
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import PCollection
from apache_beam.runners.runner import PipelineState

from model_handlers.packs import check_unchanged
from pipelines.commits import (
    CommitConflictError,
    Run,
    TooManyDeadLettersError,
    commit,
    comparable,
    done_in,
    start,
)
from pipelines.job import Parts, Target, build
from pipelines.leases import release, release_run, take
from pipelines.manifests import read_manifests
from pipelines.output_tools import duration
from pipelines.progress import summary
from pipelines.settings import Settings
from pipelines.sources import Task, allowed, feature_photo, feature_tasks, listed_sources, photo_patterns
from pipelines.waves import remove_scratch
from transforms.anti_join import SETTLED, Settled, TakeOutDone
from transforms.read_photos import LISTED, ReadPhotos, key_by_uri
from transforms.records import Listing
from transforms.write import FileRecord

SHARDS = 32
REFUSALS = {"TooManyDeadLettersError": TooManyDeadLettersError, "CommitConflictError": CommitConflictError}


def run_single(run: Run, settings: Settings, parts: Parts, options: PipelineOptions) -> None:
    """Submits the job, waits for its end and prints what it committed.

    Raises:
        TooManyDeadLettersError: the ratio was over the limit.
        CommitConflictError: another run tells, or committed, the same photos.
        RuntimeError: the job failed.
    """
    lease = take(run.output, run.run_id, listed_sources(settings.config), duration(settings.config.lease))
    result = None
    try:
        start(run)
        print(f"Run {run.run_id} is submitted; it commits to {run.output} by itself.", file=sys.stderr)
        with_pipeline = beam.Pipeline(options=options)
        build_single(with_pipeline, run, settings, parts)
        result = with_pipeline.run()
        state = result.wait_until_finish()
    except Exception as error:
        if result is None or PipelineState.is_terminal(result.state):
            release(lease)
        _raise_refusal(run, error)
        raise
    if state not in (None, PipelineState.DONE):
        release(lease)
        _raise_refusal(run, None)
        raise RuntimeError(f"the job of run {run.run_id} ended as {state}")
    manifests = [manifest for manifest in read_manifests(run.output) if manifest["run_id"] == run.run_id]
    if not manifests:
        print(f"The runner says that the job is done, but {run.output} has no manifest of it yet.", file=sys.stderr)
        return
    print(summary(run.output, manifests[0]))


def build_single(root: beam.Pipeline, run: Run, settings: Settings, parts: Parts) -> None:
    """Wires the whole job into one pipeline, with the commit as its last step."""
    config, styles = settings.config, tuple(settings.styles)
    target = Target(run.output, f"{run.folder}/", run.scratch, config.shards or SHARDS)
    earlier = [manifest["number"] for manifest in read_manifests(run.output) if comparable(run, manifest)]
    done = (
        root
        | "Name earlier runs" >> beam.Create([part for place in range(SHARDS) if (part := earlier[place::SHARDS])])
        | "Read their ledgers" >> beam.FlatMap(read_done, run.output)
    )
    features = None
    if config.features:
        tasks = root | "Name feature file" >> beam.Create([config.features]) | "Read it" >> beam.FlatMap(feature_tasks)
        fresh = tasks | "Take listings" >> beam.Map(listing_of) | "Take out done" >> TakeOutDone(done, styles)
        features = _join_features(tasks, fresh[LISTED])
    else:
        listings = root | "Read photos" >> ReadPhotos(photo_patterns(config), config.uris, allowed(config))
        fresh = listings | "Take out done" >> TakeOutDone(done, styles)
    records = build(fresh[LISTED], features, fresh[SETTLED], parts, target)
    gathered = records | "Gather report" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
    _ = gathered | "Commit" >> beam.Map(commit_or_refuse, run)


def _join_features(tasks: PCollection[Task], listings: PCollection[Listing]) -> PCollection[Any]:
    """Returns (Photo, feature) of the vectors whose names are still to be told."""
    joined = {
        "tasks": tasks | "Key vectors" >> beam.Map(key_task),
        "listings": listings | "Key fresh" >> beam.Map(key_by_uri),
    } | "Join vectors" >> beam.CoGroupByKey()
    return joined | "Give vectors" >> beam.FlatMap(fresh_features)


def read_done(numbers: list[int], output: str) -> Iterator[Settled]:
    """Yields what the committed runs of some numbers have settled."""
    for manifest in read_manifests(output):
        if manifest["number"] in numbers:
            yield from done_in(output, manifest)


def listing_of(task: Task) -> Listing:
    """Returns the listing of a feature vector."""
    return task[0]


def key_task(task: Task) -> tuple[bytes, Task]:
    """Returns a feature vector behind its uri."""
    return task[0].uri.encode(), task


def fresh_features(element: tuple[bytes, dict[str, Any]]) -> Iterator[Any]:
    """Yields (Photo, feature) where the uri is still to be told, of the version that was listed."""
    _, groups = element
    vectors = {listing.version: feature for listing, feature in groups["tasks"]}
    for listing in groups["listings"]:
        yield feature_photo((listing, vectors[listing.version]))


def commit_or_refuse(files: list[FileRecord], run: Run) -> None:
    """Commits the run; where it must not be, leaves the reason for the driver, whose runner keeps no error's class."""
    try:
        check_unchanged(run.pack["location"], run.pack["digest"])
        commit(run, files)
    except (TooManyDeadLettersError, CommitConflictError) as error:
        filesystem, path = fsspec.core.url_to_fs(_refusal(run))
        filesystem.pipe_file(path, f"{type(error).__name__}\n{error}".encode())
        raise
    finally:
        remove_scratch(run)
        release_run(run.output, run.run_id)


def _refusal(run: Run) -> str:
    return posixpath.join(run.output, run.folder, "refused.txt")


def _raise_refusal(run: Run, cause: Exception | None) -> None:
    """Raises the reason that the commit step left, if it did."""
    filesystem, path = fsspec.core.url_to_fs(_refusal(run))
    if filesystem.exists(path):
        kind, _, message = filesystem.cat_file(path).decode().partition("\n")
        raise REFUSALS[kind](message) from cause
