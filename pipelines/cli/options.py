"""Command lines and config files become one checked configuration and Beam's own options.

Beam is loaded only when its options are looked at.
"""

import argparse
import contextlib
import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from configs.schema import ConfigError, RunConfig, check_config, load_yaml
from configs.spelling import did_you_mean
from pipelines.cli.flags import (
    REPEATABLE,
    StrictParser,
    flag_of,
    flag_parser,
    switches_of,
    with_input_flags,
    written_form,
)

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

DEFAULT_RUNNER = "FnApiRunner"


def parse(argv: list[str], prog: str, description: str) -> tuple[RunConfig, "PipelineOptions"]:
    """Returns the run's configuration and Beam's options.

    A flag comes before `--set`, and that before the config file.

    Raises:
        ConfigError: lists every option that is unknown or wrong.
    """
    parser = flag_parser(prog, description)
    words = with_input_flags([written_form(word) for word in argv], switches_of(parser) | switches_of(_beam_parser()))
    flags, rest = parser.parse_known_args(words)
    given = vars(flags)
    given |= {name: sum(map(_several, given[name]), []) for name in REPEATABLE if name in given}
    config_file, assignments, _ = given.pop("config"), given.pop("set"), given.pop("photos")
    values = load_yaml(config_file) if config_file else {}
    assigned, problems = parse_assignments(assignments)
    values |= assigned
    try:
        config = check_config(values | given)
        beam_flags = [*_as_flags(config.beam_options), *rest]
    except ConfigError as error:
        problems += error.problems
        beam_flags = rest
    problems += unknown_to_beam(beam_flags, parser.flags)
    if problems:
        raise ConfigError(problems)
    return config, beam_options(beam_flags)


def log_format_of(argv: list[str]) -> str:
    """Returns the log format that a command line asks for, which is wanted before its other problems can be told."""
    parser = StrictParser(add_help=False, allow_abbrev=False)
    for flag in ("--log-format", "--config"):
        parser.add_argument(flag)
    parser.add_argument("--set", action="append", default=[])
    values: dict[str, Any] = {}
    with contextlib.suppress(ConfigError):
        flags, _ = parser.parse_known_args([written_form(word) for word in argv])
        values |= {"log_format": flags.log_format} if flags.log_format else parse_assignments(flags.set)[0]
        if flags.config and "log_format" not in values:
            values |= load_yaml(flags.config)
    return str(values.get("log_format", "text"))


def parse_assignments(assignments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Returns the values of `--set KEY=VALUE` by key, and what is wrong with others."""
    values: dict[str, Any] = {}
    problems = []
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            problems.append(f"--set {assignment}: write it as key=value")
        else:
            try:
                values[key.replace("-", "_")] = yaml.safe_load(value)
            except yaml.YAMLError as error:
                problems.append(f"--set {assignment}: the value is no YAML ({' '.join(str(error).split())})")
    return values, problems


def parse_with_beam(parser: StrictParser, argv: list[str]) -> tuple[argparse.Namespace, "PipelineOptions"]:
    """Returns a smaller command's own flags and Beam's options.

    Raises:
        ConfigError: lists every flag that is unknown or wrong.
    """
    flags, rest = parser.parse_known_args(argv)
    problems = unknown_to_beam(rest, parser.flags)
    if problems:
        raise ConfigError(problems)
    return flags, beam_options(rest)


def beam_options(flags: list[str]) -> "PipelineOptions":
    """Returns Beam's options; the main session is never pickled, since no entry module holds what workers run."""
    from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions

    named = any(flag == "--runner" or flag.startswith("--runner=") for flag in flags)
    options = PipelineOptions(flags if named else [*flags, f"--runner={DEFAULT_RUNNER}"])
    options.view_as(SetupOptions).save_main_session = False
    return options


def _several(value: str) -> list[str]:
    """Returns the values of a repeatable flag: one, or those of a JSON list, for what can give a flag only once."""
    with contextlib.suppress(ValueError):
        found = json.loads(value)
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return found
    return [value]


def _as_flags(beam_options: dict[str, Any]) -> list[str]:
    flags = []
    for key, value in beam_options.items():
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                flags.append(f"--{key}")
            elif one is not False and one is not None:
                flags.append(f"--{key}={one}")
    return flags


def unknown_to_beam(words: list[str], others: Collection[str] = ()) -> list[str]:
    """Returns a problem for each word that Beam does not know; Beam itself would only warn.

    Args:
        words: those that our parser does not know.
        others: our own flags, which may have been meant.
    """
    beam = _beam_parser()
    try:
        _, unknown = beam.parse_known_args(words)
    except ConfigError as error:
        return error.problems
    known = beam.flags.union(others)
    return [
        f"{word}: neither this job nor Apache Beam knows this option{_meant(word, known) or '; see --help'}"
        for word in unknown
    ]


def _meant(word: str, known: set[str]) -> str:
    return did_you_mean(flag_of(word), known) if word.startswith("-") else ""


def _beam_parser() -> StrictParser:
    """Returns the parser of all of Beam's options."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = StrictParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for group in _all_subclasses(PipelineOptions):
        if "_add_argparse_args" in vars(group):
            group._add_argparse_args(parser)
    return parser


def _all_subclasses(parent: type) -> list[Any]:
    children: list[Any] = parent.__subclasses__()
    return children + [below for child in children for below in _all_subclasses(child)]
