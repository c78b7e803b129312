"""Trains one network of the chain, or packs what was trained.

    python -m pipelines.train NETWORK --config FILE --data DIR --output DIR

A second call with the same output goes on from the last checkpoint. With --corpus, sentence encoder and story decoder
learn a corpus of pipelines.prepare_texts.
"""

import argparse
import errno
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from model_handlers.pack_card import PackError
from pipelines.training.data.corpus import Corpus
from pipelines.training.engine.training_settings import ConfigError, read_settings
from pipelines.training.recipe_2015.networks_2015 import PACK, choose_network
from pipelines.training.recipes.networks import NETWORKS

ENCODER = "skip_thoughts"
READ_CORPORA = (ENCODER, "decoder")


def parser() -> argparse.ArgumentParser:
    """Returns the command line's options."""
    options = argparse.ArgumentParser(prog="python -m pipelines.train", description=__doc__)
    options.add_argument("network", choices=[*NETWORKS, PACK], help="what to train; pack: all in order")
    options.add_argument("--config", type=Path, required=True, help="YAML file, such as configs/training/pocket.yaml")
    options.add_argument("--data", type=Path, help="folder of photos, captions and novels")
    options.add_argument("--output", type=Path, required=True, help="folder for weights, log and checkpoint")
    options.add_argument(
        "--prepared", type=Path, help="folder for prepared data (default: `prepared` beside the output)"
    )
    options.add_argument(
        "--corpus", type=Path, help="corpus of pipelines.prepare_texts to learn; skip_thoughts needs no --data then"
    )
    options.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override the file")
    return options


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Returns the command line's values; one that is wrong ends the process with exit code 2."""
    options = parser()
    arguments = options.parse_args(argv)
    network = arguments.network
    if arguments.corpus and network not in READ_CORPORA:
        options.error(f"--corpus: {network} reads none; {' and '.join(READ_CORPORA)} do")
    if not arguments.data and not (arguments.corpus and network == ENCODER):
        options.error(f"--data is needed; only {ENCODER} with a --corpus does without")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 where the configuration or a pack is wrong or a file is missing."""
    arguments = parse(argv)
    network, prepared = arguments.network, arguments.prepared or arguments.output.parent / "prepared"
    corpus = Corpus(arguments.data or arguments.corpus, prepared, arguments.corpus)
    try:
        settings = read_settings(arguments.config, arguments.set)
        if arguments.data and not arguments.data.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no folder", str(arguments.data))
        own = settings.get(network, settings) if network != PACK else settings
        figures = choose_network(network, own)(own, corpus, arguments.output)
    except (ConfigError, PackError) as error:
        print(f"{arguments.config}: {error}", file=sys.stderr)
        return 2
    except FileNotFoundError as error:
        print(f"{error.filename}: not there; look at --config, --data and what was trained before", file=sys.stderr)
        return 2
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
