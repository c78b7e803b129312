"""Story decoders that were trained, in a new pack."""

from pathlib import Path
from typing import Any

from configs.schema import ConfigError
from model_handlers.pack import Pack
from pipelines.cli.options import StrictParser
from pipelines.cli.pack_commands import command_parser, name_problems, quality_without, run_command
from pipelines.training.engine.loop import WEIGHTS, read_best
from pipelines.training.engine.training_settings import ConfigError as TrainingError
from pipelines.training.packing.assembly import add_decoder
from pipelines.training.recipes.text_vectors import WORDS

TOLD_BY_DECODER = ("decoder", "reconstruction", "stories")
"""Tasks of `pipelines.evaluate` whose figures are those of a pack's decoder."""

OF_THE_MACHINE = ("time", "tokens_per_s")
"""Figures of a training that say nothing of the network."""


def main(argv: list[str]) -> int:
    """Returns the exit code of `pipelines.add_decoder`."""
    return run_command(add_trained, argv)


def add_trained(argv: list[str]) -> str:
    """Returns a sentence on the pack that was made, with a trained story decoder as its default.

    Raises:
        ConfigError: a flag is wrong, or the training is not there or does not fit the pack.
        PackError: the old pack is wrong, or the new one exists.
    """
    flags = make_parser().parse_args(argv)
    problems = name_problems(flags.name) + training_problems(Path(flags.trained))
    if problems:
        raise ConfigError(problems)
    try:
        card = card_entries(Pack.open(flags.pack), flags.name, Path(flags.trained))
        made = add_decoder(flags.pack, Path(flags.trained), flags.output, flags.name, card)
    except TrainingError as error:
        raise ConfigError([f"--trained {error}"]) from error
    words = made.components["decoders"][flags.name]["n_words"] - 2
    return f"{made.location}: story decoder {flags.name} of {words:,} words, the default (digest {made.digest[:12]})"


def make_parser() -> StrictParser:
    """Returns the parser of the command's flags."""
    description = "Adds a story decoder that pipelines.train left to a model pack, and makes it the default."
    parser = command_parser("add_decoder", description, runs_networks=False)
    parser.add_argument("--name", required=True, help="the decoder's name; one of the pack's own is replaced")
    parser.add_argument("--trained", required=True, metavar="DIR", help="output folder of the training")
    return parser


def training_problems(trained: Path) -> list[str]:
    """Returns which files a training's folder lacks."""
    missing = [file for file in (WEIGHTS, WORDS) if not (trained / file).is_file()]
    if not missing:
        return []
    return [f"--trained {trained}: has no {' and no '.join(missing)}; name the output of pipelines.train decoder"]


def card_entries(pack: Pack, name: str, trained: Path) -> dict[str, Any]:
    """Returns what the new pack's card says anew: figures of the training, none that the old decoder was measured by.

    Args:
        pack: the old one.
        name: the decoder's.
        trained: the training's folder.
    """
    figures = {key: value for key, value in read_best(trained).items() if key not in OF_THE_MACHINE}
    decoders = pack.card.get("trained_decoders", {}) | {name: figures}
    return {"trained_decoders": decoders, "quality": quality_without(pack, TOLD_BY_DECODER)}
