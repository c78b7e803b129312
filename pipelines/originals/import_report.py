"""The report of an import: shown line by line, and collected for the end."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tqdm import tqdm

from pipelines.originals.damage import Damage

Value = TypeVar("Value")


@dataclass
class ImportReport:
    """Problems fail the import at its end; a missing file only leaves a component out.

    Attributes:
        problems: each damaged file, with what to do.
        missing: each file that is not there, with what does not work without it.
        notes: what was converted or chosen.
        published: for each file with a published name, whether it is the published file.
    """

    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    published: dict[str, bool] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Shows one line of progress."""
        tqdm.write(line, file=sys.stderr)

    def note(self, line: str) -> None:
        """Shows and keeps a remark."""
        self.notes.append(line)
        self.say(f"note: {line}")

    def lack(self, line: str) -> None:
        """Shows and keeps a missing file."""
        self.missing.append(line)
        self.say(f"missing: {line}")

    def problem(self, *lines: str) -> None:
        """Shows and keeps a problem, once."""
        for line in lines:
            if line not in self.problems:
                self.problems.append(line)
                self.say(f"problem: {line}")

    def attempt(self, reader: Callable[..., Value], *arguments: object) -> Value | None:
        """Returns what `reader` returns, or None after keeping the damage that it found."""
        try:
            return reader(*arguments)
        except Damage as damage:
            self.problem(*damage.problems)
        except OSError as error:
            self.problem(
                f"{error.filename or 'a file'}: cannot be read ({error.strerror}); check the disk and its rights"
            )
        return None
