"""What `pipelines.run` does: check everything, tell the stories, commit, and say how it went."""

import logging
import sys

from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import ConfigError, RunConfig
from model_handlers.packs import check_unchanged
from pipelines.commits import (
    CommitConflictError,
    Run,
    TooManyDeadLettersError,
    commit,
    new_id,
    now,
    start,
)
from pipelines.failures import reason
from pipelines.job import make_parts
from pipelines.leases import hold
from pipelines.logs import log_without_secrets
from pipelines.manifests import last_number, read_all_manifests
from pipelines.options import parse
from pipelines.progress import Progress, summary
from pipelines.remote import run_single
from pipelines.runners import container_problems, gpu_hints, is_local, runner_problems, sees_local_files
from pipelines.settings import Settings, resolve
from pipelines.sources import collect, listed_sources, source_problems
from pipelines.waves import cut_into_waves, remove_scratch, run_waves, worker_threads
from transforms.redaction import settings_without_secrets, without_secrets

DESCRIPTION = "Tells a short story about each photo of a folder or bucket, and keeps them in Parquet."
FAILED, WRONG_CONFIG, TOO_MANY_DEAD_LETTERS, CONFLICT = 1, 2, 3, 4


def main(argv: list[str]) -> int:
    """Returns the exit code of the main job: 0 published, 1 failed, 2 wrong configuration, 3 too many dead letters,
    4 commit conflict."""
    log_without_secrets("%(levelname)s %(message)s")
    try:
        config, options = parse(argv, "python -m pipelines.run", DESCRIPTION)
        settings = check(config, options)
        tell_stories(settings, options)
    except ConfigError as error:
        problems = [f"  - {without_secrets(problem)}" for problem in error.problems]
        print("The job was not started:", *problems, sep="\n", file=sys.stderr)
        return WRONG_CONFIG
    except TooManyDeadLettersError as error:
        print(error, file=sys.stderr)
        return TOO_MANY_DEAD_LETTERS
    except CommitConflictError as error:
        print(error, file=sys.stderr)
        return CONFLICT
    except KeyboardInterrupt:
        print("Stopped; nothing was published", file=sys.stderr)
        return FAILED
    except Exception as error:  # the one place where a bug, or what no retry helps, ends the process
        told = reason(error)
        if told is None:
            logging.exception("The run failed; nothing was published")
        else:
            print(f"The run failed; nothing was published: {without_secrets(told)}", file=sys.stderr)
        return FAILED
    return 0


def check(config: RunConfig, options: PipelineOptions) -> Settings:
    """Returns the settings, after looking for everything that can be wrong before a pipeline is built.

    Raises:
        ConfigError: lists all of it.
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


def tell_stories(settings: Settings, options: PipelineOptions) -> None:
    """Runs the job and prints its summary.

    Raises:
        TooManyDeadLettersError: the ratio is over the limit.
        CommitConflictError: another run tells, or committed, the same photos.
    """
    config = settings.config
    run = new_run(settings)
    local = is_local(options)
    parts = make_parts(settings, gpu_hints(options, config), worker_threads(options) if local else None)
    if not local:
        run_single(run, settings, parts, options)
        return
    with hold(run.output, run.run_id, listed_sources(config)):
        tasks, settled = collect(settings, run)
        start(run)
        progress = Progress(len(tasks))
        try:
            waves = cut_into_waves(tasks, config.wave_size)
            files = run_waves(run, parts, waves, settled, options, config.shards or 1, progress)
            check_unchanged(settings.pack.location, settings.pack.digest)
            manifest = commit(run, files)
        finally:
            progress.close()
            remove_scratch(run)
    print(summary(config.output, manifest))


def new_run(settings: Settings) -> Run:
    """Returns a new run under a name that sorts by time."""
    pack = settings.pack
    return Run(
        output=settings.config.output,
        run_id=new_id(),
        started=now(),
        settings=settings_without_secrets(settings.used()),
        settings_digest=settings.digest,
        pack={"location": pack.location, "name": pack.name, "digest": pack.digest},
        max_dead_letter_ratio=settings.config.max_dead_letter_ratio,
        after=last_number(read_all_manifests(settings.config.output)),
    )
