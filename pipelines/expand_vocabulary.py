"""More words for a sentence encoder: `python -m pipelines.expand_vocabulary --pack OLD --output NEW --texts GLOB`."""

import sys

from pipelines.cli.ending import end_process
from pipelines.pack_tools.vocabulary import main

if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
