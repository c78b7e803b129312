"""Beam's runners that may be used, and what each of them needs."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from apache_beam.options.pipeline_options import (
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)

CODE_ONLY = "STORYTELLER_CODE_ONLY"  # read by setup.py
LOCAL = ("FnApiRunner", "DirectRunner", "SwitchingDirectRunner", "PrismRunner")
SINGLE = ("PortableRunner", "DataflowRunner", "FlinkRunner", "SparkRunner")
REFUSED = {
    "DaskRunner": "it drops branches and the last batch of a bundle, so photos would be lost in a job that says DONE",
    "BundleBasedDirectRunner": "it cannot run this pipeline's steps",
    "RayRunner": "its runner for Beam is broken",
    "InteractiveRunner": "it caches every step's elements; use pipelines.story in notebooks",
}


def runner_name(options: PipelineOptions) -> str:
    """Returns the runner's class name."""
    return str(options.view_as(StandardOptions).runner or "FnApiRunner").rsplit(".", 1)[-1]


def is_local(options: PipelineOptions) -> bool:
    """Returns whether the runner is local, so that the driver runs the waves one after another."""
    return runner_name(options) in LOCAL


def sees_local_files(options: PipelineOptions) -> bool:
    """Returns whether the workers share this machine's disk."""
    if is_local(options):
        return True
    portable = options.view_as(PortableOptions)
    if runner_name(options) != "PortableRunner":
        return False
    if portable.environment_type == "EXTERNAL":
        return bool(re.match(r"(localhost|127\.|\[::1\])", portable.environment_config or ""))
    return bool(portable.environment_type == "LOOPBACK")


def place_problems(options: PipelineOptions, named: list[tuple[str, str]]) -> list[str]:
    """Returns why this runner is refused, or the local paths among (flag, path) that its workers cannot see."""
    name = runner_name(options)
    if name in REFUSED:
        return [f"--runner={name} is refused: {REFUSED[name]}. Use {', '.join(LOCAL[:2] + SINGLE[:2])}"]
    if name not in LOCAL + SINGLE:
        return [f"--runner={name} is not known to be safe from data loss; use {', '.join(LOCAL[:2] + SINGLE[:2])}"]
    if sees_local_files(options):
        return []
    return [
        f"{flag} {path}: a local path, which the workers of {name} cannot see; copy it to gs:// or another store"
        for flag, path in named
        if path and ("://" not in path or path.startswith("file://"))
    ]


def container_problems(options: PipelineOptions) -> list[str]:
    """Returns what is missing for a Dataflow job's workers to have this project's code."""
    if runner_name(options) != "DataflowRunner":
        return []
    if options.view_as(WorkerOptions).sdk_container_image:
        return []
    setup = options.view_as(SetupOptions)
    if setup.setup_file or setup.extra_packages:
        return []
    return ["--sdk_container_image or --setup_file is needed, so that Dataflow workers have this project's code"]


@contextmanager
def staging_code_only() -> Iterator[None]:
    """Makes setup.py omit packs and photos from the sdist that Beam builds for `--setup_file` in this context."""
    os.environ[CODE_ONLY] = "1"
    try:
        yield
    finally:
        del os.environ[CODE_ONLY]
