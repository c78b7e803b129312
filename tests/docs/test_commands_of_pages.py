"""The commands that pages show can be typed: each is a command of the project, with options that it knows."""

import argparse
import contextlib
import functools
import io
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.storyteller import COMMANDS
from pipelines.storyteller import main as storyteller

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "deploy/README.md", ROOT / "samples/README.md", *(ROOT / "docs").rglob("*.md")]


def commands(text: str) -> Iterator[list[str]]:
    """Yields the words of each command in a page's blocks of code, without its comment; no `run [PHOTO ...]`."""
    blocks = re.findall(r"(?:^ {4,}.*\n)+", text, re.MULTILINE)
    for line in re.sub(r"\\\n\s*", "", "".join(blocks)).splitlines():
        start = re.match(r"\s+(?:\.venv/bin/)?(?:storyteller |python -m pipelines\.)(?=[a-z-])(?!.* \[)", line)
        if start:
            yield shlex.split(line[start.end() :], comments=True)


@functools.cache
def help_of(*names: str) -> str:
    """Returns what a command, or a command of a command, prints with `--help`."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        storyteller([*names, "--help"])
    return printed.getvalue()


@functools.cache
def beam_options() -> frozenset[str]:
    """Returns Beam's own options, which may follow those of some commands."""
    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve", allow_abbrev=False)
    for options in [PipelineOptions, *PipelineOptions.__subclasses__()]:
        if hasattr(options, "_add_argparse_args"):
            options._add_argparse_args(parser)
    return frozenset(parser._option_string_actions)


def problems(words: list[str]) -> Iterator[str]:
    """Yields what is wrong with a command that a page shows."""
    names = list(itertools.takewhile(lambda word: not word.startswith("-"), words))[:2]  # `packs show`; or `run PHOTO`
    if names and names[0].replace("_", "-") not in COMMANDS:
        yield f"no command {names[0]}"
        return
    known = set(re.findall(r"--[\w-]+", help_of(*names[:1]) + help_of(*names))) | beam_options()
    yield from (word for word in words if word.startswith("--") and word.partition("=")[0] not in known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_of_a_page_can_be_typed(page: Path) -> None:
    found = list(commands(page.read_text(encoding="utf-8")))
    assert [(shlex.join(words), wrong) for words in found for wrong in problems(words)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_that_a_page_speaks_of_exist(page: Path) -> None:
    named = re.findall(r"`storyteller\s+([a-z-]+)", page.read_text(encoding="utf-8"))
    assert [name for name in named if name not in COMMANDS and not name.startswith("-")] == []


def test_readme_shows_the_commands_that_people_need() -> None:
    shown = {words[0] for words in commands((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert {"run", "story", "show", "gallery", "fit-style", "status"} <= shown


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("storyteller run ~/Pictures --output stories   # a comment --nothing", []),
        ("storyteller run --runner=DataflowRunner --style romance", []),
        ("storyteller rn ~/Pictures", ["no command rn"]),
        ("storyteller status stories --max-aeg 26h", ["--max-aeg"]),
        ("storyteller packs diff a b --json", ["--json"]),
        ("storyteller packs show a --json", []),
        ("storyteller --version", []),
        ("storyteller --versoin", ["--versoin"]),
    ],
)
def test_mistakes_are_found(line: str, wrong: list[str]) -> None:
    (words,) = commands(f"text\n\n    {line}\n\nmore text\n")
    assert list(problems(words)) == wrong
