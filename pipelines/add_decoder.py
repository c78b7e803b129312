"""A story decoder of your own: `python -m pipelines.add_decoder --pack OLD --output NEW --name X --trained DIR`."""

import sys

from pipelines.decoders import main
from pipelines.ending import end_process

if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
