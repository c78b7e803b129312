"""A story decoder of your own: `python -m pipelines.add_decoder --pack OLD --output NEW --name X --trained DIR`."""

import sys

from pipelines.cli.ending import end_process
from pipelines.training.packing.trained_decoder import main

if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
