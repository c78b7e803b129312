"""Input files: read once in full to check that they are text, then part by part."""

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import fsspec

from pipelines.corpora.preparation.corpus_records import Part, Refusal, Rules, TextFile
from transforms.read_errors import read_error

BLOCK = 1 << 20  # bytes per read
PART = 32 << 20  # minimum bytes of a part
LONGEST_LINE = 16 << 20  # maximum bytes of a line
BREAKS = (b"\n\n", b"\n\r\n", b"\n")  # possible starts of a part: after a blank line, else after a line


@contextmanager
def open_bytes(uri: str) -> Iterator[IO[bytes]]:
    """Opens a file for reading; one that ends in .gz is unpacked."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    with filesystem.open(path, "rb") as stream:
        if uri.endswith(".gz"):
            with gzip.open(stream, "rb") as unpacked:
                yield unpacked
        else:
            yield stream


def inspect(file: TextFile, rules: Rules) -> TextFile | Refusal:
    """Returns the file with its digest, size, cuts and columns, or a refusal with the reason."""
    is_book = rules.is_book(file.kind)
    endings = (".txt", ".txt.gz") if is_book else (".txt", ".txt.gz", ".tsv", ".tsv.gz")
    if not file.uri.endswith(endings):
        return Refusal(file.uri, f"does not end in {' or '.join(endings)}")
    try:
        with open_bytes(file.uri) as stream:
            digest, size, cuts = _read_through(stream)
        columns = () if is_book else _columns(file.uri)
    except NotText as error:
        return Refusal(file.uri, str(error))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        return Refusal(file.uri, f"is not a complete gzip file ({error})")
    except Exception as error:  # read_error raises it again if it is a bug
        return Refusal(file.uri, str(read_error(file.uri, error)).removeprefix(f"{file.uri} "))
    return TextFile(file.uri, file.kind, digest, size, cuts, columns)


class NotText(Exception):
    """A file is not a text as expected."""


def _read_through(stream: IO[bytes]) -> tuple[str, int, tuple[int, ...]]:
    """Returns sha256, size and cuts.

    Raises:
        NotText: the file is not UTF-8, or a line is too long.
    """
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    size = line = 0  # where the last line starts
    cuts: list[int] = []
    while block := stream.read(BLOCK):
        _check(block, decoder, size)
        digest.update(block)
        if size + len(block) >= (cuts[-1] if cuts else 0) + PART and (place := _break(block)):
            cuts.append(size + place)
        line = size + place if (place := block.rfind(b"\n") + 1) else line
        size += len(block)
        if size - line > LONGEST_LINE:
            raise NotText(f"has a line of more than {LONGEST_LINE >> 20} MiB")
    _check(b"", decoder, size)
    return digest.hexdigest(), size, tuple(cut for cut in cuts if cut < size)


def _check(block: bytes, decoder: codecs.IncrementalDecoder, place: int) -> None:
    if b"\0" in block:
        raise NotText(f"is not text: byte {place + block.index(0):,} is zero")
    try:
        decoder.decode(block, final=not block)
    except UnicodeDecodeError as error:
        raise NotText(f"is not UTF-8: {error.reason} near byte {place + error.start:,}") from error


def _break(block: bytes) -> int:
    """Returns the place after the first blank line, otherwise after the first line; 0 if the block has none."""
    for mark in BREAKS:
        if (place := block.find(mark)) >= 0:
            return place + len(mark)
    return 0


def _columns(uri: str) -> tuple[str, ...]:
    """Returns the columns of a caption file; none if it is plain text.

    Raises:
        NotText: the file should be a table, but has no captions.
    """
    with open_bytes(uri) as stream:
        first = stream.readline(BLOCK).decode("utf-8-sig", "replace").rstrip("\r\n").split("\t")
    if "caption" in first and len(first) > 1:
        return tuple(first)
    if uri.endswith((".tsv", ".tsv.gz")):
        if first == ["caption"]:
            return ("caption",)
        raise NotText(f"has no column 'caption'; its first line has {', '.join(map(repr, first))}"[:200])
    return ()


def parts_of(file: TextFile) -> Iterator[Part]:
    """Yields the parts of a file, which can be read separately."""
    for number, (start, stop) in enumerate(zip((0, *file.cuts), (*file.cuts, file.size), strict=True)):
        yield Part(file, number, start, stop)


def read_lines(part: Part) -> Iterator[str]:
    """Yields the lines of a part, without the header of a table."""
    with open_bytes(part.file.uri) as stream:
        stream.seek(part.start)
        section = io.BufferedReader(_Section(stream, part.stop - part.start), BLOCK)
        lines = io.TextIOWrapper(section, "utf-8-sig")
        if part.file.columns and part.number == 0:
            next(lines, None)
        yield from lines


class _Section(io.RawIOBase):
    """The next `length` bytes of a stream."""

    def __init__(self, stream: IO[bytes], length: int) -> None:
        self._stream, self._left = stream, length

    def readable(self) -> bool:
        """Returns True."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401, any buffer that can be written to
        """Reads into the buffer and returns the number of bytes; 0 at the end."""
        data = self._stream.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)
