"""The commands that people and CI type: `make` targets and `.ci/run`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = ("Makefile", "setup.py", "pyproject.toml", "requirements.lock", "requirements-dev.lock")

FAKE_PYTHON = """#!/bin/sh
echo "python $*" >> "$LOG"
case "$*" in
  "-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  *"pip install"*) exit "${PIP_STATUS:-0}" ;;
  *pipelines.run*) [ ! -e demo-output ] && mkdir demo-output && echo "a story" ;;
esac
"""


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def run_in(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "VENV")}
    return subprocess.run(command, cwd=folder, env=inherited | environment, capture_output=True, text=True)


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """Returns a folder with the Makefile and a Python that only writes down what it is asked."""
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    write_program(tmp_path / "python", FAKE_PYTHON)
    return tmp_path


def make(fake: Path, *arguments: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Returns the finished `make` and what Python was asked meanwhile."""
    log = fake / "log"
    log.write_text("")
    run = run_in(fake, "make", f"PYTHON={fake}/python", *arguments, LOG=str(log), **environment)
    return run, log.read_text().splitlines()


def test_demo_installs_once_and_tells_each_time(fake: Path) -> None:
    first, asked = make(fake, "demo")
    assert first.returncode == 0, first.stderr
    assert "a story" in first.stdout
    install = "python -m uv pip install --quiet"
    assert f"{install} --require-hashes --requirements requirements.lock" in asked
    assert f"{install} --no-deps --editable ." in asked
    told = ["python -m pipelines.run --output demo-output", "python -m pipelines.show demo-output"]
    assert asked[-2:] == told
    second, asked = make(fake, "demo")
    assert second.returncode == 0, second.stderr
    assert "a story" in second.stdout
    assert asked == told


def test_failed_install_is_tried_again(fake: Path) -> None:
    run, _ = make(fake, "install", PIP_STATUS="1")
    assert run.returncode != 0
    run, asked = make(fake, "install")
    assert run.returncode == 0
    assert any("pip install" in line for line in asked)


@pytest.mark.parametrize("file", ["setup.py", "requirements.lock"])
def test_changed_requirements_are_installed(fake: Path, file: str) -> None:
    make(fake, "install")
    later = (fake / ".venv/.installed").stat().st_mtime + 10
    os.utime(fake / file, (later, later))
    _, asked = make(fake, "install")
    assert any("pip install" in line for line in asked)


def test_tests_install_the_extras_and_choose_by_marker(fake: Path) -> None:
    _, asked = make(fake, "test")
    assert "python -m uv pip install --quiet --require-hashes --requirements requirements-dev.lock" in asked
    assert (
        asked[-1] == "python -m pytest -q -n 2 --dist loadfile -m not slow and not runners and not services and not gpu"
    )
    _, asked = make(fake, "test-slow")
    assert asked == ["python -m pytest -q -m (slow or runners or services) and not gpu"]
    _, asked = make(fake, "install")
    assert asked == []


def test_ranges_are_installed_where_one_wants_no_lock(fake: Path) -> None:
    _, asked = make(fake, "install", "test", "LOCKED=no")
    ranges = "python -m uv pip install --quiet --requirements setup.py"
    assert ranges in asked
    extras = ("test", "check", "train", "evaluate", "services", "docs")
    assert f"{ranges} {' '.join(f'--extra {name}' for name in extras)}" in asked
    assert not any("requirements.lock" in line for line in asked)


def test_wheel_is_built_of_the_sdist(fake: Path) -> None:
    """Without a kind, uv builds the sdist first: nothing that lies about in build/ gets into the wheel."""
    _, asked = make(fake, "wheel")
    assert asked[-1] == "python -m uv build --quiet"


def test_lock_files_are_renewed(fake: Path) -> None:
    _, asked = make(fake, "lock", "UPGRADE=--upgrade")
    first, second = (line.split() for line in asked if "uv pip compile" in line)
    assert first[-2:] == ["--output-file", "requirements.lock"] and "--upgrade" in first
    assert second[-4:] == ["--constraints", "requirements.lock", "--output-file", "requirements-dev.lock"]
    assert {"--generate-hashes", "--no-emit-index-url", "--universal"} <= set(first) & set(second)


def test_check_lints_types_and_imports(fake: Path) -> None:
    _, asked = make(fake, "check")
    assert [line.split()[2] for line in asked[-3:]] == ["ruff", "mypy", "pytest"]


def test_site_is_built_strictly_with_what_the_tests_install(fake: Path) -> None:
    _, asked = make(fake, "docs-site")
    assert asked[-1] == "python -m mkdocs build --strict"
    assert any("requirements-dev.lock" in line for line in asked)


def test_wrong_python_is_named(fake: Path) -> None:
    write_program(fake / "python", "#!/bin/sh\nexit 1\n")
    run, _ = make(fake, "install")
    assert run.returncode == 2
    assert "Python 3.11" in run.stderr
    assert not (fake / ".venv").exists()


def test_clean_leaves_no_output(fake: Path) -> None:
    make(fake, "demo")
    (fake / "pipelines/__pycache__").mkdir(parents=True)
    make(fake, "clean")
    assert not any((fake / name).exists() for name in (".venv", "demo-output", "pipelines/__pycache__"))


def test_help_lists_each_target() -> None:
    listed = run_in(ROOT, "make", "help").stdout
    for target in ("demo", "test", "test-slow", "check", "docs", "docs-site", "clean", "help", "install"):
        assert f"\n{target} " in f"\n{listed}"


@pytest.mark.parametrize(("failing", "asked"), [("none", ["test", "test-slow"]), ("test", ["test"])])
def test_ci_stops_at_the_first_failure(tmp_path: Path, failing: str, asked: list[str]) -> None:
    write_program(tmp_path / "repository/.ci/run", (ROOT / ".ci/run").read_text())
    (tmp_path / "repository/.venv-ci").mkdir()
    program = f'#!/bin/sh\necho "$1" >> {tmp_path}/log\n[ ! -e "$VENV" ] && [ "$1" != {failing} ]\n'
    write_program(tmp_path / "bin/make", program)
    run = run_in(tmp_path, "bash", "repository/.ci/run", PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    assert (run.returncode == 0) == (failing == "none"), run.stderr
    assert (tmp_path / "log").read_text().split() == asked


@pytest.mark.slow
def test_demo_shows_stories_of_all_samples_twice(tmp_path: Path) -> None:
    """The real demo in a copy of the repository, with this environment in place of a new one."""
    for folder in ("configs", "model_handlers", "transforms", "pipelines", "samples", "packs/pocket"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    write_program(tmp_path / "here/bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "here/.installed").touch()
    for _ in range(2):
        run = run_in(tmp_path, "make", "demo", "VENV=here")
        assert run.returncode == 0, run.stdout + run.stderr
        (file,) = (tmp_path / "demo-output").glob("runs/*/stories/*.parquet")
        stories = pq.read_table(file).to_pylist()
        assert len(stories) == len(list((ROOT / "samples").glob("*.jpg")))
        shown = " ".join(run.stdout.split())
        assert any(" ".join(row["story"].split())[:60] in shown for row in stories)
