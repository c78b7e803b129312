"""Styles from anybody's texts: the mean of the sentence vectors of passages (SPEC section 8)."""

import tempfile
from argparse import Namespace
from pathlib import Path

import apache_beam as beam
import fsspec
import numpy as np
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import ConfigError
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from model_handlers.sentences import SentenceHandler
from pipelines.cli.options import parse_with_beam
from pipelines.cli.pack_commands import command_parser, name_problems, open_pack, run_command
from pipelines.corpora.story_passages import choose, passages_to_keep, read_books
from pipelines.pack_tools.photo_means import encoded, photo_means
from pipelines.telling.settings import pack_choices
from transforms.average_texts import AverageTexts, Mean
from transforms.spreading import shrink, transport

SOURCE_STYLE = "caption"
PASSAGES = 2000
"""Passages that a style keeps where its pack chooses the shift `nearest` and the user says nothing."""


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
    parser.add_argument(
        "--passages",
        type=int,
        metavar="N",
        help=f"keep up to N short passages of the texts, those nearest to the pack's captions, for --shift nearest "
        f"(default: {PASSAGES} where the pack chooses this shift, else none)",
    )
    flags, options = parse_with_beam(parser, argv)
    problems = name_problems(flags.name)
    if flags.passages is not None and flags.passages < 0:
        problems.append(f"--passages {flags.passages}: 0 or more")
    if flags.passages and flags.name == SOURCE_STYLE:
        problems.append(f"--passages: belongs to the styles that are put in, not to {SOURCE_STYLE!r}")
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
            for group in ("spreads", "passages"):
                writer.components.get(group, {}).pop(flags.name, None)
        count = _passages_wanted(pack, flags)
        if flags.spread or count:
            needed = "--spread" if flags.spread else "--passages"
            means = photo_means(pack, placement, options, needed)  # [N, S]
        if mean.covariance is not None:
            source = shrink(np.cov(means.T, bias=True), len(means))  # [S, S]
            spread = transport(source, shrink(mean.covariance, mean.count))  # [S, S]
            file = writer.add_array(f"spreads/{flags.name}.npy", spread.astype(np.float16))
            writer.components.setdefault("spreads", {})[flags.name] = file
        made_from = {"passages": mean.count, "files": len(files), "min_words": flags.min_words}
        if count:
            passages = passages_to_keep(read_books(files, by_line=flags.min_words == 0))
            if not passages:
                raise ConfigError([f"--passages: {len(files)} files, but no whole paragraph in them"])
            kept = nearest_passages(pack, encoded(passages, pack, placement, options), means, count)  # [k, S]
            file = writer.add_array(f"passages/{flags.name}.npy", kept.astype(np.float16))
            writer.components.setdefault("passages", {})[flags.name] = file
            made_from["kept"] = len(kept)
        writer.card.setdefault("style_texts", {})[flags.name] = made_from
        made = writer.finish()
    finally:
        writer.discard()
    texts = f"{mean.count:,} passages in {len(files):,} files"
    return f"{made.location}: style {flags.name} from {texts} (digest {made.digest[:12]})"


def _passages_wanted(pack: Pack, flags: Namespace) -> int:
    if flags.name == SOURCE_STYLE:
        return 0
    if flags.passages is not None:
        return int(flags.passages)
    return PASSAGES if pack_choices(pack).shift == "nearest" else 0


def nearest_passages(pack: Pack, vectors: np.ndarray, means: np.ndarray, count: int) -> np.ndarray:
    """Returns the sentence vectors `[k, S]` of the passages that are nearest to the pack's captions.

    Args:
        pack: has a source style.
        vectors: sentence vectors of passages `[P, S]`.
        means: of photos, see `photo_means` `[N, S]`.
        count: most passages.

    Raises:
        PackError: the pack has no source style.
    """
    source = np.array(pack.array(str(pack.component("source_style"))), np.float32).reshape(-1)  # [S]
    return vectors[choose(vectors, means - source, count)]


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
