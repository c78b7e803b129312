"""A random pack of tiny sizes."""

from pathlib import Path

import pytest

from benchmarks.bench import TINY
from benchmarks.random_packs import random_pack
from model_handlers.pack import Pack


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder that the benchmark keeps its packs in."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def random(work: Path) -> Pack:
    return random_pack(work, TINY.sizes)
