"""Training configurations: YAML sections become dataclasses of the networks; unknown keys are refused."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from configs.schema import ConfigError

Section = TypeVar("Section")

RENAMED = {"dearest": "max_cost"}  # keys in configurations of earlier versions


def read_settings(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the sections of a configuration file with `section.key=value` overrides applied.

    Raises:
        ConfigError: the file is not a mapping of sections, or an override has no section, key and value.
    """
    settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(settings, dict) or not all(isinstance(section, dict) for section in settings.values()):
        raise ConfigError(f"{path} must hold sections (such as network and training), each with keys and values")
    for override in overrides:
        name, found, value = override.partition("=")
        *sections, key = name.split(".")
        if not (found and sections and all((*sections, key))):
            raise ConfigError(f"--set {override}: write it as section.key=value")
        place = settings
        for part in sections:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {override}: {part} is a value and holds no keys")
        place[key] = yaml.safe_load(value)
    return settings


def section(settings: Mapping[str, Any], name: str, kind: type[Section]) -> Section:
    """Returns one section as `kind`, whose fields name the keys.

    Raises:
        ConfigError: a key is unknown or missing, or a value does not have the type of the field.
    """
    found = settings.get(name) or {}
    if not isinstance(found, Mapping):
        raise ConfigError(f"{name} is {found!r}, but must hold keys and values")
    values: dict[str, Any] = {RENAMED.get(key, str(key)): value for key, value in found.items()}
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    problems = [f"{name}.{key} is not an option; known are {', '.join(known)}" for key in values if key not in known]
    for key, value in values.items():
        wanted = known[key].type if key in known else None
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            values[key] = float(value)
        elif wanted in (int, float, str, bool) and type(value) is not wanted:
            problems.append(f"{name}.{key} is {value!r}, but must be of type {wanted.__name__}")
    if problems:
        raise ConfigError(problems)
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"section {name}: {error}") from error
