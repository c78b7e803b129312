"""Adds trained story decoders to a new pack."""

from pathlib import Path
from typing import Any

from configs.schema import ConfigError
from model_handlers.families.entry import of_family
from model_handlers.families.gru_decoder import GruDecoderEntry
from model_handlers.pack import Pack
from pipelines.pack_tools.old_pack import name_problems, quality_without
from pipelines.training.engine.loop import WEIGHTS, read_best
from pipelines.training.packing.assembly import add_decoder
from pipelines.training.recipes.text_vectors import WORDS

TOLD_BY_DECODER = ("decoder", "reconstruction", "stories")
"""Tasks of `pipelines.evaluate` that measure a pack's decoder."""

OF_THE_MACHINE = ("time", "tokens_per_s")
"""Figures of a training that say nothing about the network."""


def add_trained(pack: str, output: str, name: str, trained: Path) -> Pack:
    """Returns a new pack with a trained story decoder as its default.

    Args:
        pack: pack to start from, a folder or URI.
        output: a new folder.
        name: name of the decoder; a decoder of the pack with this name is replaced.
        trained: output folder of the training.

    Raises:
        ConfigError: the name is wrong, or the training is missing or does not fit the pack.
        PackError: the old pack is wrong, or the new one exists.
    """
    problems = name_problems(name) + training_problems(trained)
    if problems:
        raise ConfigError(problems)
    try:
        return add_decoder(pack, trained, output, name, card_entries(Pack.open(pack), name, trained))
    except ConfigError as error:
        raise ConfigError([f"--trained {problem}" for problem in error.problems]) from error


def describe_decoder(pack: Pack, name: str) -> str:
    """Returns a line that describes a decoder added to a pack."""
    words = of_family(pack.decoder(name), GruDecoderEntry, pack.location, "the command").n_words - 2
    return f"{pack.location}: story decoder {name} of {words:,} words, the default (digest {pack.digest[:12]})"


def training_problems(trained: Path) -> list[str]:
    """Returns problems with the folder of a training: its missing files."""
    missing = [file for file in (WEIGHTS, WORDS) if not (trained / file).is_file()]
    if not missing:
        return []
    return [f"--trained {trained}: has no {' and no '.join(missing)}; name the output of pipelines.train decoder"]


def card_entries(pack: Pack, name: str, trained: Path) -> dict[str, Any]:
    """Returns the changed entries of the new pack's card: figures of the training, no measures of the old decoder.

    Args:
        pack: old pack.
        name: name of the decoder.
        trained: folder of the training.
    """
    figures = {key: value for key, value in read_best(trained).items() if key not in OF_THE_MACHINE}
    decoders = pack.card.get("trained_decoders", {}) | {name: figures}
    return {"trained_decoders": decoders, "quality": quality_without(pack, TOLD_BY_DECODER)}
