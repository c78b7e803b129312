"""Trains a network or a whole pack: `python -m pipelines.train NETWORK --config FILE --output DIR`."""

import errno
import json
import sys
from argparse import Namespace
from pathlib import Path

from configs.schema import ConfigError
from configs.values import at_home
from pipelines.cli.commands import EndingTexts, ExitCode, command_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser

DESCRIPTION = (
    "Trains one network of the chain, or a whole pack. A second call with the same output continues from the last "
    "checkpoint. With --corpus, the sentence encoder or story decoder learns a corpus made by `prepare-texts`."
)
EPILOG = "Exit codes: 0 trained; 1 the training failed; 2 options or configuration are wrong, or a file is missing."
TEXTS = EndingTexts(
    "Nothing was trained:", "Stopped; the same command continues from the last checkpoint", "The training failed"
)
NETWORKS = ("joint_embedding", "skip_thoughts", "caption_writer", "decoder")
PACK = "pack"
ENCODER = "skip_thoughts"
READ_CORPORA = (ENCODER, "decoder")


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 trained, 1 failed, 2 options, configuration or a pack are wrong or a file is missing."""
    return run_command(_run, argv, TEXTS)


def _run(argv: list[str]) -> int:
    flags = command_line().parse_args(argv)
    check(flags)
    try:
        figures = train(flags)
    except ConfigError as error:
        raise ConfigError([f"{flags.config}: {problem}" for problem in error.problems]) from error
    except FileNotFoundError as error:
        missing = f"{error.filename}: does not exist; check --config, --data and the networks trained before"
        raise ConfigError([missing]) from error
    print(json.dumps(figures))
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = command_parser("train", DESCRIPTION, EPILOG)
    flag = parser.add_argument
    flag("network", choices=[*NETWORKS, PACK], help="network to train; pack trains all in order")
    flag("--config", type=path, metavar="FILE", required=True, help="YAML file, such as configs/training/pocket.yaml")
    flag("--data", type=path, metavar="DIR", help="folder of photos, captions and novels")
    flag("--output", type=path, metavar="DIR", required=True, help="folder for weights, log and checkpoint")
    flag(
        "--prepared", type=path, metavar="DIR", help="folder for prepared data (default: `prepared` beside the output)"
    )
    flag(
        "--corpus",
        type=path,
        metavar="DIR",
        help="corpus of `prepare-texts` to learn from; skip_thoughts then needs no --data",
    )
    flag("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override a value of the file")
    return parser


def path(text: str) -> Path:
    """Returns a path, with the home folder in place of a ~."""
    return Path(at_home(text))


def check(flags: Namespace) -> None:
    """Raises ConfigError if flags contradict each other."""
    problems = []
    if flags.corpus and flags.network not in READ_CORPORA:
        problems.append(f"--corpus: {flags.network} reads none; {' and '.join(READ_CORPORA)} do")
    if not flags.data and not (flags.corpus and flags.network == ENCODER):
        problems.append(f"--data is needed; only {ENCODER} with a --corpus does without")
    if problems:
        raise ConfigError(problems)


def train(flags: Namespace) -> dict[str, float]:
    """Returns the figures of what was trained.

    Raises:
        ConfigError: the configuration is wrong.
        PackError: a pack that the training begins with is wrong.
        FileNotFoundError: the configuration, data or an earlier training are not there.
    """
    from pipelines.training.data.corpus import Corpus
    from pipelines.training.engine.training_settings import read_settings
    from pipelines.training.recipe_2015.networks_2015 import choose_network

    corpus = Corpus(flags.data or flags.corpus, flags.prepared or flags.output.parent / "prepared", flags.corpus)
    settings = read_settings(flags.config, flags.set)
    if flags.data and not flags.data.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no folder", str(flags.data))
    own = settings.get(flags.network, settings) if flags.network != PACK else settings
    return choose_network(flags.network, own)(own, corpus, flags.output)


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
