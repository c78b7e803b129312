"""Corpora to train on: `python -m pipelines.prepare_texts --books 'novels/*.txt' --captions captions.tsv --output DIR`.

See docs/how-to/prepared-texts.md for what it leaves; `pipelines.training.data.prepared.read_prepared` reads it.
"""

import sys

from pipelines.cli.ending import end_process
from pipelines.corpora.preparation.prepare_command import main

if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
