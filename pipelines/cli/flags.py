"""The parsers of command lines. Nothing here loads Beam or torch: help, mistakes and completion come at once."""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args

from pydantic.fields import FieldInfo

from configs.choices import Choices
from configs.schema import ConfigError, RunConfig
from configs.spelling import did_you_mean
from model_handlers.pack_card import PackError
from pipelines.cli.packs_at_hand import find_pack

WORD = "storyteller"
"""The console command."""

DEVICES = get_args(RunConfig.model_fields["device"].annotation)
REPEATABLE = tuple(name for name, field in RunConfig.model_fields.items() if isinstance(field.default, list))
INVALID_CHOICE = re.compile(r"invalid choice: '?(.*?)'? \(choose from (.*)\)")
GROUPS = {
    "input": "photos",
    "output": "where the stories go",
    "pack": "stories",
    "keep_features": "networks and pixels",
    "max_dead_letter_ratio": "how the job runs",
}
"""Headings in the help of the main job: each option belongs to the last one named up to it."""

METAVARS = {
    "input": "PHOTO",
    "uris": "FILE",
    "schemes": "SCHEME",
    "roots": "PLACE",
    "since": "WHEN",
    "features": "FILE",
    "output": "DIR",
    "pack": "PACK",
    "lease": "TIME",
    "deadline": "TIME",
}
"""What stands for an option's value in the help, where the value's type does not say it."""

DESCRIPTION = "Writes a short story about each photo of a folder, a bucket or a list, as Parquet files."
EPILOG = (
    "All of Apache Beam's options can follow, such as --runner=DirectRunner or --temp_location=gs://bucket/tmp. "
    "Exit codes: 0 stories are published; 1 the run failed; 2 options, config or pack are wrong; 3 too many dead "
    "letters; 4 another run processed the same photos meanwhile."
)


def asks_for_help(argv: Sequence[str]) -> bool:
    """Says whether a command line asks for the command's help."""
    return not {"-h", "--help"}.isdisjoint(argv)


def program(command: str) -> str:
    """Returns how a command was typed, for its help: with the console command, or as a module."""
    if Path(sys.argv[0]).stem == WORD:
        return f"{WORD} {command.replace('_', '-')}"
    return f"python -m pipelines.{command}"


def a_pack(name: str) -> str:
    """Returns the location of a pack that a command line names by it, or by the pack's name.

    Raises:
        ArgumentTypeError: no pack has the name, or several have.
    """
    try:
        return find_pack(name)
    except PackError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def at_least_one(text: str) -> int:
    """Returns an option's number.

    Raises:
        ArgumentTypeError: the text is not a whole number above 0.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


class StrictParser(argparse.ArgumentParser):
    """A parser that raises its problems instead of ending the process."""

    @property
    def flags(self) -> set[str]:
        """Returns every flag that the parser or one of its subcommands knows."""
        below = (parser for action in self._actions for parser in _subparsers(action))
        return set(self._option_string_actions).union(*(parser.flags for parser in below))

    def error(self, message: str) -> NoReturn:
        """Raises the problem as a ConfigError."""
        wrong = INVALID_CHOICE.search(message)
        raise ConfigError([message + (did_you_mean(wrong[1], wrong[2].replace("'", "").split(", ")) if wrong else "")])

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: object = None) -> tuple[Any, list[str]]:
        """Returns the values of the flags, and the words that the parser does not know.

        Raises:
            ConfigError: lists what is wrong; where a flag is missing, also those that may be meant for it.
        """
        try:
            return super().parse_known_args(args, namespace)
        except ConfigError as error:
            words = sys.argv[1:] if args is None else args
            misspelt = [self.unknown(word) for word in words if self._is_misspelt(word)]
            raise ConfigError([*error.problems, *(one for one in misspelt if one not in error.problems)]) from error

    def parse_args(self, args: Iterable[str] | None = None, namespace: object = None) -> Any:  # noqa: ANN401, any namespace
        """Returns the values of the flags.

        Raises:
            ConfigError: lists what is wrong, and each word that the parser does not know.
        """
        values, unknown = self.parse_known_args(args, namespace)
        if unknown:
            raise ConfigError([self.unknown(word) for word in unknown])
        return values

    def unknown(self, word: str) -> str:
        """Returns what to say of a word that the parser does not know."""
        if not word.startswith("-"):
            return f"{word}: one word too many; see --help"
        return f"{word}: no such option{did_you_mean(flag_of(word), self.flags) or '; see --help'}"

    def _is_misspelt(self, word: str) -> bool:
        known = self.flags
        return word.startswith("--") and flag_of(word) not in known and bool(did_you_mean(flag_of(word), known))


def _subparsers(action: argparse.Action) -> Iterator[StrictParser]:
    if isinstance(action, argparse._SubParsersAction):
        yield from action.choices.values()


def flag_of(word: str) -> str:
    """Returns the flag of a word such as `--flag=value`."""
    return word.partition("=")[0]


def flag_parser(
    prog: str, description: str, more: Sequence[argparse.ArgumentParser] = (), epilog: str = ""
) -> StrictParser:
    """Returns the parser of the main job's flags, made from the schema, and of a command's own flags.

    Photos that are named without a flag are in its help only: `with_input_flags` makes flags of them before.
    """
    usage = "%(prog)s [PHOTO ...] [options] [Apache Beam's options]"
    parser = StrictParser(
        prog=prog, usage=usage, description=description, allow_abbrev=False, epilog=epilog or EPILOG, parents=list(more)
    )
    parser.add_argument("photos", nargs="*", metavar="PHOTO", help="folders, globs or URIs, as with --input")
    group = parser.add_argument_group("configuration")
    group.add_argument("--config", metavar="FILE", help="YAML file of the options below")
    group.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="overrides one key of the config file"
    )
    add_options(parser, [name for name in RunConfig.model_fields if name != "beam_options"])
    return parser


def add_options(parser: StrictParser, names: Sequence[str]) -> None:
    """Adds options of the main job to a parser, in groups by their use."""
    for name, field in RunConfig.model_fields.items():
        if name in GROUPS:
            group = parser.add_argument_group(GROUPS[name])
        if name in names:
            group.add_argument(f"--{name.replace('_', '-')}", **_flag_options(name, field))


def _flag_options(name: str, field: FieldInfo) -> dict[str, Any]:
    options: dict[str, Any] = {
        "dest": name,
        "default": argparse.SUPPRESS,
        "help": _help(name, field.description, field.default),
    }
    if field.annotation is bool:
        return options | {"action": argparse.BooleanOptionalAction}
    if name in REPEATABLE:
        options["action"] = "append"
    return options | {"metavar": METAVARS.get(name) or _metavar(Choices.model_fields.get(name, field).annotation)}


def _help(name: str, description: str | None, default: object) -> str:
    text = (description or "").replace("%", "%%")
    if name in Choices.model_fields:
        return f"{text} (default: the pack's choice, else {Choices.model_fields[name].default})"
    shown = "" if default in (None, [], False) else f" (default: {'on' if default is True else default})"
    return text + shown


def _metavar(annotation: object) -> str:
    kinds: list[Any] = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not type(None)]
    if all(isinstance(kind, str) for kind in kinds):
        return "{" + ",".join(kinds) + "}"
    first = kinds[0]
    return {int: "N", float: "X"}.get(first, "NAME")


def written_form(word: str) -> str:
    """Returns one of our own flags in its written form.

    Underscores, as Beam's flags have them, are taken too, and `=true` or `=false` behind a switch: what launches a
    template gives each flag a value.
    """
    flag, equals, value = word.partition("=")
    name = flag.removeprefix("--").replace("-", "_")
    if not flag.startswith("--") or name not in RunConfig.model_fields:
        return word
    hyphened = name.replace("_", "-")
    if RunConfig.model_fields[name].annotation is bool and value.lower() in ("true", "false"):
        return f"--{hyphened}" if value.lower() == "true" else f"--no-{hyphened}"
    return f"--{hyphened}{equals}{value}"


def with_input_flags(words: Sequence[str], switches: set[str]) -> list[str]:
    """Returns a command line of flags only: photos named without a flag get `--input=`, and values join their flags.

    The word behind a flag without `=` is its value, unless the flag is a switch: so that of an unknown flag, too, is
    never taken for a photo. Behind `--` all words are photos.

    Args:
        words: the command line.
        switches: the flags that take no value.
    """
    made: list[str] = []
    open_flag = False  # the last word is a flag that wants a value
    for place, word in enumerate(words):
        if word == "--" and not open_flag:
            return made + [f"--input={name}" for name in words[place + 1 :]]
        is_flag = word.startswith("--" if open_flag else "-") and word != "-"  # a value may be -0.5
        if is_flag:
            made.append(word)
        elif open_flag:
            made[-1] += f"={word}"
        else:
            made.append(f"--input={word}")
        open_flag = is_flag and "=" not in word and word not in switches
    return made


def switches_of(parser: argparse.ArgumentParser) -> set[str]:
    """Returns the flags of a parser that take no value."""
    return {flag for flag, action in parser._option_string_actions.items() if action.nargs == 0}
