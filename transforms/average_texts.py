"""Mean sentence vector of a user's own texts: books and lists are cut into passages, which are averaged."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
import fsspec
import numpy as np
from apache_beam.ml.inference.base import RunInference
from apache_beam.pvalue import PCollection

from transforms.encode_sentences import SentenceModel, Texts, caption_key

BATCH = 64  # passages encoded at once


def read_passages(uri: str, min_words: int) -> Iterator[str]:
    """Yields a file's passages: its lines, or paragraphs joined until they have at least `min_words` words.

    Args:
        uri: UTF-8 text file; bytes that are not UTF-8 become surrogates.
        min_words: minimum number of words in a passage; with 0, each line is a passage. Paragraphs left over at the
            end of a book are dropped if they are too short.
    """
    with fsspec.open(uri, "rb") as file:
        text = file.read().decode("utf-8-sig", "surrogateescape")
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    yield from join_paragraphs(lines, min_words) if min_words else (line for line in lines if line)


def join_paragraphs(lines: Iterable[str], min_words: int) -> Iterator[str]:
    """Yields passages of at least `min_words` words, cut only between paragraphs (at blank lines)."""
    words: list[str] = []
    for line in [*lines, ""]:
        if line:
            words += line.split()
        elif len(words) >= min_words:
            yield " ".join(words)
            words = []


@dataclass(frozen=True, eq=False)
class Mean:
    """Mean `[S]` of sentence vectors, their number, and their covariance `[S, S]` if it was requested."""

    vector: np.ndarray
    count: int
    covariance: np.ndarray | None = None


def read_keys(uri: str, min_words: int) -> Iterator[bytes]:
    """Yields a file's passages as bytes, since Beam's text coder refuses text that is not UTF-8."""
    for passage in read_passages(uri, min_words):
        yield caption_key(passage)


def as_texts(keys: list[bytes]) -> Texts:
    """Returns a batch of passages in the form that the encoder takes."""
    return Texts.from_keys(keys)


Sums = tuple[np.ndarray | float, np.ndarray | float, int]
"""Float64 sums of vectors `[S]` and, if requested, of their products `[S, S]`, with the number of vectors."""


class MeanVector(beam.CombineFn):
    """Combines arrays `[n, S]` into the Mean of all rows; None if there are no rows.

    Args:
        spread: compute the covariance too.
    """

    def __init__(self, spread: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.spread = spread

    def create_accumulator(self) -> Sums:
        """Returns empty sums."""
        return 0.0, 0.0, 0

    def add_input(self, accumulator: Sums, vectors: np.ndarray) -> Sums:
        """Returns the sums and count after adding the rows of `vectors` `[n, S]`."""
        total, products, count = accumulator
        if self.spread:
            wide = vectors.astype(np.float64)  # [n, S]
            products = products + wide.T @ wide  # [S, S]
        return total + vectors.sum(axis=0, dtype=np.float64), products, count + len(vectors)

    def merge_accumulators(self, accumulators: Iterable[Sums]) -> Sums:
        """Returns the total of all accumulators."""
        totals, products, counts = zip(*accumulators, strict=True)
        return sum(totals), sum(products), sum(counts)

    def extract_output(self, accumulator: Sums) -> Mean | None:
        """Returns the mean in float32 and the covariance in float64."""
        total, products, count = accumulator
        if not count:
            return None
        mean = np.asarray(total / count)  # [S]
        covariance = products / count - np.outer(mean, mean) if self.spread else None  # [S, S]
        return Mean(mean.astype(np.float32), count, covariance)


def raise_failures(vectors: np.ndarray | Exception) -> np.ndarray:
    """Returns the vectors.

    Raises:
        RuntimeError: the encoder failed on the passages.
    """
    if isinstance(vectors, Exception):
        raise RuntimeError(f"passages could not be encoded: {vectors}")
    return vectors


@dataclass(eq=False)
class AverageTexts(beam.PTransform[PCollection[str], PCollection[Mean]]):
    """The mean sentence vector of all passages of text files.

    Input: URIs of text files. Output: one Mean, or None if no file has a passage. No dead letters: a file that
    cannot be read fails the run.

    Attributes:
        handler: turns lists of texts into arrays `[n, S]`.
        min_words: minimum number of words in a passage; with 0, each line is a passage.
        spread: compute the covariance too.
    """

    handler: SentenceModel
    min_words: int = 0
    spread: bool = False

    def expand(self, uris: PCollection[str]) -> PCollection[Mean]:
        """Returns the mean as a single element."""
        mean: PCollection[Mean] = (
            uris
            | "Spread files" >> beam.Reshuffle()
            | "Read passages" >> beam.FlatMap(read_keys, self.min_words)
            | "Batch passages" >> beam.BatchElements(min_batch_size=BATCH, max_batch_size=BATCH)
            | "Take texts" >> beam.Map(as_texts)
            | "Encode passages" >> RunInference(self.handler)
            | "Raise failures" >> beam.Map(raise_failures)
            | "Average vectors" >> beam.CombineGlobally(MeanVector(self.spread))
        )
        return mean
