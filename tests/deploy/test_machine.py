"""Cron and systemd on a machine of one's own: every exit code of the main job, and units that systemd takes."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/machine"
NIGHT = FOLDER / "nightly.sh"
NAMES = ("STORYTELLER_PYTHON", "STORYTELLER_CONFIG", "STORYTELLER_OUTPUT", "STORYTELLER_PAGE")
STAND_IN = """#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
[ "$2" = "$(sed -n 's/ .*//;1p' "$CODES")" ] || exit 0
code=$(sed -n '1s/.* //p' "$CODES")
sed -i 1d "$CODES"
exit "$code"
"""
AFTER = ["pipelines.gallery out put --output page", "pipelines.vacuum out put --older-than 7d"]
STATUS = ["pipelines.status out put --max-age 26h"]

Night = tuple[int, list[str], str]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Returns an environment whose interpreter writes down what it is asked, and ends with the next of some codes."""
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    (tmp_path / "calls").touch()
    (tmp_path / "codes").touch()
    values = (str(stand_in), "night.yaml", "out put", "page")
    places = {"CALLS": str(tmp_path / "calls"), "CODES": str(tmp_path / "codes"), "STORYTELLER_PAUSE": "0"}
    return {"PATH": os.environ["PATH"]} | dict(zip(NAMES, values, strict=True)) | places


@pytest.fixture
def night(environment: dict[str, str]) -> Callable[..., Night]:
    """Returns a function that runs a night with exit codes by command; it returns code, commands run and errors."""

    def run(*codes: str) -> Night:
        Path(environment["CODES"]).write_text("".join(f"pipelines.{code}\n" for code in codes))
        process = subprocess.run([NIGHT], env=environment, capture_output=True, text=True, timeout=30)
        calls = [line.removeprefix("-m ") for line in Path(environment["CALLS"]).read_text().splitlines()]
        return process.returncode, calls, process.stderr

    return run


RUN = ["pipelines.run --config night.yaml --output out put"]


def test_a_night_that_is_published(night: Callable[..., Night]) -> None:
    assert night()[:2] == (0, RUN + AFTER + STATUS)


@pytest.mark.parametrize(("code", "words"), [(2, "somebody corrects"), (3, "dead letters"), (4, "another run")])
def test_a_night_that_another_try_would_not_help(night: Callable[..., Night], code: int, words: str) -> None:
    found, calls, errors = night(f"run {code}")
    assert (found, calls) == (code, RUN + STATUS)
    assert words in errors


@pytest.mark.parametrize("code", [1, 137, 143])
def test_a_night_that_fails_is_tried_three_times(night: Callable[..., Night], code: int) -> None:
    found, calls, errors = night(*[f"run {code}"] * 3)
    assert (found, calls) == (code, RUN * 3 + STATUS)
    assert "3 times" in errors


def test_a_night_that_fails_once(night: Callable[..., Night]) -> None:
    assert night("run 1")[:2] == (0, RUN * 2 + AFTER + STATUS)


@pytest.mark.parametrize("step", ["gallery 2", "vacuum 1", "status 3"])
def test_a_later_step_that_fails_keeps_no_other_from_its_turn(night: Callable[..., Night], step: str) -> None:
    assert night(step)[:2] == (1, RUN + AFTER + STATUS)


def test_a_stale_table_after_a_failed_night_keeps_the_nights_code(night: Callable[..., Night]) -> None:
    found, calls, _ = night("run 4", "status 1")
    assert (found, calls) == (4, RUN + STATUS)


def test_all_that_is_missing_is_named_at_once(environment: dict[str, str]) -> None:
    for name in NAMES[1:]:
        del environment[name]
    run = subprocess.run([NIGHT], env=environment, capture_output=True, text=True)
    assert run.returncode == 2
    assert all(name in run.stderr for name in NAMES[1:]) and NAMES[0] not in run.stderr
    assert Path(environment["CALLS"]).read_text() == ""


def test_the_environment_names_what_the_night_needs() -> None:
    names = re.findall(r"^(\w+)=", (FOLDER / "environment").read_text(), re.MULTILINE)
    assert set(re.findall(r"STORYTELLER_\w+", NIGHT.read_text())) == {name for name in names if "STORYTELLER" in name}


def cron_line() -> str:
    """Returns the one line of the crontab that starts something."""
    lines = (FOLDER / "crontab").read_text().splitlines()
    (line,) = [line for line in lines if line and line[0] not in "#SM"]
    return line


@pytest.mark.parametrize(("codes", "mailed"), [([], False), (["run 4"], False), (["run 2"], True), (["run 3"], True)])
def test_the_crontabs_line(environment: dict[str, str], tmp_path: Path, codes: list[str], mailed: bool) -> None:
    """Cron mails what a command prints: the log's end after a failure, nothing otherwise."""
    minute, hour, *days, user, command = cron_line().split(None, 6)
    assert (int(minute), int(hour), days, user) == (0, 1, ["*"] * 3, "storyteller")
    assert "%" not in command, "cron ends the command there"
    Path(environment["CODES"]).write_text("".join(f"pipelines.{code}\n" for code in codes))
    (tmp_path / "environment").write_text("".join(f"{name}='{value}'\n" for name, value in environment.items()))
    for place, own in {
        "/etc/storyteller": str(tmp_path),
        "/var/log/storyteller": str(tmp_path),
        "/opt/storyteller": str(ROOT),
    }.items():
        command = command.replace(place, own)
    run = subprocess.run(["/bin/sh", "-c", command], env={}, capture_output=True, text=True, timeout=30)
    assert bool(run.stdout) == mailed
    assert run.stderr == ""
    assert "making stories" in (tmp_path / "nightly.log").read_text()


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FOLDER / name)
    return parser


def test_units_say_what_a_nightly_job_needs() -> None:
    service, timer = unit("storyteller.service")["Service"], unit("storyteller.timer")
    assert service["ExecStart"] == f"/opt/storyteller/{NIGHT.relative_to(ROOT)}"
    assert service["EnvironmentFile"] == "/etc/storyteller/environment"
    assert (service["Type"], service["SuccessExitStatus"]) == ("oneshot", "4")
    assert (timer["Timer"]["Persistent"], timer["Install"]["WantedBy"]) == ("true", "timers.target")
    assert os.access(NIGHT, os.X_OK)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine: systemd has not read the units")
    names = ("storyteller.service", "storyteller.timer")
    for name in names:
        text = (FOLDER / name).read_text().replace("/opt/storyteller", str(ROOT))
        (tmp_path / name).write_text(text)
    verify = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in names)]
    run = subprocess.run(verify, capture_output=True, text=True)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")
    calendar = unit("storyteller.timer")["Timer"]["OnCalendar"]
    subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True)


@pytest.mark.slow
def test_a_real_night(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "night.yaml").write_text(f"input: ['{ROOT}/samples/boats.jpg']\nbeam_width: 2\n")
    places = (sys.executable, str(tmp_path / "night.yaml"), str(tmp_path / "stories"), str(tmp_path / "page"))
    around = os.environ | dict(zip(NAMES, places, strict=True)) | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run([NIGHT], env=around, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert "fresh: newest commit" in run.stdout
    assert (tmp_path / "page/index.html").exists()
