"""The cost of a night: the schema of a file with the user's own prices."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from configs.schema import ConfigError, checked, load_yaml

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prices(BaseModel):
    """A worker's size, and prices in one currency; every price is required, but may be 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: str
    worker_cores: Annotated[int, Field(ge=1)]
    worker_pace: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    worker_gpus: Annotated[int, Field(ge=0)] = 0
    worker_hour: Price
    gpu_hour: Price
    storage_gb_month: Price
    read_operations_1000: Price
    write_operations_1000: Price


def load_prices(path: str) -> Prices:
    """Returns a checked file of prices.

    Raises:
        ConfigError: the file cannot be read, or has keys that are unknown, missing or wrong (all are listed).
    """
    try:
        return checked(Prices, load_yaml(path))
    except ConfigError as error:
        problems = [problem.removeprefix(f"--config {path}: ") for problem in error.problems]
        raise ConfigError([f"--prices {path}: {problem}" for problem in problems]) from error
