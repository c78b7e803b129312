"""The main job, killed with its whole process group at a call of a function. Run as a program by tests.

Arguments: module and name of the function, `before` or `after` the call, which call, and the job's own. A call is known
by its number, or as the first one whose first argument holds a text.
"""

import functools
import importlib
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))


def set_trap(module: str, name: str, when: str, which: str) -> None:
    """Puts a function in a function's place that ends this process group at one of its calls."""
    target = importlib.import_module(module)
    inner = getattr(target, name)
    calls = itertools.count(1)

    @functools.wraps(inner)
    def deadly(*arguments: Any, **options: Any) -> Any:
        number = next(calls)
        last = number == int(which) if which.isdigit() else which in str(arguments[0])
        if last and when == "before":
            os.killpg(0, signal.SIGKILL)
        result = inner(*arguments, **options)
        if last:
            os.killpg(0, signal.SIGKILL)
        return result

    setattr(target, name, deadly)


if __name__ == "__main__":
    from pipelines.nightly.main_job import main

    set_trap(*sys.argv[1:5])
    sys.exit(main(sys.argv[5:]))
