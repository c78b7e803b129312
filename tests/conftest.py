"""What holds for every test: nothing is fetched, and nobody's own cache of packs and indexes is read or written."""

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Gives the tests, and the processes that they start, a home folder of their own; pip keeps its settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in (("XDG_CACHE_HOME", "~/.cache"), ("XDG_CONFIG_HOME", "~/.config")):
            patch.setenv(name, os.environ.get(name, os.path.expanduser(folder)))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield
