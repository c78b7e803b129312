"""A caption index made ahead: `python -m pipelines.index_captions --pack OLD --output NEW --captions FILE`."""

import sys

from pipelines.cli.ending import end_process
from pipelines.pack_tools.indexing import main

if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
