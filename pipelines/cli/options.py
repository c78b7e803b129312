"""Command lines and config files become one checked configuration and Beam's own options."""

import argparse
import contextlib
import json
from collections.abc import Sequence
from typing import Any, NoReturn, get_args

import yaml
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions

from configs.choices import Choices
from configs.schema import ConfigError, RunConfig, check_config, load_yaml

DEFAULT_RUNNER = "FnApiRunner"
REPEATABLE = tuple(name for name, field in RunConfig.model_fields.items() if isinstance(field.default, list))


class StrictParser(argparse.ArgumentParser):
    """A parser that raises its problem instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError([message])


def flag_parser(
    prog: str, description: str, more: Sequence[argparse.ArgumentParser] = (), epilog: str = ""
) -> argparse.ArgumentParser:
    """Returns the parser of the main job's flags, made from the schema, and of a command's own flags."""
    parser = StrictParser(
        prog=prog, description=description, allow_abbrev=False, epilog=epilog or EPILOG, parents=list(more)
    )
    parser.add_argument("--config", metavar="FILE", help="YAML file of the options below")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="overrides one key of the config file"
    )
    for name, field in RunConfig.model_fields.items():
        if name == "beam_options":
            continue
        options: dict[str, Any] = {
            "dest": name,
            "default": argparse.SUPPRESS,
            "help": _help(name, field.description, field.default),
        }
        if field.annotation is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif name in REPEATABLE:
            options |= {"action": "append", "metavar": "URI"}
        else:
            options["metavar"] = _metavar(Choices.model_fields.get(name, field).annotation)
        parser.add_argument(f"--{name.replace('_', '-')}", **options)
    return parser


EPILOG = (
    "All of Apache Beam's options can follow, such as --runner=DirectRunner or --temp_location=gs://bucket/tmp. "
    "Exit codes: 0 stories are published; 1 the run failed; 2 options, config or pack are wrong; 3 too many dead "
    "letters; 4 another run told the same photos meanwhile."
)


def _help(name: str, description: str | None, default: Any) -> str:
    text = (description or "").replace("%", "%%")
    if name in Choices.model_fields:
        return f"{text} (default: the pack's choice, else {Choices.model_fields[name].default})"
    shown = "" if default in (None, [], False) else f" (default: {default})"
    return text + shown


def _metavar(annotation: Any) -> str:
    kinds = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not type(None)]
    if all(isinstance(kind, str) for kind in kinds):
        return "{" + ",".join(kinds) + "}"
    first = kinds[0]
    return {int: "N", float: "X"}.get(first, "NAME")


def parse(argv: list[str], prog: str, description: str) -> tuple[RunConfig, PipelineOptions]:
    """Returns the run's configuration and Beam's options from flags, `--set` and the config file, in this order of
    precedence.

    Raises:
        ConfigError: lists every option that is unknown or wrong.
    """
    flags, rest = flag_parser(prog, description).parse_known_args([_written_form(word) for word in argv])
    given = vars(flags)
    given |= {name: sum(map(_several, given[name]), []) for name in REPEATABLE if name in given}
    config_file, assignments = given.pop("config"), given.pop("set")
    values = load_yaml(config_file) if config_file else {}
    assigned, problems = parse_assignments(assignments)
    values |= assigned
    for key in REPEATABLE:
        if isinstance(values.get(key), str):
            values[key] = [values[key]]
    try:
        config = check_config(values | given)
        beam_flags = [*_as_flags(config.beam_options), *rest]
    except ConfigError as error:
        problems += error.problems
        beam_flags = rest
    problems += unknown_to_beam(beam_flags)
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
        flags, _ = parser.parse_known_args([_written_form(word) for word in argv])
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


def parse_with_beam(parser: argparse.ArgumentParser, argv: list[str]) -> tuple[argparse.Namespace, PipelineOptions]:
    """Returns a smaller command's own flags and Beam's options.

    Raises:
        ConfigError: lists every flag that is unknown or wrong.
    """
    flags, rest = parser.parse_known_args(argv)
    problems = unknown_to_beam(rest)
    if problems:
        raise ConfigError(problems)
    return flags, beam_options(rest)


def beam_options(flags: list[str]) -> PipelineOptions:
    """Returns Beam's options; the main session is never pickled, since no entry module holds what workers run."""
    named = any(flag == "--runner" or flag.startswith("--runner=") for flag in flags)
    options = PipelineOptions(flags if named else [*flags, f"--runner={DEFAULT_RUNNER}"])
    options.view_as(SetupOptions).save_main_session = False
    return options


def _written_form(word: str) -> str:
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


def unknown_to_beam(flags: list[str]) -> list[str]:
    """Returns a problem for each flag that Beam does not know; Beam itself would only warn."""
    parser = StrictParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for group in _all_subclasses(PipelineOptions):
        if "_add_argparse_args" in vars(group):
            group._add_argparse_args(parser)
    try:
        _, unknown = parser.parse_known_args(flags)
    except ConfigError as error:
        return error.problems
    return [f"{flag}: neither this job nor Apache Beam knows this option; see --help" for flag in unknown]


def _all_subclasses(parent: type) -> list[Any]:
    children: list[Any] = parent.__subclasses__()
    return children + [below for child in children for below in _all_subclasses(child)]
