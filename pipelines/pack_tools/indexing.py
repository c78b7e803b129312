"""The caption index made ahead of all runs: joint embeddings, and skip-thought vectors where wanted."""

import json
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import fsspec
import numpy as np
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import ConfigError
from model_handlers.captions import EmbeddingHandler, caption_texts
from model_handlers.pack_writer import PackWriter
from model_handlers.sentences import SentenceHandler
from pipelines.cli.options import parse_with_beam
from pipelines.cli.pack_commands import command_parser, open_pack, run_command
from transforms.encode_sentences import Texts, with_texts, write_chunk

CHUNK = 2048  # captions embedded in one piece


def main(argv: list[str]) -> int:
    """Returns the exit code of `pipelines.index_captions`."""
    return run_command(index_captions, argv)


def index_captions(argv: list[str]) -> str:
    """Returns a sentence on the pack that was made, with its caption index.

    Raises:
        ConfigError: a flag is wrong, or there are no captions.
        PackError: the old pack is wrong, or the new one exists.
    """
    parser = command_parser("index_captions", "Embeds a pack's captions, or other ones, ahead of all runs.")
    parser.add_argument("--captions", metavar="FILE", help="new captions, one a line, in place of the pack's own")
    parser.add_argument("--sentence-vectors", action="store_true", help="store their skip-thought vectors as well")
    flags, options = parse_with_beam(parser, argv)
    pack, placement = open_pack(flags.pack, "joint_embedding", flags.device, options)
    captions = read_captions(flags.captions) if flags.captions else caption_texts(pack)
    if not captions:
        raise ConfigError([f"--captions {flags.captions or pack.location}: holds no caption"])
    writer = PackWriter(flags.output, pack)
    try:
        entry = {"texts": writer.add_lines("captions.txt", captions)}
        width = pack.component("joint_embedding")["dim"]
        target = writer.reserve_array("captions.embeddings.npy", (len(captions), width), "float32")  # [K, J]
        fill(target, captions, EmbeddingHandler(placement), options)
        entry["embeddings"] = "captions.embeddings.npy"
        if flags.sentence_vectors:
            sentences = pack.component("sentence_encoder")
            width = sentences["uni"] + 2 * sentences["bi"]
            target = writer.reserve_array("captions.sentence_vectors.npy", (len(captions), width), "float32")  # [K, S]
            fill(target, captions, SentenceHandler(placement), options)
            entry["sentence_vectors"] = "captions.sentence_vectors.npy"
        writer.components["captions"] = entry
        made = writer.finish()
    finally:
        writer.discard()
    ready = " with sentence vectors" if flags.sentence_vectors else ""
    return f"{made.location}: {len(captions):,} captions indexed{ready} (digest {made.digest[:12]})"


def read_captions(location: str, option: str = "--captions") -> list[str]:
    """Returns a file's captions: its lines, stripped; blank ones are left out.

    Args:
        location: file or URI.
        option: what named it, for the error.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        with fsspec.open(location, "rb") as file:
            lines = file.read().split(b"\n")
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError([f"{option} {location}: cannot be read ({error})"]) from error
    return [line.strip().decode("utf-8", "surrogateescape") for line in lines if line.strip()]


def chunks_of(captions: list[str]) -> Iterator[tuple[str, Texts]]:
    """Yields the captions in order, in pieces named by the place of their first."""
    for start in range(0, len(captions), CHUNK):
        yield str(start), Texts(captions[start : start + CHUNK])


def fill(target: np.ndarray, captions: list[str], handler: ModelHandler, options: PipelineOptions) -> None:
    """Fills `target` `[K, width]` with the handler's vectors of the captions, by a pipeline sharded over them."""
    with tempfile.TemporaryDirectory() as folder:
        prefix = posixpath.join(folder, "chunk-")
        with beam.Pipeline(options=options) as root:
            _ = (
                root
                | "Cut captions" >> beam.Create(list(chunks_of(captions)))
                | "Keep texts" >> beam.Map(with_texts)
                | "Embed" >> RunInference(KeyedModelHandler(handler))
                | "Write chunks" >> beam.Map(write_chunk, prefix)
            )
        for start, texts in chunks_of(captions):
            written = json.loads(Path(f"{prefix}{start}.json").read_text())
            if written != texts:
                raise RuntimeError(f"the chunk of captions from {start} on came back with other texts")
            target[int(start) : int(start) + len(texts)] = np.load(f"{prefix}{start}.npy")
