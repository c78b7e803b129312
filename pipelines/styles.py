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
from pipelines.pack_tools import command_parser, name_problems, open_pack, run_command
from pipelines.spreads import caption_spread
from transforms.spreading import shrink, transport
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
    parser.add_argument(
        "--spread",
        action="store_true",
        help="also measure how the passages differ, for --shift spread; it encodes captions of the pack's bank",
    )
    flags, options = parse_with_beam(parser, argv)
    problems = name_problems(flags.name)
    files = sorted({uri for pattern in flags.texts for uri in expand_texts(pattern)})
    if flags.spread and flags.name == SOURCE_STYLE:
        problems.append(f"--spread: belongs to the styles that are put in; that of {SOURCE_STYLE!r} is the bank's own")
    problems += [] if files else [f"--texts {' '.join(flags.texts)}: no file matches"]
    if problems:
        raise ConfigError(problems)
    pack, placement = open_pack(flags.pack, "sentence_encoder", flags.device, options)
    writer = PackWriter(flags.output, pack)
    try:
        mean = average(files, SentenceHandler(placement), flags.min_words, options, flags.spread)
        if mean is None:
            raise ConfigError(
                [f"--texts: {len(files)} files, but no passage of {max(flags.min_words, 1)} words or more in them"]
            )
        if flags.spread and mean.count < 2:
            raise ConfigError(["--spread: one passage does not say how passages differ; give more"])
        file = writer.add_array(f"styles/{flags.name}.npy", mean.vector)
        if flags.name == SOURCE_STYLE:
            writer.components["source_style"] = file
        else:
            writer.components.setdefault("styles", {})[flags.name] = file
            writer.components.get("spreads", {}).pop(flags.name, None)
        if mean.covariance is not None:
            source = shrink(*caption_spread(pack, placement, options))  # [S, S]
            spread = transport(source, shrink(mean.covariance, mean.count))  # [S, S]
            file = writer.add_array(f"spreads/{flags.name}.npy", spread.astype(np.float16))
            writer.components.setdefault("spreads", {})[flags.name] = file
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


def average(
    files: list[str], handler: ModelHandler, min_words: int, options: PipelineOptions, spread: bool = False
) -> Mean | None:
    """Returns the mean sentence vector over all passages of the files, with `spread` their covariance too; None where
    there are none."""
    with tempfile.TemporaryDirectory() as folder:
        result = str(Path(folder) / "mean.npz")
        with beam.Pipeline(options=options) as root:
            names = root | "Name files" >> beam.Create(files, reshuffle=False)
            mean = names | AverageTexts(handler, min_words, spread)
            _ = mean | "Keep mean" >> beam.Map(keep_mean, result)
        kept = np.load(result)
        covariance = kept["covariance"] if spread else None
        return Mean(kept["vector"], int(kept["count"]), covariance) if int(kept["count"]) else None


def keep_mean(mean: Mean | None, path: str) -> None:
    """Leaves the mean where the driver reads it."""
    kept = mean or Mean(np.zeros(0, np.float32), 0)
    covariance = np.zeros((0, 0)) if kept.covariance is None else kept.covariance
    np.savez(path, vector=kept.vector, count=kept.count, covariance=covariance)
