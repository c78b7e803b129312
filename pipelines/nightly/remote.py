"""Runs on remote runners: one pipeline that lists and processes photos and, as its last step, commits."""

import logging
import posixpath
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import fsspec
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.pvalue import PCollection
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.combiners import ToListCombineFn

from model_handlers.pack import check_unchanged
from pipelines.cli.commands import duration
from pipelines.cli.logs import say
from pipelines.cli.progress import log_dead_letters, report_end
from pipelines.cli.runners import staging_code_only
from pipelines.nightly.graph import OutputPlace, build_from_photos, build_from_vectors
from pipelines.nightly.kept_runs import kept_files
from pipelines.nightly.selection import (
    Task,
    feature_photo,
    feature_tasks,
    identify_vector,
    limits_of,
    listed_sources,
    selection_of,
)
from pipelines.nightly.waves import remove_scratch
from pipelines.tables.commits import (
    Run,
    attempts_in,
    commit,
    comparable,
    start,
)
from pipelines.tables.leases import release, release_run, take
from pipelines.tables.manifests import read_manifests
from pipelines.tables.refusals import CommitConflictError, TooManyDeadLettersError
from pipelines.telling.settings import Settings, allowed, photo_patterns
from pipelines.telling.steps import PhotoSteps, Steps
from transforms.copies import FindCopies, JoinCopies
from transforms.due_photos import SETTLED, TakeOutDone
from transforms.due_rules import Attempt
from transforms.kept import FindKept, KeptPhoto, read_kept
from transforms.read_photos import LISTED, ReadPhotos, key_by_uri
from transforms.records import Listing, Networks
from transforms.write import FileRecord

SHARDS = 32
REFUSALS = {kind.code: kind for kind in (TooManyDeadLettersError, CommitConflictError)}


def run_single(run: Run, settings: Settings, steps: Steps, options: PipelineOptions) -> None:
    """Submits the job, waits for its end and prints what it committed.

    Raises:
        TooManyDeadLettersError: the ratio of dead letters is over the limit.
        CommitConflictError: another run is processing the same photos, or committed them.
        RuntimeError: the job failed.
    """
    lease = take(run.output, run.run_id, listed_sources(settings.config), duration(settings.config.lease))
    result = None
    try:
        start(run)
        say(f"Run {run.run_id} is submitted; it commits to {run.output} by itself.")
        with_pipeline = beam.Pipeline(options=options)
        build_single(with_pipeline, run, settings, steps)
        with staging_code_only():
            result = with_pipeline.run()
        if job := dataflow_job(result):
            say(f"Created job with id: [{job}]")  # the wording that Airflow's operator looks for
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
    if template := options.view_as(GoogleCloudOptions).template_location:
        say(f"The job of run {run.run_id} is written to {template}, for Dataflow to start.")
        return
    manifests = [manifest for manifest in read_manifests(run.output) if manifest["run_id"] == run.run_id]
    if not manifests:
        say(f"The runner says that the job is done, but {run.output} has no manifest of it yet.", logging.WARNING)
        return
    log_dead_letters(run.output, manifests[0]["files"])
    report_end(run.output, manifests[0])


def dataflow_job(result: Any) -> str | None:  # noqa: ANN401, each runner has a class of its own
    """Returns the id of a Dataflow job; None on other runners, or if the job was only written to a file."""
    return result.job_id() if getattr(result, "has_job", False) else None


def build_single(root: beam.Pipeline, run: Run, settings: Settings, steps: Steps) -> None:
    """Builds the whole job as one pipeline whose last step is the commit."""
    config = settings.config
    place = OutputPlace(run.output, f"{run.folder}/", run.scratch, config.shards or SHARDS)
    earlier = [manifest["number"] for manifest in read_manifests(run.output) if comparable(run, manifest)]
    attempts = (
        root
        | "Name earlier runs" >> beam.Create([part for place in range(SHARDS) if (part := earlier[place::SHARDS])])
        | "Read their ledgers" >> beam.FlatMap(read_attempts, run.output)
    )
    take_out = TakeOutDone(attempts, tuple(settings.styles), selection_of(config), not config.features)
    if isinstance(steps, PhotoSteps):
        listings = root | "Read photos" >> ReadPhotos(photo_patterns(config), config.uris, allowed(config))
        fresh = listings | "Take out done" >> take_out
        photos = fresh[LISTED]
        if steps.networks:
            photos = photos | "Find kept" >> FindKept(_kept(root, run, steps.networks), limits_of(config))
        photos = photos | "Find copies" >> FindCopies(config.max_bytes, allowed(config))
        records = build_from_photos(fresh[LISTED], photos, fresh[SETTLED], steps, place)
    else:
        tasks = root | "Name feature file" >> beam.Create([config.features]) | "Read it" >> beam.FlatMap(feature_tasks)
        fresh = tasks | "Take listings" >> beam.Map(listing_of) | "Take out done" >> take_out
        photos = fresh[LISTED] | "Identify" >> beam.Map(identify_vector) | "Join copies" >> JoinCopies()
        records = build_from_vectors(fresh[LISTED], _join_features(tasks, photos), fresh[SETTLED], steps, place)
    gathered = records | "Gather report" >> beam.CombineGlobally(ToListCombineFn())
    _ = gathered | "Commit" >> beam.Map(commit_or_refuse, run)


def _kept(root: beam.Pipeline, run: Run, networks: Networks) -> PCollection[KeptPhoto]:
    """Returns what earlier runs with the same networks kept of photos."""
    files = list(kept_files(run, networks, read_manifests(run.output)))
    photos: PCollection[KeptPhoto] = (
        root
        | "Name kept files" >> beam.Create(files)
        | "Spread kept files" >> beam.Reshuffle()
        | "Read kept names" >> beam.FlatMap(read_kept, run.output, networks)
    )
    return photos


def _join_features(tasks: PCollection[Task], listings: PCollection[Listing]) -> PCollection[Any]:
    """Returns (Photo, feature) of the vectors that are still to be processed."""
    joined = {
        "tasks": tasks | "Key vectors" >> beam.Map(key_task),
        "listings": listings | "Key fresh" >> beam.Map(key_by_uri),
    } | "Join vectors" >> beam.CoGroupByKey()
    features: PCollection[Any] = joined | "Give vectors" >> beam.FlatMap(fresh_features)
    return features


def read_attempts(numbers: list[int], output: str) -> Iterator[Attempt]:
    """Yields the attempts of committed runs, given by their numbers."""
    for manifest in read_manifests(output):
        if manifest["number"] in numbers:
            yield from attempts_in(output, manifest)


def listing_of(task: Task) -> Listing:
    """Returns the listing of a feature vector."""
    return task[0]


def key_task(task: Task) -> tuple[bytes, Task]:
    """Returns a feature vector keyed by its uri."""
    return task[0].uri.encode(), task


def fresh_features(element: tuple[bytes, dict[str, Any]]) -> Iterator[Any]:
    """Yields (Photo, feature) of the listed version of each uri that is still to be processed."""
    _, groups = element
    vectors = {listing.version: feature for listing, feature in groups["tasks"]}
    for listing in groups["listings"]:
        yield feature_photo((listing, vectors[listing.version]))


def commit_or_refuse(files: list[FileRecord], run: Run) -> None:
    """Commits the run; if it is refused, writes the reason for the driver, since runners lose the class of an error."""
    try:
        check_unchanged(run.pack["location"], run.pack["digest"])
        commit(run, files)
    except (TooManyDeadLettersError, CommitConflictError) as error:
        filesystem, path = fsspec.core.url_to_fs(_refusal(run))
        filesystem.pipe_file(path, f"{error.code}\n{error}".encode())
        raise
    finally:
        remove_scratch(run)
        release_run(run.output, run.run_id)


def _refusal(run: Run) -> str:
    return posixpath.join(run.output, run.folder, "refused.txt")


def _raise_refusal(run: Run, cause: Exception | None) -> None:
    """Raises the error whose reason the commit step wrote, if there is one."""
    filesystem, path = fsspec.core.url_to_fs(_refusal(run))
    if filesystem.exists(path):
        code, _, message = filesystem.cat_file(path).decode().partition("\n")
        raise REFUSALS[code](message) from cause
