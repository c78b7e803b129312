"""What `pipelines.run` does: check everything, process the photos, commit, and print a summary."""

from dataclasses import asdict
from datetime import datetime

from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import ConfigError, RunConfig
from model_handlers.pack import check_unchanged
from model_handlers.pack_card import PackError
from pipelines.cli.commands import EndingTexts, ExitCode, run_command
from pipelines.cli.flags import DESCRIPTION, program
from pipelines.cli.logs import name_run
from pipelines.cli.options import log_format_of, parse
from pipelines.cli.packs_at_hand import POCKET
from pipelines.cli.progress import log_dead_letters, report_end, show_progress
from pipelines.cli.runners import container_problems, is_local, place_problems, sees_local_files
from pipelines.nightly.deadlines import deadline_of, end_of_processing, waves_in_time, write_deferred
from pipelines.nightly.measures import Sums
from pipelines.nightly.remote import run_single
from pipelines.nightly.selection import Task, collect, count_photos, listed_sources, source_problems
from pipelines.nightly.waves import cut_into_waves, remove_scratch, run_waves
from pipelines.nightly.workers import worker_threads
from pipelines.tables.commits import Run, commit, new_id, now, start
from pipelines.tables.leases import hold
from pipelines.tables.manifests import last_number, read_all_manifests
from pipelines.telling.settings import Settings, photo_patterns, resolve
from pipelines.telling.steps import make_steps
from transforms.redaction import settings_without_secrets

TEXTS = EndingTexts(
    "The job was not started:", "Stopped; nothing was published", "The run failed; nothing was published"
)


def main(argv: list[str]) -> int:
    """Runs the main job and returns its exit code.

    0 is published, 1 failed, 2 wrong configuration, 3 too many dead letters, 4 commit conflict.
    """
    return run_command(_run, argv, TEXTS, log_format_of(argv))


def _run(argv: list[str]) -> int:
    config, options = parse(argv, program("run"), DESCRIPTION)
    settings = check(config, options)
    try:
        process_photos(settings, options)
    except PackError as error:  # the pack was valid when the run started
        raise RuntimeError("the run cannot go on with its pack") from error
    return ExitCode.DONE


def check(config: RunConfig, options: PipelineOptions) -> Settings:
    """Returns the settings, after checking everything that can be checked before a pipeline is built.

    Raises:
        ConfigError: lists every problem.
    """
    problems = runner_problems(options, config) + container_problems(options) + source_problems(config)
    try:
        settings = resolve(config, remote=not sees_local_files(options))
    except ConfigError as error:
        already = any(problem.startswith("--pack") for problem in problems)
        problems += [problem for problem in error.problems if not (already and problem.startswith("--pack"))]
    if problems:
        raise ConfigError(problems)
    return settings


def runner_problems(options: PipelineOptions, config: RunConfig) -> list[str]:
    """Returns the problems with this runner, and each local path that its workers cannot see."""
    named = [("--input", path) for path in photo_patterns(config)] + [("--uris", path) for path in config.uris]
    named += [("--features", config.features or ""), ("--output", config.output), ("--pack", config.pack or POCKET)]
    return place_problems(options, named)


def gpu_hints(options: PipelineOptions, config: RunConfig) -> dict[str, str]:
    """Returns the resource hints of the GPU steps; none for local runs, or if the device is the CPU."""
    if config.device == "cpu" or sees_local_files(options):
        return {}
    return {"accelerator": config.accelerator}


def process_photos(settings: Settings, options: PipelineOptions) -> None:
    """Runs the job and prints its summary.

    Raises:
        TooManyDeadLettersError: the ratio of dead letters is over the limit.
        CommitConflictError: another run is processing the same photos, or committed them.
    """
    config = settings.config
    run = new_run(settings)
    name_run(run.run_id)
    hints = gpu_hints(options, config)
    if not is_local(options):
        run_single(run, settings, make_steps(settings, hints, deadline=end_of_processing(run)), options)
        return
    with hold(run.output, run.run_id, listed_sources(config)):
        tasks, settled = collect(settings, run)
        start(run)
        photos = count_photos(tasks)
        end = end_of_processing(run, photos * len(settings.styles))
        steps = make_steps(settings, hints, worker_threads(options), end)
        progress = show_progress(photos, config.log_format)
        late: list[Task] = []
        sums = Sums()
        try:
            waves = waves_in_time(cut_into_waves(tasks, config.wave_size), end, late)
            files = run_waves(run, steps, waves, settled, options, config.shards or 1, progress, sums)
            log_dead_letters(run.output, map(asdict, files))
            deferred = write_deferred(run, late)
            check_unchanged(settings.pack.location, settings.pack.digest)
            sums.count("outcomes_deferred", sum(file.rows for file in deferred))
            manifest = commit(run, files + deferred, sums.totals())
        finally:
            progress.close()
            remove_scratch(run)
    report_end(config.output, manifest)


def new_run(settings: Settings) -> Run:
    """Returns a new run, with an id that sorts by time."""
    pack, networks = settings.pack, settings.networks()
    started, deadline = now(), settings.config.deadline
    return Run(
        output=settings.config.output,
        run_id=new_id(),
        started=started,
        settings=settings_without_secrets(settings.used()),
        settings_digest=settings.digest,
        pack={"location": pack.location, "name": pack.name, "digest": pack.digest},
        max_dead_letter_ratio=settings.config.max_dead_letter_ratio,
        after=last_number(read_all_manifests(settings.config.output)),
        networks=asdict(networks) if networks else {},
        deadline=deadline_of(deadline, datetime.fromisoformat(started)).isoformat() if deadline else "",
    )
