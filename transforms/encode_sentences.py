"""Sentence vectors of the run's captions: each unique caption is encoded once, then averaged for each photo."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.pvalue import AsList, PCollection

from transforms.chunk_tables import SharedChunks
from transforms.infer import MeasuredHandler
from transforms.metrics import count
from transforms.records import Matched
from transforms.write_whole import write_whole

CHUNK = 1024  # captions in a file

SentenceModel = ModelHandler[list[str], np.ndarray | Exception, Any]
"""Encodes each list of sentences as vectors `[n, S]`."""


class Texts(list[str]):
    """Texts that Beam pickles whole between steps; in plain lists, its coders refuse text that is not UTF-8."""

    @classmethod
    def from_keys(cls, keys: Iterable[bytes]) -> "Texts":
        """Returns the texts of keys (see `caption_key`)."""
        return cls(key.decode("utf-8", "surrogateescape") for key in keys)


@runtime_checkable  # Beam checks the arguments of steps
class VectorTable(Protocol):
    """Table of sentence vectors that already exist."""

    def holds(self, caption: str) -> bool:
        """Returns whether the table has a vector for the caption."""

    def look_up(self, captions: Sequence[str]) -> np.ndarray:
        """Returns the captions' sentence vectors `[K, S]` float32."""


def caption_key(caption: str) -> bytes:
    """Returns a caption as bytes, since Beam's text coder refuses surrogates (captions that are not UTF-8)."""
    return caption.encode("utf-8", "surrogateescape")


def caption_keys(matched: Matched) -> Iterator[bytes]:
    """Yields the captions of a photo as keys."""
    for match in matched.captions:
        yield caption_key(match.caption)


def shard_of(key: bytes, shards: int) -> int:
    """Returns the shard of a key, by a hash that spreads short keys evenly."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") % shards


def leave_out_known(
    key: bytes, known: Sequence[str], table: VectorTable | None, chunks: SharedChunks
) -> Iterator[bytes]:
    """Yields the caption unless it is in the table or in the chunks of earlier waves."""
    caption = key.decode("utf-8", "surrogateescape")
    if table is not None and table.holds(caption):
        return
    if not (known and chunks.open(known).holds(caption)):
        yield key


def key_by_shard(key: bytes, shards: int) -> tuple[int, bytes]:
    """Returns (shard, key)."""
    return shard_of(key, shards), key


def cut_into_chunks(element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[str, Texts]]:
    """Yields a shard's captions, sorted, in named chunks of at most CHUNK captions."""
    shard, keys = element
    captions = sorted(keys)
    for start in range(0, len(captions), CHUNK):
        yield f"{shard:05d}-{start // CHUNK:05d}", Texts.from_keys(captions[start : start + CHUNK])


def with_texts(element: tuple[str, Texts]) -> tuple[tuple[str, Texts], Texts]:
    """Returns the chunk keyed by its name and texts, so that both are returned with the vectors."""
    name, texts = element
    return (name, texts), texts


def write_chunk(element: tuple[tuple[str, Texts], Any], prefix: str) -> str:
    """Returns the URI of the chunk's files, `<uri>.npy` `[n, S]` and `<uri>.json`.

    Raises:
        RuntimeError: the encoder failed on the chunk.
    """
    (name, texts), vectors = element
    if isinstance(vectors, Exception):
        raise RuntimeError(f"captions of chunk {name} could not be encoded") from vectors
    uri = f"{prefix}{name}"
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    write_whole(f"{uri}.npy", buffer.getbuffer())
    write_whole(f"{uri}.json", json.dumps(texts).encode())
    count("captions_encoded", len(texts))
    return uri


def mean_vector(vectors: np.ndarray) -> np.ndarray:
    """Returns the mean `[S]` of sentence vectors `[K, S]`.

    They are summed one by one in rank order, in float32, as the original does (SPEC section 8).
    """
    mean: np.ndarray = np.add.reduce(vectors, axis=0, dtype=np.float32) / np.float32(len(vectors))
    return mean


def look_up_in(tables: Sequence[VectorTable], captions: Sequence[str]) -> np.ndarray:
    """Returns the captions' sentence vectors `[K, S]` float32, each from the first table that has it.

    Raises:
        KeyError: no table has a caption.
    """
    found: dict[str, np.ndarray] = {}
    for table in tables:
        held = [caption for caption in captions if caption not in found and table.holds(caption)]
        if held:
            found |= zip(held, table.look_up(held), strict=True)
    return np.stack([found[caption] for caption in captions])  # [K, S]


class TakeMeans(beam.DoFn):
    """Yields (Matched, mean sentence vector `[S]`), from the table first, then from the run's chunks."""

    def __init__(
        self,
        table: VectorTable | None = None,
        known: tuple[str, ...] = (),
        chunks: SharedChunks | None = None,
    ) -> None:
        self._table = table
        self._known = known
        self._chunks = chunks

    def process(self, matched: Matched, uris: Sequence[str] = ()) -> Iterator[tuple[Matched, np.ndarray]]:
        """Yields the photo with the mean of its captions' vectors."""
        tables: list[VectorTable] = [self._table] if self._table is not None else []
        if self._chunks is not None and (uris or self._known):
            tables.append(self._chunks.open((*self._known, *uris)))
        yield matched, mean_vector(look_up_in(tables, [match.caption for match in matched.captions]))


@dataclass(eq=False)
class EncodeSentences(beam.PTransform[PCollection[Matched], PCollection[tuple[Matched, np.ndarray]]]):
    """Mean sentence vectors of photos; each unique caption of the run is encoded exactly once.

    Input: Matched. Output: (Matched, mean sentence vector `[S]`). No dead letters: a caption that cannot be encoded is
    the pack's fault and fails the run. Vectors reach photos through files, never through a shuffle.

    Attributes:
        handler: turns lists of captions into arrays `[n, S]`; unused if `table` has all captions.
        prefix: prefix of the files' URIs; the caller removes the files after the run.
        shards: number of workers that can encode at once.
        known: URIs of the chunks that earlier waves of this run wrote.
        table: vectors that already exist, such as those of the caption index.
        hints: resource hints of the encoding and of the steps that take its vectors.
        complete: the table, if there is one, has every caption.
        chunks: vectors written so far, shared by the waves of a run.
    """

    handler: SentenceModel
    prefix: str
    shards: int = 8
    known: tuple[str, ...] = ()
    table: VectorTable | None = None
    hints: dict[str, str] = field(default_factory=dict)
    complete: bool = True
    chunks: SharedChunks = field(default_factory=SharedChunks)

    def expand(self, matched: PCollection[Matched]) -> PCollection[tuple[Matched, np.ndarray]]:
        """Returns each photo with the mean of its captions' vectors."""
        if self.table is not None and self.complete:
            look_up = beam.ParDo(TakeMeans(self.table)).with_resource_hints(**self.hints)
            known: PCollection[tuple[Matched, np.ndarray]] = matched | "Look vectors up" >> look_up
            return known
        inference = RunInference(MeasuredHandler(self.handler, "sentences")).with_resource_hints(**self.hints)
        chunks = (
            matched
            | "List captions" >> beam.FlatMap(caption_keys)
            | "Make unique" >> beam.Distinct()
            | "Leave out known" >> beam.FlatMap(leave_out_known, self.known, self.table, self.chunks)
            | "Key by shard" >> beam.Map(key_by_shard, self.shards)
            | "Group shards" >> beam.GroupByKey()
            | "Cut into chunks" >> beam.FlatMap(cut_into_chunks)
            | "Keep texts" >> beam.Map(with_texts)
            | "Encode chunks" >> inference
            | "Write chunks" >> beam.Map(write_chunk, self.prefix).with_resource_hints(**self.hints)
        )
        take = beam.ParDo(TakeMeans(self.table, self.known, self.chunks), AsList(chunks))
        hinted = take.with_resource_hints(**self.hints)
        means: PCollection[tuple[Matched, np.ndarray]] = matched | "Take means" >> hinted
        return means
