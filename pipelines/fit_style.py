"""A style of your own: `python -m pipelines.fit_style --pack OLD --output NEW --name X --texts 'books/*.txt'`."""

import sys

from pipelines.styles import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
