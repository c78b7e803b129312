"""Writes the table of options from configs/schema.py into its page: `python docs/scripts/option_table.py [--check]`."""

import sys
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from configs.choices import Choices  # noqa: E402  (the repository's root must be on the path first)
from configs.effects import DECLARED  # noqa: E402
from configs.schema import RunConfig  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "options.md"
START = "<!-- options: written by `make docs` from configs/schema.py -->\n"
END = "<!-- end of options -->"


def table() -> str:
    """Returns a Markdown table with a row for each option."""
    rows = ["| option | default | what it does | changes |", "| --- | --- | --- | --- |"]
    for name, field in RunConfig.model_fields.items():
        option = f"`{name}` (config files only)" if name == "beam_options" else f"`--{name.replace('_', '-')}`"
        meaning = (field.description or "").replace("|", "\\|").replace("*", "\\*")
        annotation = Choices.model_fields.get(name, field).annotation
        if choices := [choice for choice in get_args(annotation) if isinstance(choice, str)]:
            meaning += f" ({', '.join(f'`{choice}`' for choice in choices)})"
        rows.append(f"| {option} | {_shown(name, field.default)} | {meaning} | {_effect(name)} |")
    return "\n".join(rows) + "\n"


def _effect(name: str) -> str:
    effect = DECLARED[name].effect
    return {"nothing": "", "named": "stories"}.get(effect, effect)


def _shown(name: str, default: Any) -> str:
    if name in Choices.model_fields:
        return f"the pack's, else `{Choices.model_fields[name].default}`"
    if default in (None, [], {}):
        return ""
    return "off" if default is False else "on" if default is True else f"`{default}`"


def with_table(page: str) -> str:
    """Returns the page's text with a fresh table."""
    before, rest = page.split(START)
    return before + START + table() + END + rest.split(END, 1)[1]


def main() -> int:
    """Returns 0, or 1 with `--check` where the page's table is stale."""
    old = PAGE.read_text(encoding="utf-8")
    new = with_table(old)
    if "--check" in sys.argv[1:]:
        if new != old:
            print("docs/reference/options.md: the table of options is stale; run `make docs`", file=sys.stderr)
        return int(new != old)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
