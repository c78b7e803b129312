"""A worker process of a run on this machine, started by pipelines/workers.py: `python -m pipelines.worker_process`.

It holds nothing of its own: when the run that started it ends, however that ends, so does it.
"""

import logging
import sys

from pipelines.ending import end_process
from transforms.lifeline import tie


def main(argv: list[str]) -> None:
    """Serves the run until it has no more work."""
    tie(sys.stdin.fileno())
    from apache_beam.runners.worker import sdk_worker_main  # takes seconds, in which the run may end too

    logging.getLogger(sdk_worker_main.__name__).setLevel(logging.ERROR)  # it warns of what local runs never have
    sdk_worker_main.main(argv)


if __name__ == "__main__":
    main(sys.argv)
    end_process(0)
