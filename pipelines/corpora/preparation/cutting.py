"""Texts: passages of books and captions, as words, without those that are not suitable for training."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from pipelines.corpora.preparation.corpus_records import DEV, Part, Row, Rules
from pipelines.corpora.preparation.pieces import Text, text_hash
from pipelines.corpora.texts import book_paragraphs, normalise_caption, passages_of

LONGEST = 1 << 16  # maximum characters of a paragraph
SCRAPS = "scraps"
HELD_OUT_SPLITS = ("dev", "val")
UNUSED_SPLITS = ("test",)


def paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """Yields paragraphs, which end at blank lines or at the line with which they exceed LONGEST characters."""
    held: list[str] = []
    size = 0
    for line in lines:
        blank = line.isspace()
        if not blank:
            held.append(line)
            size += len(line)
        if held and (blank or size > LONGEST):
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)


def mostly_no_letters(text: str) -> bool:
    """Returns whether fewer than half of the characters of a text, without spaces, are letters."""
    return 2 * sum(map(str.isalpha, text)) < sum(map(len, text.split()))


def book_texts(lines: Iterable[str], rules: Rules, left_out: Counter[str]) -> Iterator[Text]:
    """Yields the passages of a book, each with the number of its paragraph.

    The random lengths of the passages depend only on the words of the paragraph, so that the same paragraph is cut in
    the same way in every book that has it.

    Args:
        lines: lines of the book.
        rules: rules for cutting and leaving out.
        left_out: counter of the paragraphs that are left out.
    """
    for number, raw in enumerate(paragraphs(lines)):
        text = "" if mostly_no_letters(raw) else next(book_paragraphs(raw), "")
        if not text:
            left_out[SCRAPS] += 1
            continue
        text = text.lower() if rules.lower else text
        draw = np.random.default_rng(text_hash(text)) if rules.unit == "passage" else None
        for passage in passages_of(text.split(), rules.least, rules.most, draw):
            yield number, passage


def caption_words(caption: str, rules: Rules, left_out: Counter[str]) -> list[str]:
    """Returns the words of a caption, or nothing if it is left out; `left_out` counts these."""
    words = [] if mostly_no_letters(caption) else normalise_caption(caption, rules.lower).split()
    if 1 < len(words) <= rules.most:
        return words
    left_out[SCRAPS] += 1
    return []


def caption_texts(lines: Iterable[str], rules: Rules, left_out: Counter[str]) -> Iterator[Text]:
    """Yields the captions of plain text, one per line and each its own group."""
    for number, line in enumerate(lines):
        if not line.isspace() and (words := caption_words(line, rules, left_out)):
            yield number, words


def read_rows(part: Part, lines: Iterable[str]) -> Iterator[tuple[str, Row]]:
    """Yields the kind and the row of each caption in a table; leaves out test splits."""
    columns, file = part.file.columns, part.file
    for number, line in enumerate(lines):
        cells = dict(zip(columns, line.rstrip("\r\n").split("\t"), strict=False))
        split = cells.get("split", "").strip().lower()
        if split not in UNUSED_SPLITS and "caption" in cells:
            kind = DEV + file.kind if split in HELD_OUT_SPLITS else file.kind
            yield kind, Row(file.digest, cells.get("image", ""), part.number, number, cells["caption"])


def photo_key(row: Row) -> tuple[str, ...]:
    """Returns the key that identifies a row's photo."""
    place = () if row.image else (str(row.part), str(row.line))
    return (row.digest, row.image, *place)


def photo_texts(rows: Sequence[Row], rules: Rules, left_out: Counter[str]) -> Iterator[Text]:
    """Yields the captions of rows; the captions of one photo are consecutive and make one group."""
    ordered = sorted(rows, key=_row_order)
    for number, (_, captions) in enumerate(groupby(ordered, key=photo_key)):
        for row in captions:
            if words := caption_words(row.caption, rules, left_out):
                yield number, words


def _row_order(row: Row) -> tuple[str, str, int, int]:
    return row.digest, row.image, row.part, row.line
