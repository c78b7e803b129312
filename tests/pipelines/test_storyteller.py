"""The console command: one word for each command, help, completion, and messages about mistakes."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import completion, storyteller
from pipelines.cli.packs_at_hand import POCKET
from pipelines.storyteller import COMMANDS, main

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "apache_beam", "pyarrow", "transformers")
MODULES = {name: name.replace("-", "_") for name in COMMANDS}


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=ROOT, env=os.environ | environment, timeout=120
    )


def completed(line: str) -> list[str]:
    """Returns what the shell offers at the end of a line."""
    program = "import os, sys; os.dup2(1, 8); from pipelines.storyteller import main; main(sys.argv[1:])"
    words = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n"}
    return [word.strip() for word in run("-c", program, **words).stdout.split("\n") if word.strip()]


def modules_with_a_main() -> Iterator[str]:
    for path in (ROOT / "pipelines").glob("*.py"):
        if path.stem not in ("__init__", "storyteller") and "def main(argv" in path.read_text("utf-8"):
            yield path.stem


def test_every_command_has_a_module_and_every_module_a_command() -> None:
    assert sorted(MODULES.values()) == sorted(modules_with_a_main())


@pytest.mark.parametrize("module", MODULES.values())
def test_help_is_that_of_the_module_but_for_the_name(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    texts = {}
    for typed, call in (
        (f"python -m pipelines.{module}", importlib.import_module(f"pipelines.{module}").main),
        (f"storyteller {module.replace('_', '-')}", lambda argv: main([module, *argv])),
    ):
        monkeypatch.setattr(sys, "argv", ["/bin/storyteller" if typed.startswith("story") else "pytest"])
        try:
            assert call(["--help"]) == 0
        except SystemExit as ended:
            assert ended.code == 0
        text = capsys.readouterr().out
        assert text.startswith(f"usage: {typed} ") and "None" not in text
        texts[typed] = " ".join(text.replace(typed, "COMMAND", 1).split())
    first, second = texts.values()
    assert first == second and "show this help" in first


def test_help_and_version_load_nothing_heavy() -> None:
    program = (
        "import sys; from pipelines.storyteller import main; sys.argv[0] = 'storyteller'\n"
        "for words in (['--version'], ['--help'], ['nobody'], ['completion', 'fish']): main(words)\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    ran = run("-c", program)
    assert ran.stderr.endswith("[]\n") and "storyteller 0." in ran.stdout
    assert all(name in ran.stdout for name in COMMANDS)


@pytest.mark.parametrize("module", MODULES.values())
def test_the_parser_of_a_command_loads_nothing_heavy(module: str) -> None:
    program = (
        f"import sys; from pipelines.{module} import command_line; command_line().format_help()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert run("-c", program).stdout == "[]\n"


def test_the_process_ends_with_the_commands_code(tmp_path: Path) -> None:
    assert run("-m", "pipelines.storyteller", "show", str(tmp_path)).returncode == 2
    assert run("-m", "pipelines.storyteller", "completion", "bash").returncode == 0
    assert run("-m", "pipelines.storyteller").returncode == 2


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["rnu"], ["storyteller rnu: no such command. Did you mean run?", "expand-vocabulary"]),
        (["fit_stile"], ["Did you mean fit-style?"]),
        (["--pack"], ["storyteller --pack: no such command"]),
        (["status", "x", "--maxage", "3h"], ["--maxage: no such option. Did you mean --max-age?"]),
        (["packs", "lst"], ["invalid choice: 'lst'", "Did you mean list?"]),
        (["packs", "show", "pokcet"], ["pokcet: neither a folder nor the name of a pack", "Did you mean pocket?"]),
        (["explain", "x", "--uri=y", "--device=gpu"], ["invalid choice: 'gpu'"]),
        (["fit-style", "--pak=pocket"], ["are required: --pack", "--pak=pocket: no such option. Did you mean --pack?"]),
        (["completion", "zhs"], ["Did you mean zsh?"]),
    ],
)
def test_mistakes_are_named(argv: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in parts), said


def test_styles_and_decoders_of_the_pack_may_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--style=romanse", "--device=cpu"]) == 2
    assert "'romanse': the pack has no such style" in (said := capsys.readouterr().err) and "mean romance?" in said
    assert main(["run", "--decoder=romanc", "--device=cpu"]) == 2
    assert "Did you mean romance?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("storyteller ", list(COMMANDS)),
        ("storyteller ga", ["gallery"]),
        ("storyteller run --style-", ["--style-strength"]),
        ("storyteller run --style ", ["romance", "adventure", "austen", "countryside"]),
        ("storyteller run --style romance,ad", ["romance,adventure"]),
        (f"storyteller plan --pack {POCKET} --style a+aus", ["a+austen"]),
        ("storyteller run --decoder ", ["romance"]),
        ("storyteller run --device ", ["auto", "cpu", "cuda"]),
        ("storyteller run --captions wr", ["written"]),
        ("storyteller run --captions=wr", ["--captions=written"]),
        ("storyteller run --pack po", ["pocket"]),
        ("storyteller run --set beam_w", ["beam_width="]),
        ("storyteller packs ver", ["verify"]),
        ("storyteller packs show poc", ["pocket"]),
        ("storyteller fit_style --te", ["--texts"]),
        ("storyteller evaluate sto", ["stories"]),
        ("storyteller evaluate stories --probe", ["--probe-captions"]),
        ("storyteller evaluate stories --set beam_w", ["beam_width="]),
        ("storyteller train jo", ["joint_embedding"]),
        ("storyteller completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_the_shell_completes(line: str, words: list[str]) -> None:
    assert completed(line) == words


def test_completion_loads_nothing_heavy() -> None:
    program = (
        f"import os, sys; os._exit = lambda code: sys.exit(str([name for name in {HEAVY} if name in sys.modules]))\n"
        "os.dup2(1, 8); from pipelines.storyteller import main; main([])"
    )
    line = "storyteller run --style "
    ran = run("-c", program, COMP_LINE=line, COMP_POINT=str(len(line)), _ARGCOMPLETE="1")
    assert ran.stderr == "[]\n" and "romance" in ran.stdout


@pytest.mark.parametrize(("shell", "part"), [("bash", "complete "), ("zsh", "compdef"), ("fish", "complete ")])
def test_completion_scripts_are_the_shells(shell: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.main([shell]) == 0
    script = capsys.readouterr().out
    assert part in script and "storyteller" in script


def test_bash_takes_the_script(tmp_path: Path) -> None:
    program = tmp_path / "storyteller"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m pipelines.storyteller "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(storyteller completion bash)"; COMP_WORDS=(storyteller pac); COMP_CWORD=1; COMP_TYPE=9; '
        'COMP_LINE="storyteller pac"; COMP_POINT=${#COMP_LINE}; _python_argcomplete storyteller; echo "${COMPREPLY[@]}"'
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert ran.stdout.strip() == "packs", ran.stderr


def test_no_group_is_empty() -> None:
    assert all(storyteller.GROUPS.values())


def test_what_parsers_spell_out_is_what_the_code_has() -> None:
    from pipelines import fit_style, train
    from pipelines.pack_tools.styles import PASSAGES, SOURCE_STYLE
    from pipelines.training.recipe_2015 import networks_2015
    from pipelines.training.recipes import networks

    assert (tuple(networks.NETWORKS), networks_2015.PACK) == (train.NETWORKS, train.PACK)
    text = " ".join(fit_style.command_line().format_help().split())
    assert f"default: {PASSAGES} if" in text and f"{SOURCE_STYLE!r} replaces" in text
