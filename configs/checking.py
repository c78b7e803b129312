"""Reading and checking configurations: every problem is reported at once, in words for people."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from configs.spelling import did_you_mean
from configs.values import at_home

Schema = TypeVar("Schema", bound=BaseModel)


class ConfigError(Exception):
    """Wrong options, config file or pack; `problems` lists every problem, where it is and what to do."""

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else problems
        super().__init__("; ".join(self.problems))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[list[str]]]:
        return type(self), (self.problems,)


def load_yaml(path: str) -> dict[str, Any]:
    """Returns a config file's mapping.

    Raises:
        ConfigError: the file cannot be read or is not a mapping.
    """
    try:
        content = yaml.safe_load(Path(at_home(path)).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError([f"--config {path}: cannot be read ({error})"]) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError([f"--config {path}: does not consist of keys and values"])
    return content


def checked(schema: type[Schema], values: dict[str, Any]) -> Schema:
    """Returns the checked values of a schema.

    Raises:
        ConfigError: lists each key that is unknown, missing or wrong.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ConfigError([_problem(detail, schema) for detail in error.errors()]) from error


def _problem(detail: Mapping[str, Any], schema: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{key}: no such option{did_you_mean(key, schema.model_fields) or '; see --help'}"
    if detail["type"] == "missing":
        return f"{key}: is missing"
    if not key:
        return str(detail["ctx"]["error"])
    if detail["type"] == "value_error":
        return f"{key} = {detail['input']!r}: {detail['ctx']['error']}"
    choices = re.findall("'([^']+)'", detail["msg"]) if detail["type"] == "literal_error" else []
    return f"{key} = {detail['input']!r}: {detail['msg'].lower()}{did_you_mean(str(detail['input']), choices)}"
