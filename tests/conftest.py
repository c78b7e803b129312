"""What holds for every test: nothing is fetched, and nobody's own cache of packs and indexes is read or written."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from transforms import decoders
from transforms.decoders import shared_decoders

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


@pytest.fixture
def tampered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets photos be decoded by a process that crashes, hangs and the like where a photo's last bytes say so."""
    shared_decoders.cache_clear()
    monkeypatch.setattr(decoders, "COMMAND", (sys.executable, str(Path(__file__).with_name("tampered_decoder.py"))))
    yield
    shared_decoders.cache_clear()


@pytest.fixture(scope="session")
def hostile() -> Any:
    """Returns the module that makes hostile files."""
    spec = importlib.util.spec_from_file_location("hostile_files", Path(__file__).with_name("hostile_files.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
