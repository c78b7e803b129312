"""Styles made from texts: the mean sentence vector of their passages (SPEC section 8)."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import ConfigError
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from model_handlers.sentences import SentenceHandler
from pipelines.cli.options import beam_options
from pipelines.corpora.story_passages import choose, passages_to_keep, read_books
from pipelines.corpora.text_places import expand_texts
from pipelines.pack_tools.old_pack import name_problems, open_pack
from pipelines.pack_tools.photo_means import encoded, photo_means
from pipelines.telling.settings import pack_choices
from transforms.average_texts import AverageTexts, Mean
from transforms.encode_sentences import SentenceModel
from transforms.spreading import shrink, transport

SOURCE_STYLE = "caption"
PASSAGES = 2000
"""Passages that a style keeps if its pack chooses the shift `nearest` and the user sets no number."""


@dataclass(frozen=True)
class NewStyle:
    """A style to make from texts.

    Attributes:
        name: name of the style; SOURCE_STYLE is the one that the shift subtracts.
        texts: globs of text files, one passage a line.
        min_words: minimum words of a passage when whole books are cut into passages; 0 keeps lines as they are.
        spread: whether the spread of the passages is measured too, for the shift `spread`.
        passages: maximum short passages that the style keeps for the shift `nearest`; None means PASSAGES if the pack
            chooses this shift, else 0.
    """

    name: str
    texts: tuple[str, ...]
    min_words: int = 0
    spread: bool = False
    passages: int | None = None

    def problems(self) -> list[str]:
        """Returns the problems of the style, in terms of the command's flags."""
        found = name_problems(self.name)
        if self.passages is not None and self.passages < 0:
            found.append(f"--passages {self.passages}: must be 0 or more")
        if self.passages and self.name == SOURCE_STYLE:
            found.append(f"--passages: is for target styles, not for {SOURCE_STYLE!r}")
        if self.spread and self.name == SOURCE_STYLE:
            found.append(f"--spread: is for target styles; that of {SOURCE_STYLE!r} comes from the caption bank")
        return found

    def kept_passages(self, pack: Pack) -> int:
        """Returns the maximum number of passages that the style keeps in this pack."""
        if self.name == SOURCE_STYLE:
            return 0
        if self.passages is not None:
            return self.passages
        return PASSAGES if pack_choices(pack).shift == "nearest" else 0


def fit_style(
    pack: str, output: str, style: NewStyle, device: str = "auto", options: PipelineOptions | None = None
) -> Pack:
    """Returns a new pack with a style averaged from texts (SPEC section 8).

    Args:
        pack: pack to start from, a folder or URI.
        output: new folder for the new pack.
        style: style to make.
        device: device on which the network runs.
        options: Beam's options for the pipelines; the default is a runner on this machine.

    Raises:
        ConfigError: an argument is wrong, or no text was found.
        PackError: the old pack is wrong, or the new one exists.
    """
    options = options or beam_options([])
    files = find_files(style)
    old, placement = open_pack(pack, "sentence_encoder", device, options)
    writer = PackWriter(output, old)
    try:
        mean = measure(files, style, SentenceHandler(placement), options)
        add_vector(writer, style.name, mean.vector)
        made_from = {"passages": mean.count, "files": len(files), "min_words": style.min_words}
        count = style.kept_passages(old)
        if style.spread or count:
            needed = "--spread" if style.spread else "--passages"
            means = photo_means(old, placement, options, needed)  # [N, S]
            if mean.covariance is not None:
                add_spread(writer, style.name, mean.covariance, mean.count, means)
            if count:
                vectors = encoded(short_passages(files, style), old, placement, options)  # [P, S]
                kept = nearest_passages(old, vectors, means, count)  # [k, S]
                add_to_style(writer, "passages", style.name, kept)
                made_from["kept"] = len(kept)
        writer.card.setdefault("style_texts", {})[style.name] = made_from
        return writer.finish()
    finally:
        writer.discard()


def describe_style(pack: Pack, name: str) -> str:
    """Returns a sentence about a style that was added to a pack."""
    made_from = pack.card["style_texts"][name]
    texts = f"{made_from['passages']:,} passages in {made_from['files']:,} files"
    return f"{pack.location}: style {name} from {texts} (digest {pack.digest[:12]})"


def find_files(style: NewStyle) -> list[str]:
    """Returns the URIs of a style's text files.

    Raises:
        ConfigError: lists everything that is wrong with the style.
    """
    files = sorted({uri for pattern in style.texts for uri in expand_texts(pattern)})
    problems = style.problems() + ([] if files else [f"--texts {' '.join(style.texts)}: no file matches"])
    if problems:
        raise ConfigError(problems)
    return files


def measure(files: list[str], style: NewStyle, handler: SentenceModel, options: PipelineOptions) -> Mean:
    """Returns the mean of a style's passages, with their covariance if the style needs its spread.

    Raises:
        ConfigError: there are too few passages.
    """
    mean = average(files, handler, style.min_words, options, style.spread)
    if mean is None:
        words = max(style.min_words, 1)
        raise ConfigError([f"--texts: {len(files)} files without any passage of {words} words or more"])
    if style.spread and mean.count < 2:
        raise ConfigError(["--spread: a single passage has no spread; give more texts"])
    return mean


def add_vector(writer: PackWriter, name: str, vector: np.ndarray) -> None:
    """Adds a style vector `[S]` to a new pack, replacing the old pack's data of that style."""
    file = writer.add_array(f"styles/{name}.npy", vector)
    if name == SOURCE_STYLE:
        writer.components["source_style"] = file
        return
    writer.components.setdefault("styles", {})[name] = file
    for group in ("spreads", "passages"):
        writer.components.get(group, {}).pop(name, None)


def add_spread(writer: PackWriter, name: str, covariance: np.ndarray, count: int, means: np.ndarray) -> None:
    """Adds the map from the spread of photos to that of a style.

    Args:
        writer: writer of the new pack.
        name: name of the style.
        covariance: covariance of its passages `[S, S]`.
        count: number of passages.
        means: mean sentence vectors of photos, see `photo_means` `[N, S]`.
    """
    source = shrink(np.cov(means.T, bias=True), len(means))  # [S, S]
    add_to_style(writer, "spreads", name, transport(source, shrink(covariance, count)))


def add_to_style(writer: PackWriter, group: str, name: str, array: np.ndarray) -> None:
    """Adds an array of a group, `spreads` or `passages`, to a style in half precision."""
    file = writer.add_array(f"{group}/{name}.npy", array.astype(np.float16))
    writer.components.setdefault(group, {})[name] = file


def short_passages(files: list[str], style: NewStyle) -> list[str]:
    """Returns the passages that a style may keep.

    Raises:
        ConfigError: there are none.
    """
    passages = passages_to_keep(read_books(files, by_line=style.min_words == 0))
    if not passages:
        raise ConfigError([f"--passages: {len(files)} files without any whole paragraph"])
    return passages


def nearest_passages(pack: Pack, vectors: np.ndarray, means: np.ndarray, count: int) -> np.ndarray:
    """Returns the sentence vectors `[k, S]` of the passages that are nearest to the pack's captions.

    Args:
        pack: pack with a source style.
        vectors: sentence vectors of passages `[P, S]`.
        means: mean sentence vectors of photos, see `photo_means` `[N, S]`.
        count: maximum number of passages.

    Raises:
        PackError: the pack has no source style.
    """
    source = np.array(pack.array(pack.source_style), np.float32).reshape(-1)  # [S]
    chosen: np.ndarray = vectors[choose(vectors, means - source, count)]
    return chosen


def average(
    files: list[str], handler: SentenceModel, min_words: int, options: PipelineOptions, spread: bool = False
) -> Mean | None:
    """Returns the mean sentence vector over all passages of the files, or None if there are none.

    With `spread` the result also has their covariance.
    """
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
    """Writes the mean to a file that the driver reads."""
    kept = mean or Mean(np.zeros(0, np.float32), 0)
    covariance = np.zeros((0, 0)) if kept.covariance is None else kept.covariance
    np.savez(path, vector=kept.vector, count=kept.count, covariance=covariance)
