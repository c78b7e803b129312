"""Files of prices: complete, of known keys, and of sensible values."""

from pathlib import Path

import pytest
import yaml

from configs.prices import load_prices
from configs.schema import ConfigError

SHIPPED = Path(__file__).parents[2] / "configs" / "prices.yaml"


def test_the_file_that_ships_is_valid_and_says_that_it_is_made_up() -> None:
    prices = load_prices(str(SHIPPED))
    assert prices.worker_hour == prices.gpu_hour == 1.0 and "made up" in SHIPPED.read_text("utf-8")


def test_every_problem_is_listed(tmp_path: Path) -> None:
    values = yaml.safe_load(SHIPPED.read_text("utf-8")) | {"worker_hour": -1, "gpu_hour": "cheap", "tax": 0.2}
    del values["storage_gb_month"]
    (tmp_path / "prices.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError) as caught:
        load_prices(str(tmp_path / "prices.yaml"))
    text = "\n".join(sorted(caught.value.problems))
    assert len(caught.value.problems) == 4
    for part in ("gpu_hour = 'cheap'", "storage_gb_month: is missing", "tax: no such option", "worker_hour = -1"):
        assert f"--prices {tmp_path}/prices.yaml: {part}" in text
    with pytest.raises(ConfigError, match="--prices nowhere.yaml: cannot be read"):
        load_prices("nowhere.yaml")
