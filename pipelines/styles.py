"""Styles from anybody's texts: the mean of the sentence vectors of passages (SPEC section 8)."""

import tempfile
from pathlib import Path

import apache_beam as beam
import fsspec
import numpy as np
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import ConfigError
from model_handlers.pack_writer import PackWriter
from model_handlers.sentences import SentenceHandler
from pipelines.options import parse_with_beam
from pipelines.pack_tools import command_parser, open_pack, run_command
from transforms.texts import AverageTexts, Mean

SOURCE_STYLE = "caption"


def main(argv: list[str]) -> int:
    """Returns the exit code of `pipelines.fit_style`."""
    return run_command(fit_style, argv)


def fit_style(argv: list[str]) -> str:
    """Returns a sentence on the pack that was made, with a style averaged from texts (SPEC section 8).

    Raises:
        ConfigError: a flag is wrong, or no text was found.
        PackError: the old pack is wrong, or the new one exists.
    """
    parser = command_parser(
        "fit_style", "Adds a style to a model pack: the mean of the sentence vectors of your own texts."
    )
    parser.add_argument(
        "--name", required=True, help=f"the style's name; {SOURCE_STYLE!r} sets the style that is taken out"
    )
    parser.add_argument(
        "--texts", required=True, action="append", help="glob of UTF-8 text files, one passage a line; repeatable"
    )
    parser.add_argument(
        "--min-words", type=int, default=0, metavar="N", help="cut whole books into passages of N words or more"
    )
    flags, options = parse_with_beam(parser, argv)
    problems = (
        []
        if flags.name.replace("-", "").replace("_", "").isalnum()
        else [f"--name {flags.name!r}: letters, digits, - and _"]
    )
    files = sorted({uri for pattern in flags.texts for uri in expand_texts(pattern)})
    problems += [] if files else [f"--texts {' '.join(flags.texts)}: no file matches"]
    if problems:
        raise ConfigError(problems)
    pack, placement = open_pack(flags.pack, "sentence_encoder", flags.device, options)
    writer = PackWriter(flags.output, pack)
    try:
        mean = average(files, SentenceHandler(placement), flags.min_words, options)
        if mean is None:
            raise ConfigError(
                [f"--texts: {len(files)} files, but no passage of {max(flags.min_words, 1)} words or more in them"]
            )
        file = writer.add_array(f"styles/{flags.name}.npy", mean.vector)
        if flags.name == SOURCE_STYLE:
            writer.components["source_style"] = file
        else:
            writer.components.setdefault("styles", {})[flags.name] = file
        made_from = {"passages": mean.count, "files": len(files), "min_words": flags.min_words}
        writer.card.setdefault("style_texts", {})[flags.name] = made_from
        made = writer.finish()
    finally:
        writer.discard()
    texts = f"{mean.count:,} passages in {len(files):,} files"
    return f"{made.location}: style {flags.name} from {texts} (digest {made.digest[:12]})"


def expand_texts(pattern: str) -> list[str]:
    """Returns the URIs of the files that a glob, or a plain name, stands for.

    Raises:
        ConfigError: the place cannot be listed.
    """
    try:
        filesystem, path = fsspec.core.url_to_fs(pattern)
        found = (
            [path] if filesystem.isfile(path) else [name for name in filesystem.glob(path) if filesystem.isfile(name)]
        )
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError([f"--texts {pattern}: cannot be listed ({error})"]) from error
    return [name if "://" not in pattern else filesystem.unstrip_protocol(name) for name in found]


def average(files: list[str], handler: ModelHandler, min_words: int, options: PipelineOptions) -> Mean | None:
    """Returns the mean sentence vector over all passages of the files; None where there are none."""
    with tempfile.TemporaryDirectory() as folder:
        result = str(Path(folder) / "mean.npz")
        with beam.Pipeline(options=options) as root:
            mean = root | "Name files" >> beam.Create(files, reshuffle=False) | AverageTexts(handler, min_words)
            _ = mean | "Keep mean" >> beam.Map(keep_mean, result)
        kept = np.load(result)
        return Mean(kept["vector"], int(kept["count"])) if int(kept["count"]) else None


def keep_mean(mean: Mean | None, path: str) -> None:
    """Leaves the mean where the driver reads it."""
    vector, count = (mean.vector, mean.count) if mean is not None else (np.zeros(0, np.float32), 0)
    np.savez(path, vector=vector, count=count)
