"""The packages that people and Dataflow workers install are built and inspected."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from pipelines.catalog import open_stories

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("configs", "model_handlers", "transforms", "pipelines")
FILES = (
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
    "NOTICE",
    "CHANGELOG.md",
    "Makefile",
    "Dockerfile",
)
NOT_PACKED = (
    "tests/test_a.py",
    "samples/notes.txt",
    "packs/pocket-new/pack.json",
    "docs/a.py",
    "deploy/a.py",
    "benchmarks/a.py",
    "pipelines/notes.txt",
)
DATA = {"packs": "storyteller_packs", "samples": "storyteller_samples"}
LARGEST = 100_000_000  # bytes of a file that package indexes take

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a copy of the repository's packed files, with files beside them that must stay out."""
    tree = tmp_path_factory.mktemp("tree")
    for name in FILES:
        shutil.copy(ROOT / name, tree)
    for folder in (*FOLDERS, "packs/pocket", "samples"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in NOT_PACKED:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("stray\n")
    return tree


def build(tree: Path, output: Path, *kinds: str, **environment: str) -> Path:
    """Returns the file that was built the way Beam's stager builds; without kinds, the wheel of the sdist."""
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(output), str(tree)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tree.parent, env=os.environ | environment)
    assert run.returncode == 0, run.stdout + run.stderr
    (file,) = output.glob("*.tar.gz" if kinds == ("--sdist",) else "*.whl")
    return file


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    """Returns the wheel that is built of the sdist, which lies beside it."""
    return build(tree, tree / "out")


@pytest.fixture(scope="module")
def code() -> set[str]:
    """Returns the code files of the four folders, the YAML, and the files of the gallery's page."""
    code = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    typed = {ROOT / folder / "py.typed" for folder in FOLDERS}
    yaml = set((ROOT / "configs").rglob("*.yaml"))
    page = {path for path in (ROOT / "pipelines/gallery_page").iterdir() if path.suffix in (".html", ".css", ".js")}
    assert len(page) == 8
    return {path.relative_to(ROOT).as_posix() for path in code | typed | yaml | page}


@pytest.fixture(scope="module")
def data() -> set[str]:
    """Returns the files of the pocket pack and of the samples."""
    pack = {path for path in (ROOT / "packs/pocket").rglob("*") if path.is_file()}
    samples = {*(ROOT / "samples").glob("*.jpg"), ROOT / "samples/README.md"}
    return {path.relative_to(ROOT).as_posix() for path in pack | samples}


def members(wheel: Path) -> dict[str, int]:
    """Returns the checksum of each file of a wheel that gets installed as it is."""
    return {
        entry.filename: entry.CRC for entry in zipfile.ZipFile(wheel).infolist() if ".dist-info/" not in entry.filename
    }


def sources(sdist: Path) -> set[str]:
    """Returns the files of an sdist but for those that each sdist has."""
    around = {"setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "NOTICE", "PKG-INFO"}
    with tarfile.open(sdist) as archive:
        names = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    return {name for name in names - around if not name.startswith("beam_storyteller.egg-info/")}


def test_wheel_holds_code_pack_and_samples(wheel: Path, code: set[str], data: set[str]) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    installed = {f"{DATA[name.split('/')[0]]}/{name.split('/', 1)[1]}" for name in data}
    assert set(members(wheel)) == code | installed
    assert wheel.stat().st_size < LARGEST


def test_sdist_holds_code_pack_and_samples(wheel: Path, code: set[str], data: set[str]) -> None:
    (sdist,) = wheel.parent.glob("*.tar.gz")
    assert sources(sdist) == code | data
    assert sdist.stat().st_size < LARGEST


def test_wheel_of_the_sdist_is_that_of_the_repository(wheel: Path, tree: Path) -> None:
    assert members(build(tree, tree / "direct", "--wheel")) == members(wheel)


def test_workers_take_the_code_only(tree: Path, tmp_path: Path, code: set[str]) -> None:
    sdist = build(tree, tmp_path, "--sdist", STORYTELLER_CODE_ONLY="1")
    assert sources(sdist) == code
    assert sdist.stat().st_size < 1_000_000
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert set(members(build(unpacked, tmp_path / "wheel", "--wheel"))) == code


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """Returns what an index shows of the wheel."""
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(archive.read(name))


def test_metadata_are_complete(metadata: Message) -> None:
    for field in ("Name", "Version", "Summary", "Keywords", "Author", "License-Expression", "Requires-Python"):
        assert metadata[field], field
    assert {Path(name).name for name in metadata.get_all("License-File", [])} == {"LICENSE", "NOTICE"}
    classifiers = metadata.get_all("Classifier", [])
    topics = ("Typing :: Typed", "Operating System ::", "Topic ::", "Programming Language :: Python :: 3.13")
    assert all(any(line.startswith(topic) for line in classifiers) for topic in topics)
    assert {"test", "train", "evaluate", "heif", "s3"} <= set(metadata.get_all("Provides-Extra", []))


def test_description_leads_to_no_file_of_the_repository(metadata: Message) -> None:
    text = str(metadata.get_payload())
    assert text.startswith("# Beam Storyteller") and metadata["Description-Content-Type"] == "text/markdown"
    assert [link for link in re.findall(r"\]\(([^)]*)\)", text) if not link.startswith(("https://", "#"))] == []
    assert "Licence" in text and "![" not in text


@pytest.fixture(scope="module")
def storyteller(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Returns a function that gives the output of the console command, installed into an environment of its own.

    The wheel says what it needs; the lock, in which versions, which the package cache has from the installation of
    these tests. Nothing of the repository is in reach.
    """
    place = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place / "env")], check=True)
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(place / "env/bin/python")]
    subprocess.run([*install, "--constraints", str(ROOT / "requirements.lock"), str(wheel)], check=True, cwd=place)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*words: str) -> str:
        command = [str(place / "env/bin/storyteller"), *words]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run


def test_installed_command_has_the_version(storyteller: Callable[..., str], metadata: Message) -> None:
    assert metadata["Version"] in storyteller("--version")


def test_installed_command_lists_the_pocket_pack(storyteller: Callable[..., str]) -> None:
    assert "elsewhere0/env/lib" in (listed := storyteller("packs", "list")) and "storyteller_packs/pocket" in listed


def test_installed_command_makes_stories_of_samples_and_of_a_photo(
    storyteller: Callable[..., str], tmp_path: Path
) -> None:
    photo = tmp_path / "my cat.jpg"
    shutil.copy(ROOT / "samples/walking-cat.jpg", photo)
    for photos in (["--limit", "2"], [str(photo)]):
        storyteller("run", *photos, "--output", str(tmp_path / "stories"), "--beam-width", "5", "--device", "cpu")
    rows = open_stories(str(tmp_path / "stories")).to_table().to_pylist()
    names = {Path(row["uri"]).name for row in rows}
    assert len(names) == 3 and photo.name in names
    shown = " ".join(storyteller("show", str(tmp_path / "stories")).split())
    for row in rows:
        assert len(row["story"].split()) > 10
        assert " ".join(row["story"].split()) in shown
