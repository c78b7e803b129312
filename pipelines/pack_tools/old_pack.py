"""The pack that a new one is made from: opening it, and the parts of its card that remain true."""

from collections.abc import Collection
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import ConfigError
from model_handlers.handler import Placement, resolve_device
from model_handlers.pack import Pack
from model_handlers.run_errors import DeviceError
from pipelines.cli.runners import sees_local_files


def open_pack(location: str, component: str, device: str, options: PipelineOptions) -> tuple[Pack, Placement]:
    """Returns a pack that has the component, and the placement for a handler.

    Raises:
        ConfigError: the runner or the device cannot be used.
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


def name_problems(name: str) -> list[str]:
    """Returns what is wrong with the name of a style or decoder, which becomes a file name."""
    fits = name.replace("-", "").replace("_", "").isalnum()
    return [] if fits else [f"--name {name!r}: may only have letters, digits, - and _"]


def quality_without(pack: Pack, tasks: Collection[str]) -> dict[str, Any]:
    """Returns the card's measured quality without the tasks whose figures no longer hold after a change."""
    return {task: figures for task, figures in pack.card.get("quality", {}).items() if task not in tasks}
