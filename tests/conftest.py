"""Settings of all tests: nothing is downloaded, and the user's own cache of packs and indexes is not used."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from transforms import photo_decoders as decoders

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
def tampered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets photos be decoded by a process that crashes, hangs and the like where a photo's last bytes say so."""
    monkeypatch.setattr(decoders, "COMMAND", (sys.executable, str(Path(__file__).with_name("tampered_decoder.py"))))


@pytest.fixture(scope="session")
def hostile() -> Any:
    """Returns the module that makes hostile files."""
    spec = importlib.util.spec_from_file_location("hostile_files", Path(__file__).with_name("hostile_files.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def airflow_python(pytestconfig: pytest.Config) -> Path:
    """Returns the interpreter of an environment that holds Airflow, which pins too many packages to share ours.

    It is made once, in the folder that STORYTELLER_AIRFLOW names, or else in pytest's cache.
    """
    packages = Path(__file__).parent / "deploy/airflow_packages.txt"
    name = hashlib.sha256(packages.read_bytes()).hexdigest()[:12]
    assert pytestconfig.cache is not None
    folder = Path(os.environ.get("STORYTELLER_AIRFLOW") or pytestconfig.cache.mkdir("airflow")) / name
    python = folder / "bin/python"
    if not (folder / "whole").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--retries=1", "-r", packages]
        pip = subprocess.run(install, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if "Retrying (Retry(" in pip.stderr or "No matching distribution" in pip.stderr:
            pytest.skip(f"Airflow cannot be installed here: {pip.stderr.strip().splitlines()[-1]}")
        assert pip.returncode == 0, pip.stderr
        (folder / "whole").touch()
    return python


@pytest.fixture
def airflow(airflow_python: Path, tmp_path: Path) -> Any:
    """Returns a function that runs Airflow's interpreter with the DAGs of deploy/airflow and an Airflow of its own."""
    root = Path(__file__).parents[1]
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(root / "deploy/airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "sqlalchemy=WARN",
        "STORYTELLER_PYTHON": sys.executable,
        "PYTHONPATH": str(root),
    }

    def run(*arguments: str, variable: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
        around = environment | more | {"AIRFLOW_VAR_STORYTELLER": json.dumps(variable)}
        command = [airflow_python, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=around, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
        )

    migrated = run("-m", "airflow", "db", "migrate", variable={})
    assert migrated.returncode == 0, migrated.stderr
    return run
