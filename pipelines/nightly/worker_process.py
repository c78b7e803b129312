"""A worker process of a run on this machine: `python -m pipelines.nightly.worker_process NAME`.

pipelines/nightly/workers.py starts it. It holds nothing of its own: when the run that started it ends,
however that ends, so does it.
"""

import importlib
import logging
import sys

from pipelines.cli.ending import end_process
from transforms.lifeline import tie


def main(argv: list[str]) -> None:
    """Serves the run, by the module of Beam that is named, until there is no more work."""
    tie(sys.stdin.fileno())
    harness = importlib.import_module(argv[1])  # takes seconds, in which the run may end too
    logging.getLogger(harness.__name__).setLevel(logging.ERROR)  # it warns of what local runs never have
    harness.main(argv)


if __name__ == "__main__":
    main(sys.argv)
    end_process(0)
