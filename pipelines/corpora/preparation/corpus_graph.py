"""The pipeline that prepares texts.

Files are read once in full (are they text? which are equal?) and then in parts. Each part is cut into texts, which are
stored in files (pieces) as indices into the piece's own words. Only 64-bit hashes of texts, lists of pieces, counts of
words and rows of tables go through the runner. So a billion words need no more of it than a million, and each word is
tokenised once.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import fsspec
import numpy as np
from apache_beam.pvalue import AsList, AsSingleton, PCollection, TaggedOutput
from apache_beam.transforms.combiners import ToListCombineFn

from pipelines.corpora.preparation.corpus_records import DEV, Kept, Part, Piece, Refusal, Row, Rules, TextFile
from pipelines.corpora.preparation.corpus_report import write_manifest
from pipelines.corpora.preparation.cutting import book_texts, caption_texts, photo_key, photo_texts, read_rows
from pipelines.corpora.preparation.pieces import Text, find_repeated, lots_of, text_hash, write_pieces
from pipelines.corpora.preparation.shards import key_by_shard, plan_shards, write_shard
from pipelines.corpora.preparation.text_files import inspect, parts_of, read_lines
from pipelines.corpora.preparation.word_counts import SumCounts, choose_words, count_words

FILES, REFUSED, PIECES, LOTS, ROWS = "files", "refused", "pieces", "lots", "rows"
SPREAD = 64  # shards for finding repeated texts, and for gathering the photos of tables
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Target:
    """Destination of a corpus: OUTPUT, a folder for pieces, and the number of words in a shard."""

    output: str
    scratch: str
    shard_words: int


def build(root: beam.Pipeline, listing: str, rules: Rules, target: Target, given: str = "") -> None:
    """Wires the pipeline; its last step writes the manifest.

    Args:
        root: the pipeline.
        listing: URI of a JSON list of (uri, kind), without repeated uris.
        rules: rules for the corpus.
        target: where the corpus is written.
        given: URI of a JSON list of the corpus' words; without it the most frequent words are chosen.
    """
    files, refused = _inspect(root, listing, rules)
    held_out = AsSingleton(
        files
        | "List books" >> beam.FlatMap(book_digest, rules)
        | "Gather books" >> beam.CombineGlobally(ToListCombineFn())
        | "Hold books out" >> beam.Map(hold_out, rules.held_out)
    )
    pieces, kept = _cut(files, held_out, rules, target)
    words = AsSingleton(_take_words(root, given) if given else _choose_words(kept, rules))
    plan = AsSingleton(
        pieces
        | "Gather pieces" >> beam.CombineGlobally(ToListCombineFn())
        | "Plan shards" >> beam.Map(plan_shards, target.shard_words)
    )
    shards = (
        kept
        | "Key by shard" >> beam.Map(key_by_shard, plan)
        | "Group shards" >> beam.GroupByKey()
        | "Write shards" >> beam.Map(write_shard, words, rules, target.output)
    )
    contents = (AsList(files), AsList(refused), held_out, AsList(pieces), AsList(shards), words)
    _ = (
        root
        | "Give rules" >> beam.Create([rules])
        | "Write manifest" >> beam.Map(write_manifest, target.output, *contents)
    )


def _inspect(root: beam.Pipeline, listing: str, rules: Rules) -> tuple[PCollection[TextFile], PCollection[Refusal]]:
    """Returns the usable files, one for each content, and the others."""
    inspected = (
        root
        | "Name list" >> beam.Create([listing])
        | "List files" >> beam.FlatMap(read_listing)
        | "Spread files" >> beam.Reshuffle()
        | "Inspect files" >> beam.ParDo(Inspect(rules)).with_outputs(REFUSED, main=FILES)
    )
    files = (
        inspected[FILES]
        | "Key by content" >> beam.Map(key_by_content)
        | "Group copies" >> beam.GroupByKey()
        | "Keep one copy" >> beam.Map(keep_one_copy)
    )
    return files, inspected[REFUSED]


def _cut(
    files: PCollection[TextFile], held_out: AsSingleton, rules: Rules, target: Target
) -> tuple[PCollection[Piece], PCollection[Kept]]:
    """Returns the written pieces, and each piece with the indices of its repeated texts."""
    from_files = (
        files
        | "Part files" >> beam.FlatMap(parts_of)
        | "Spread parts" >> beam.Reshuffle()
        | "Cut texts" >> beam.ParDo(CutPart(rules, target.scratch), held_out).with_outputs(LOTS, ROWS, main=PIECES)
    )
    from_tables = (
        from_files[ROWS]
        | "Group photos" >> beam.GroupByKey()
        | "Cut captions" >> beam.ParDo(CutPhotos(rules, target.scratch)).with_outputs(LOTS, main=PIECES)
    )
    pieces = (from_files[PIECES], from_tables[PIECES]) | "Flatten pieces" >> beam.Flatten()
    repeated = (
        (from_files[LOTS], from_tables[LOTS])
        | "Flatten lots" >> beam.Flatten()
        | "Group lots" >> beam.GroupByKey()
        | "Find repeated texts" >> beam.FlatMap(find_repeated)
    )
    named = {"pieces": pieces | "Key by name" >> beam.Map(key_by_name), "repeated": repeated}
    return pieces, named | "Join repeated texts" >> beam.CoGroupByKey() | "Keep others" >> beam.Map(keep_others)


def _take_words(root: beam.Pipeline, given: str) -> PCollection[list[str]]:
    """Returns the given words, as one element."""
    words: PCollection[list[str]] = root | "Name words" >> beam.Create([given]) | "Read words" >> beam.Map(read_json)
    return words


def _choose_words(kept: PCollection[Kept], rules: Rules) -> PCollection[list[str]]:
    """Returns the most frequent words as one element."""
    words: PCollection[list[str]] = (
        kept
        | "Count words" >> beam.Map(count_words, rules)
        | "Sum counts" >> beam.CombineGlobally(SumCounts())  # type: ignore[no-untyped-call]
        | "Choose words" >> beam.Map(choose_words, rules)
    )
    return words


def read_json(uri: str) -> list[Any]:
    """Returns the list in a JSON file."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    content: list[Any] = json.loads(filesystem.cat_file(path))
    return content


def read_listing(uri: str) -> Iterator[TextFile]:
    """Yields the files of a list."""
    for name, kind in read_json(uri):
        yield TextFile(name, kind)


class Inspect(beam.DoFn):
    """Checks files: the input element is a file, the output a usable file or a refusal."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def process(self, file: TextFile) -> Iterator[Any]:
        """Yields the file if it is usable, otherwise its refusal under REFUSED."""
        found = inspect(file, self._rules)
        yield TaggedOutput(REFUSED, found) if isinstance(found, Refusal) else found


def key_by_content(file: TextFile) -> tuple[str, TextFile]:
    """Returns a file with its kind and digest as key."""
    return f"{file.kind}/{file.digest}", file


def keep_one_copy(element: tuple[str, Iterable[TextFile]]) -> TextFile:
    """Returns the first, by name, of the files with the same bytes."""
    first, *others = sorted(element[1], key=_uri)
    return replace(first, copies=tuple(file.uri for file in others))


def _uri(file: TextFile) -> str:
    return file.uri


def book_digest(file: TextFile, rules: Rules) -> Iterator[str]:
    """Yields the digest of a file if it is a book."""
    if rules.is_book(file.kind):
        yield file.digest


def hold_out(digests: Iterable[str], wanted: int | float) -> frozenset[str]:
    """Returns the digests of the held-out books.

    Args:
        digests: digests of all books, in any order.
        wanted: number of books, but never all; or a share, and then only the book's own digest decides.
    """
    ranked = sorted(set(digests))
    if isinstance(wanted, int):
        return frozenset(ranked[: min(wanted, len(ranked) - 1)] if ranked else ())
    return frozenset(digest for digest in ranked if int(digest[:16], 16) < wanted * 2**64)


class CutPart(beam.DoFn):
    """Cuts a part of a file into pieces with lots of their texts' hashes; of a table it yields only the rows."""

    def __init__(self, rules: Rules, scratch: str) -> None:
        self._rules, self._scratch = rules, scratch

    def process(self, part: Part, held_out: frozenset[str]) -> Iterator[Any]:
        """Yields the pieces, the hashes under LOTS, and the rows of a table under ROWS."""
        file, rules = part.file, self._rules
        lines = read_lines(part)
        if file.columns:
            yield from (TaggedOutput(ROWS, rows) for rows in spread_rows(read_rows(part, lines)))
            return
        is_book = rules.is_book(file.kind)
        kind = DEV + file.kind if is_book and file.digest in held_out else file.kind
        left_out: Counter[str] = Counter()
        texts = book_texts(lines, rules, left_out) if is_book else caption_texts(lines, rules, left_out)
        name = rules.piece_name(kind, f"texts-{file.digest[:16]}-{part.number:05d}")
        yield from keep_texts(texts, left_out, name, kind, self._scratch)


class CutPhotos(beam.DoFn):
    """Cuts the captions of a shard's photos into pieces with lots of their texts' hashes."""

    def __init__(self, rules: Rules, scratch: str) -> None:
        self._rules, self._scratch = rules, scratch

    def process(self, element: tuple[str, Iterable[list[Row]]]) -> Iterator[Any]:
        """Yields the pieces, and the hashes under LOTS."""
        key, lots = element
        kind, _, shard = key.partition("/")
        left_out: Counter[str] = Counter()
        texts = photo_texts([row for rows in lots for row in rows], self._rules, left_out)
        name = self._rules.piece_name(kind, f"photos-{shard}")
        yield from keep_texts(texts, left_out, name, kind, self._scratch)


def keep_texts(texts: Iterable[Text], left_out: Counter[str], name: str, kind: str, scratch: str) -> Iterator[Any]:
    """Yields written pieces, and lots of the hashes of their texts."""
    for piece, hashes in write_pieces(texts, left_out, name, kind, scratch):
        yield piece
        yield from (TaggedOutput(LOTS, lot) for lot in lots_of(piece.name, hashes, SPREAD))


def spread_rows(rows: Iterable[tuple[str, Row]]) -> Iterator[tuple[str, list[Row]]]:
    """Yields rows with their kind and the shard of their photo as key, so that all rows of a photo are grouped."""
    lots: defaultdict[str, list[Row]] = defaultdict(list)
    for number, (kind, row) in enumerate(rows, start=1):
        lots[f"{kind}/{text_hash(repr(photo_key(row))) % SPREAD:03d}"].append(row)
        if number % ROWS_AT_ONCE == 0:
            yield from lots.items()
            lots = defaultdict(list)
    yield from lots.items()


def key_by_name(piece: Piece) -> tuple[str, Piece]:
    """Returns a piece with its name as key."""
    return piece.name, piece


def keep_others(element: tuple[str, dict[str, Any]]) -> Kept:
    """Returns a piece with the indices of its repeated texts."""
    piece, places = element[1]["pieces"][0], list(element[1]["repeated"])
    return Kept(piece, np.concatenate([np.zeros(0, np.int32), *places]))
