"""Plans a night: lists the photos, measures a sample on this machine, and reports both."""

import time
from typing import Any

from configs.schema import ConfigError
from model_handlers.handler import check_precision, resolve_device
from model_handlers.run_errors import DeviceError
from pipelines.nightly.main_job import new_run
from pipelines.planning.estimate import estimate
from pipelines.planning.listing import look
from pipelines.planning.plan_figures import Night, Wanted, bank_size, make_report
from pipelines.planning.sample import draw, measure
from pipelines.telling.one_photo import load_models
from pipelines.telling.settings import Settings


def plan_night(settings: Settings, photos: int, wanted: Wanted, local: bool) -> dict[str, Any]:
    """Returns what the main job would take with these settings.

    Args:
        settings: settings of the job.
        photos: number of photos measured on this machine.
        wanted: workers, time and prices that the user asked for.
        local: whether the job would run on this machine.

    Raises:
        ConfigError: this machine lacks the device.
    """
    try:
        device = resolve_device(settings.config.device)
        check_precision(settings.config.precision, device)
    except DeviceError as error:
        raise ConfigError([f"--device: {error}; the networks are measured on this machine"]) from error
    begun = time.perf_counter()
    listed = look(settings, new_run(settings))
    seconds = time.perf_counter() - begun
    measured = measure(load_models(settings), draw(listed.tasks, photos))
    night = Night(settings, listed, measured, estimate(listed, measured, seconds, bank_size(settings)))
    return make_report(night, wanted, seconds, device.type, local)
