"""Completion in the shell: commands, their options, and the values of some options."""

import argparse
import glob
import importlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import argcomplete
from argcomplete.lexers import split_line

from configs.schema import RunConfig
from model_handlers.pack_card import CARD
from pipelines.cli.flags import WORD
from pipelines.cli.packs_at_hand import POCKET, find_pack, packs_at_hand

Completer = Callable[..., Iterable[str]]


def complete(commands: Mapping[str, str]) -> NoReturn:
    """Writes the words that can complete the shell's line at the cursor, and ends the process.

    Args:
        commands: description of each command; only the command in the line is imported.
    """
    *_, words, _ = split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))
    chosen = words[1] if len(words) > 1 else ""
    parser = argparse.ArgumentParser(prog=WORD, add_help=False)
    known = parser.add_subparsers()
    own = None
    for name, text in commands.items():
        if chosen.replace("_", "-") == name:
            own = importlib.import_module(f"pipelines.{name.replace('-', '_')}").command_line()
            add_completers(own)
            known.add_parser(chosen, parents=[own], add_help=False)
        else:
            known.add_parser(name, help=text, add_help=False)
    argcomplete.autocomplete(parser, always_complete_options=own is None or not _has_arguments(own))
    raise AssertionError("completion ends the process")


def _has_arguments(parser: argparse.ArgumentParser) -> bool:
    return any(not action.option_strings for action in parser._actions)


def add_completers(parser: argparse.ArgumentParser) -> None:
    """Gives a parser's options, and those of its subcommands, functions that complete their values."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                add_completers(below)
        elif completer := COMPLETERS.get(action.dest) or COMPLETERS.get(str(action.metavar)) or _choices(action):
            action.completer = completer  # type: ignore[attr-defined]


def _choices(action: argparse.Action) -> Completer | None:
    """Returns a function that completes the values in a metavar such as `{auto,cpu}`."""
    listed = str(action.metavar)
    return (lambda **_: listed.strip("{}").split(",")) if listed.startswith("{") else None


def packs(prefix: str, **_: object) -> Iterator[str]:
    """Yields the names of packs, and the folders whose paths start with what is typed so far."""
    yield from (pack.name for pack in packs_at_hand())
    start = os.path.expanduser(prefix)
    for folder in sorted(glob.glob(f"{glob.escape(start)}*/")):
        yield prefix + folder[len(start) :]


def members(group: str) -> Completer:
    """Returns a function that completes names in a group of the pack's components, also after commas and +."""

    def names(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
        before = prefix[: len(prefix) - len(re.split("[,+]", prefix)[-1])]
        return [f"{before}{name}" for name in _card(parsed_args)["components"].get(group, {})]

    return names


def _card(flags: argparse.Namespace) -> dict[str, Any]:
    pack = find_pack(getattr(flags, "pack", None) or POCKET)
    content: dict[str, Any] = json.loads((Path(pack) / CARD).read_text("utf-8"))
    return content


def keys(**_: object) -> list[str]:
    """Returns the keys of `--set`, each with its equals sign."""
    return [f"{name}=" for name in RunConfig.model_fields]


COMPLETERS: dict[str, Completer] = {
    "pack": packs,
    "other": packs,
    "style": members("styles"),
    "decoder": members("decoders"),
    "KEY=VALUE": keys,
}
