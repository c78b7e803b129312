"""A style of your own: `python -m pipelines.fit_style --pack OLD --output NEW --name X --texts 'books/*.txt'`."""

import sys

from pipelines.cli.ending import end_process
from pipelines.pack_tools.styles import main

if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
