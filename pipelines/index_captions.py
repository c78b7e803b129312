"""A caption index made ahead: `python -m pipelines.index_captions --pack OLD --output NEW --captions FILE`."""

import sys

from pipelines.ending import end_process
from pipelines.indexing import main

if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
