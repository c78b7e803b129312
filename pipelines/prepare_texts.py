"""Corpora to train on: `python -m pipelines.prepare_texts --books 'novels/*.txt' --captions captions.tsv --output DIR`.

See docs/prepared-texts.md for what it leaves, and `pipelines.training.prepared.read_prepared` for reading it.
"""

import sys

from pipelines.ending import end_process
from pipelines.preparation.command import main

if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
