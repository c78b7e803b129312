"""Readers of dictionaries, options and text files of the originals."""

import contextlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pipelines.originals.damage import AGAIN, Damage
from pipelines.originals.pickle_machine import Buffer
from pipelines.originals.pickles import PickleReader

Pairs = list[tuple[str, int]]
Value = TypeVar("Value")


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[Buffer]:
    """Yields the file's content, mapped into memory."""
    with open(path, "rb") as file:
        if not path.stat().st_size:
            raise Damage(f"{path.name}: empty; {AGAIN}")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
            yield buffer


def read_options(path: Path, required: dict[str, type]) -> dict[str, Any]:
    """Returns the options that a network was trained with (SPEC sections 5, 7 and 9), by name.

    Raises:
        Damage: no dictionary, or a required option is missing or of another type.
    """
    with mapped(path) as buffer:
        reader = PickleReader(buffer, path.name)
        found = reader.read()
        if not isinstance(found, dict):
            raise Damage(f"{path.name}: no dictionary of options; {AGAIN}")
        options = {text(reader.raw(key)): text(reader.raw(value)) for key, value in found.items()}
    problems = [
        f"{path.name}: the option {name!r} is missing or no {kind.__name__}; {AGAIN}"
        for name, kind in required.items()
        if type(options.get(name)) is not kind
    ]
    if problems:
        raise Damage(*problems)
    return options


def read_dictionary(path: Path) -> Pairs:
    """Returns the words and ids of the first pickle in a file, in its order; bytes beyond UTF-8 become surrogates.

    Raises:
        Damage: no dictionary from words to ids.
    """
    with mapped(path) as buffer:
        reader = PickleReader(buffer, path.name)
        found = reader.read()
        if not isinstance(found, dict) or not found:
            raise Damage(f"{path.name}: no dictionary of words; {AGAIN}")
        pairs = [(text(word), number) for word, number in found.items()]
    wrong = [pair for pair in pairs if not isinstance(pair[0], str) or type(pair[1]) is not int or pair[1] < 0]
    if wrong:
        raise Damage(f"{path.name}: {len(wrong)} of {len(pairs)} entries are not a word and its number; {AGAIN}")
    return pairs


def read_table_words(path: Path) -> list[str]:
    """Returns the words of a word table in the order of its rows (SPEC section 7).

    Only line feeds end lines, and a line of no-break spaces is a word: the empty one.

    Raises:
        Damage: a line is not UTF-8, or the unknown word is missing.
    """
    words = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            words.append(line.decode("utf-8").strip())
        except UnicodeDecodeError as error:
            raise Damage(f"{path.name}: line {number} is not UTF-8; {AGAIN}") from error
    if "UNK" not in words:
        raise Damage(f"{path.name}: lacks the word 'UNK' and so is cut short; {AGAIN}")
    return words


def read_captions(path: Path) -> list[str]:
    """Returns the captions (SPEC section 6): lines without the ASCII space at their ends, duplicates kept.

    Raises:
        Damage: there are none.
    """
    captions = [line.strip().decode("utf-8", "surrogateescape") for line in _lines(path)]
    if not any(captions):
        raise Damage(f"{path.name}: holds no captions; {AGAIN}")
    return captions


def text(value: Value | bytes) -> Value | str:
    """Returns a Python 2 string as text, each byte beyond UTF-8 as a surrogate; anything else as it is."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _lines(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return content.removesuffix(b"\n").split(b"\n") if content else []
