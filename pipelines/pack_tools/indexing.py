"""The caption index, made ahead of all runs: joint embeddings and, if requested, sentence vectors."""

import json
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import ConfigError
from model_handlers.captions import EmbeddingHandler, caption_texts
from model_handlers.families.protocols import CaptionsEntry
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from model_handlers.sentences import SentenceHandler
from pipelines.cli.options import beam_options
from pipelines.corpora.text_places import read_captions
from pipelines.pack_tools.old_pack import open_pack
from transforms.encode_sentences import SentenceModel, Texts, with_texts, write_chunk

EMBEDDINGS, VECTORS = "captions.embeddings.npy", "captions.sentence_vectors.npy"
CHUNK = 2048  # captions embedded at once


def index_captions(
    pack: str,
    output: str,
    captions: str | None = None,
    sentence_vectors: bool = False,
    device: str = "auto",
    options: PipelineOptions | None = None,
) -> tuple[Pack, int]:
    """Returns a new pack with its caption index, and the number of captions in it.

    Args:
        pack: pack to start from, a folder or URI.
        output: new folder for the new pack.
        captions: file or URI of new captions, one a line; None for the pack's own.
        sentence_vectors: whether the captions' sentence vectors are stored too.
        device: device on which the networks run.
        options: Beam's options for the pipeline; the default is a runner on this machine.

    Raises:
        ConfigError: an argument is wrong, or there are no captions.
        PackError: the old pack is wrong, or the new one exists.
    """
    options = options or beam_options([])
    old, placement = open_pack(pack, "joint_embedding", device, options)
    texts = read_captions(captions) if captions else caption_texts(old)
    if not texts:
        raise ConfigError([f"--captions {captions or old.location}: holds no caption"])
    writer = PackWriter(output, old)
    try:
        files = {"texts": writer.add_lines("captions.txt", texts), "embeddings": EMBEDDINGS}
        target = writer.reserve_array(EMBEDDINGS, (len(texts), old.joint_embedding.width), "float32")  # [K, J]
        fill(target, texts, EmbeddingHandler(placement), options)
        if sentence_vectors:
            files["sentence_vectors"] = VECTORS
            target = writer.reserve_array(VECTORS, (len(texts), old.sentence_encoder.width), "float32")  # [K, S]
            fill(target, texts, SentenceHandler(placement), options)
        writer.put("captions", CaptionsEntry(**files))
        return writer.finish(), len(texts)
    finally:
        writer.discard()


def chunks_of(captions: list[str]) -> Iterator[tuple[str, Texts]]:
    """Yields the captions in order, in chunks named by the index of their first caption."""
    for start in range(0, len(captions), CHUNK):
        yield str(start), Texts(captions[start : start + CHUNK])


def fill(target: np.ndarray, captions: list[str], handler: SentenceModel, options: PipelineOptions) -> None:
    """Fills `target` `[K, width]` with the handler's vectors of the captions, by a pipeline over chunks of them."""
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
