"""What people and Dataflow workers install: built and looked into."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

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
    "samples/a.jpg",
    "packs/pocket/pack.json",
    "docs/a.py",
    "deploy/a.py",
    "benchmarks/a.py",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a copy of the repository's packed files, with files beside them that must stay out."""
    tree = tmp_path_factory.mktemp("tree")
    for name in FILES:
        shutil.copy(ROOT / name, tree)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in NOT_PACKED:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("stray\n")
    (tree / "pipelines/notes.txt").write_text("stray\n")
    return tree


@pytest.fixture(scope="module")
def built(tree: Path) -> Path:
    """Returns the folder of the wheel and of the sdist, built the way Beam's stager builds."""
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--sdist",
        "--wheel",
        "--outdir",
        str(tree / "out"),
        str(tree),
    ]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tree.parent)
    assert run.returncode == 0, run.stdout + run.stderr
    return tree / "out"


@pytest.fixture(scope="module")
def expected() -> set[str]:
    """Returns the code files of the four folders, the YAML, and the files of the gallery's page."""
    code = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    yaml = set((ROOT / "configs").rglob("*.yaml"))
    page = {path for path in (ROOT / "pipelines/gallery_page").iterdir() if path.suffix in (".html", ".css", ".js")}
    assert len(page) == 8
    return {path.relative_to(ROOT).as_posix() for path in code | yaml | page}


def test_wheel_holds_code_yaml_and_page_alone(built: Path, expected: set[str]) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    members = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert members == expected


def test_sdist_holds_code_yaml_and_page_alone(built: Path, expected: set[str]) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    around = {"setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "NOTICE", "PKG-INFO"}
    assert {name for name in members if not name.startswith("beam_storyteller.egg-info/")} - around == expected
    assert sdist.stat().st_size < 1_000_000


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_installed_package_runs_without_the_repository(built: Path, tmp_path: Path, pattern: str) -> None:
    (package,) = built.glob(pattern)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(tmp_path / "site"), str(package)], check=True, cwd=tmp_path)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import pipelines.run as run; print(run.__file__)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().startswith(str(tmp_path / "site"))
