"""The lock files fit setup.py: they hold every requirement, in a version within its range, with hashes and no index."""

import re
import runpy
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK, LOCK_DEV = "requirements.lock", "requirements-dev.lock"


@pytest.fixture(scope="module")
def distribution() -> dict[str, Any]:
    """Returns what setup.py hands to setuptools."""
    with mock.patch("setuptools.setup") as setup, pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        runpy.run_path("setup.py")
    return setup.call_args.kwargs


def entries(lock: str) -> list[str]:
    """Returns the entries of a lock file: a requirement, then its hashes."""
    lines = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
    return [line for line in lines if not line.startswith("#")]


def versions(lock: str) -> dict[str, set[str]]:
    """Returns the versions of each package that a lock file names; there are several where platforms differ."""
    found: dict[str, set[str]] = {}
    for entry in entries(lock):
        requirement = Requirement(entry.split("--hash", 1)[0])
        (version,) = requirement.specifier
        assert version.operator == "==", entry
        found.setdefault(canonicalize_name(requirement.name), set()).add(version.version)
    return found


def misfits(requirements: list[str], lock: str) -> list[str]:
    """Returns the requirements that a lock file lacks, or holds in a version out of their range."""
    found = versions(lock)
    wanted = [Requirement(text) for text in requirements]
    return [
        f"{lock}: {one}; `make lock` renews it"
        for one in wanted
        if not (there := found.get(canonicalize_name(one.name))) or not all(map(one.specifier.contains, there))
    ]


def test_lock_fits_requirements(distribution: dict[str, Any]) -> None:
    assert misfits(distribution["install_requires"], LOCK) == []


def test_lock_for_tests_fits_their_extras(distribution: dict[str, Any]) -> None:
    named = re.search(r"^DEV := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named
    extras = distribution["extras_require"]
    assert misfits([text for name in named[1].split() for text in extras[name]], LOCK_DEV) == []


def test_a_misfit_is_found() -> None:
    assert len(misfits(["torch<2", "nobody-needs-this", "numpy>=1.26"], LOCK)) == 2


def test_tests_run_on_the_versions_of_the_workers() -> None:
    assert versions(LOCK).items() <= versions(LOCK_DEV).items()


@pytest.mark.parametrize("lock", [LOCK, LOCK_DEV])
def test_entries_have_hashes_and_name_no_index(lock: str) -> None:
    assert len(entries(lock)) > 100
    assert [entry for entry in entries(lock) if not re.search(r"( --hash=sha256:[0-9a-f]{64})+\s*$", entry)] == []
    assert not re.search(r"://|--(extra-)?index-url|--find-links", (ROOT / lock).read_text())


@pytest.mark.parametrize("lock", [LOCK, LOCK_DEV])
def test_torch_is_no_local_build(lock: str) -> None:
    """A version such as 2.8.0+cpu exists on one index only."""
    assert [version for found in versions(lock).values() for version in found if "+" in version] == []
