"""What the commands that make a new pack from an old one by a Beam pipeline share."""

import logging
from collections.abc import Callable, Collection
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import ConfigError
from model_handlers.handler import DEVICES, DeviceError, Placement, resolve_device
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from pipelines.cli.logs import log_without_secrets, say_problems
from pipelines.cli.options import StrictParser
from pipelines.cli.runners import sees_local_files


def command_parser(command: str, description: str, runs_networks: bool = True) -> StrictParser:
    """Returns a parser of the flags that all commands on packs share; `--device` where they run networks."""
    parser = StrictParser(prog=f"python -m pipelines.{command}", description=description, allow_abbrev=False)
    parser.add_argument("--pack", required=True, help="model pack to start from, a folder or URI; it stays as it is")
    parser.add_argument("--output", required=True, help="new folder for the new pack")
    if runs_networks:
        parser.add_argument("--device", choices=DEVICES, default="auto", help="where the network runs (default: auto)")
    return parser


def name_problems(name: str) -> list[str]:
    """Returns what is wrong with the name of a style or decoder, which becomes a file's."""
    fits = name.replace("-", "").replace("_", "").isalnum()
    return [] if fits else [f"--name {name!r}: letters, digits, - and _"]


def quality_without(pack: Pack, tasks: Collection[str]) -> dict[str, Any]:
    """Returns the card's measured quality without that of some tasks, which a change of the pack made untrue."""
    return {task: figures for task, figures in pack.card.get("quality", {}).items() if task not in tasks}


def run_command(job: Callable[[list[str]], str], argv: list[str], made: str = "pack") -> int:
    """Returns an exit code: 0, 2 where options, texts or pack are wrong, 1 where the pipeline failed.

    Args:
        job: does the work, and returns what to say of it.
        argv: its command line.
        made: what it makes.
    """
    log_without_secrets()
    try:
        print(job(argv))
    except (ConfigError, PackError) as error:
        say_problems(f"No {made} was made:", error.problems)
        return 2
    except Exception:
        logging.exception("The job failed; no %s was made", made)
        return 1
    return 0


def open_pack(location: str, component: str, device: str, options: PipelineOptions) -> tuple[Pack, Placement]:
    """Returns a pack that has the component, and where a handler is to run it.

    Raises:
        ConfigError: the runner or the device cannot do.
        PackError: the pack cannot be opened or lacks the component.
    """
    if not sees_local_files(options):
        raise ConfigError(
            ["--runner: this command needs a runner on this machine, such as FnApiRunner or DirectRunner"]
        )
    pack = Pack.open(location)
    pack.component(component)
    try:
        resolve_device(device)
    except DeviceError as error:
        raise ConfigError([f"--device: {error}"]) from error
    return pack, Placement(pack.location, pack.digest, device)
