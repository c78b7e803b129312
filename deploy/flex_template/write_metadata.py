"""Writes the template's parameters from the schema: `python deploy/flex_template/write_metadata.py [--check]`."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from configs.choices import Choices  # noqa: E402  (the repository's root must be on the path first)
from configs.schema import RunConfig  # noqa: E402  (the repository's root must be on the path first)
from configs.values import DEADLINE  # noqa: E402

METADATA = Path(__file__).with_name("metadata.json")
LEFT_OUT = {
    "wave_size": "waves are for local runners",
    "beam_options": "Beam's options come as those of `gcloud dataflow flex-template run`",
}
REQUIRED = ("output", "pack")  # their defaults are local, which Dataflow's workers cannot see

URI = r"[a-z][a-z0-9+.-]*://"
PLACE = rf"^{URI}\S(.*\S)?$"
SEVERAL_PLACES = rf'^({URI}\S(.*\S)?|\["{URI}[^"]+"(, ?"{URI}[^"]+")*\])$'
NAME = r"^[^\s-](.*\S)?$"
PATTERNS = {
    "input": SEVERAL_PLACES,
    "uris": SEVERAL_PLACES,
    "roots": SEVERAL_PLACES,
    "schemes": r'^([a-z][a-z0-9+.-]*|\["[a-z][a-z0-9+.-]*"(, ?"[a-z][a-z0-9+.-]*")*\])$',
    "features": PLACE,
    "output": PLACE,
    "pack": PLACE,
    "style": r"^[^\s,+-][^\s,+]*((, ?|\+)[^\s,+-][^\s,+]*)*$",
    "decoder": NAME,
    "deadline": f"^({DEADLINE})$",
    "since": r"^([0-9]{1,6}[smhd]|20[0-9]{2}-[01][0-9]-[0-3][0-9]([ T][0-2][0-9]:[0-5][0-9](:[0-5][0-9])?)?)$",
    "accelerator": r"^type:[a-z0-9-]+;count:[1-9][0-9]?(;[a-z0-9_-]+(:[a-z0-9.-]+)?)*$",
}
"""Patterns of values for which the schema has no rule; Go and Python both understand them."""

IMAGE = {
    "name": "sdk_container_image",
    "label": "Worker image",
    "helpText": "image of the workers: the one that this template was built from, REGISTRY/PROJECT/storyteller:0.1.0",
    "isOptional": False,
    "regexes": [r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?$"],
    "paramType": "TEXT",
}


def metadata() -> dict[str, Any]:
    """Returns the template's name and parameters."""
    names = [name for name in RunConfig.model_fields if name not in LEFT_OUT]
    names.sort(key=lambda name: name not in REQUIRED)
    return {
        "name": "Beam Storyteller",
        "description": "Writes a short story about each photo of a bucket that has none yet, as Parquet files.",
        "parameters": [IMAGE, *map(parameter, names)],
    }


def parameter(name: str) -> dict[str, Any]:
    """Returns the description of one option as a parameter, whose value is always text."""
    field, rules = RunConfig.model_fields[name], _rules(name)
    found: dict[str, Any] = {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "helpText": _help(name),
        "isOptional": name not in REQUIRED,
        "regexes": [_pattern(name, rules)],
        "paramType": _kind(rules),
    }
    if "enum" in rules:
        found["enumOptions"] = [{"value": value, "label": value} for value in rules["enum"]]
    if field.default not in (None, []) and name not in REQUIRED:
        found["defaultValue"] = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    return found


def _rules(name: str) -> dict[str, Any]:
    """Returns the JSON schema of an option's values other than None."""
    schema = RunConfig.model_json_schema()["properties"][name]
    return next(one for one in schema.get("anyOf", [schema]) if one.get("type") != "null")


def _help(name: str) -> str:
    text = RunConfig.model_fields[name].description or ""
    if isinstance(RunConfig.model_fields[name].default, list):
        example = '["gs", "s3"]' if name == "schemes" else '["gs://BUCKET/a/**", "gs://BUCKET/b/**"]'
        return text.partition("; repeatable")[0] + f"; several as a JSON list, such as {example}"
    if name in Choices.model_fields:
        return f"{text} (default: the pack's choice, else {Choices.model_fields[name].default})"
    return text.partition(". Default:")[0] if name in REQUIRED else text


def _kind(rules: dict[str, Any]) -> str:
    if "enum" in rules:
        return "ENUM"
    return {"boolean": "BOOLEAN", "integer": "NUMBER", "number": "NUMBER"}.get(rules["type"], "TEXT")


def _pattern(name: str, rules: dict[str, Any]) -> str:
    """Returns the pattern of an option's values; the range of numbers is checked by the job itself."""
    if name in PATTERNS:
        return PATTERNS[name]
    if "enum" in rules:
        return f"^({'|'.join(rules['enum'])})$"
    if rules["type"] == "boolean":
        return "^(true|false)$"
    if rules["type"] in ("integer", "number"):
        sign = "" if rules.get("minimum", -1) >= 0 else "-?"
        digits = len(str(int(rules.get("maximum", 10**11))))
        whole = f"[1-9][0-9]{{0,{digits - 1}}}"
        whole = whole if rules.get("minimum") == 1 else f"(0|{whole})"
        return f"^{sign}{whole}$" if rules["type"] == "integer" else rf"^{sign}{whole}(\.[0-9]{{1,9}})?$"
    return str(rules.get("pattern", NAME))


def main() -> int:
    """Returns 0, or 1 with `--check` if the file is stale."""
    new = json.dumps(metadata(), indent=2) + "\n"
    if "--check" in sys.argv[1:]:
        stale = METADATA.read_text(encoding="utf-8") != new
        if stale:
            print(f"{METADATA.relative_to(ROOT)} is stale; run `make docs`", file=sys.stderr)
        return int(stale)
    METADATA.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
