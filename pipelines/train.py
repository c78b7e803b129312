"""Trains one network of the chain, or packs what was trained.

    python -m pipelines.train NETWORK --config FILE --data DIR --output DIR

A second call with the same output goes on from the last checkpoint.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.training.corpus import Corpus
from pipelines.training.networks import NETWORKS
from pipelines.training.original_networks import choose_network
from pipelines.training.settings import ConfigError, read_settings


def parser() -> argparse.ArgumentParser:
    """Returns the command line's options."""
    options = argparse.ArgumentParser(prog="python -m pipelines.train", description=__doc__)
    options.add_argument("network", choices=sorted(NETWORKS), help="what to train")
    options.add_argument("--config", type=Path, required=True, help="YAML file, such as configs/training/decoder.yaml")
    options.add_argument("--data", type=Path, required=True, help="folder of photos, captions and novels")
    options.add_argument("--output", type=Path, required=True, help="folder for weights, log and checkpoint")
    options.add_argument(
        "--prepared", type=Path, help="folder for prepared data (default: `prepared` beside the output)"
    )
    options.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override the file")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 where the configuration is wrong or a file is missing."""
    arguments = parser().parse_args(argv)
    corpus = Corpus(arguments.data, arguments.prepared or arguments.output.parent / "prepared")
    try:
        settings = read_settings(arguments.config, arguments.set)
        figures = choose_network(arguments.network, settings)(settings, corpus, arguments.output)
    except ConfigError as error:
        print(f"{arguments.config}: {error}", file=sys.stderr)
        return 2
    except FileNotFoundError as error:
        print(f"{error.filename}: not there; look at --config, --data and what was trained before", file=sys.stderr)
        return 2
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
