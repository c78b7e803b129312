"""The main job: `python -m pipelines.run --input 'gs://photos/2026/**' --output gs://stories --style romance`."""

import sys

from pipelines.cli.ending import end_process
from pipelines.nightly.main_job import main

if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
