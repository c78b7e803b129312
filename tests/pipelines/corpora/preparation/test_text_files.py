"""Input files: what is text, where parts begin, and their lines."""

import gzip
import hashlib
from pathlib import Path

import pytest

from pipelines.corpora.preparation import text_files as files
from pipelines.corpora.preparation.corpus_records import Refusal, Rules, TextFile
from pipelines.corpora.preparation.text_files import inspect, parts_of, read_lines

RULES = Rules(("books",), ("captions",))


def look(path: Path, data: bytes, kind: str = "books") -> TextFile | Refusal:
    path.write_bytes(data)
    return inspect(TextFile(str(path), kind), RULES)


def lines_of(file: TextFile | Refusal) -> list[list[str]]:
    assert isinstance(file, TextFile)
    return [list(read_lines(part)) for part in parts_of(file)]


def test_a_file_is_told_by_its_bytes_unpacked(tmp_path: Path) -> None:
    data = "Straße\r\n\r\nsecond\rthird".encode("utf-8-sig")
    plain, packed = look(tmp_path / "a.txt", data), look(tmp_path / "a.txt.gz", gzip.compress(data))
    for file in (plain, packed):
        assert isinstance(file, TextFile)
        assert (file.digest, file.size) == (hashlib.sha256(data).hexdigest(), len(data))
        assert lines_of(file) == [["Straße\n", "\n", "second\n", "third"]]


@pytest.mark.parametrize("ending", [".txt", ".txt.gz"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_parts_begin_after_blank_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, line_end: str
) -> None:
    monkeypatch.setattr(files, "BLOCK", 40)
    monkeypatch.setattr(files, "PART", 100)
    text = "".join(f"é {number} one\n{number} two\n\n" for number in range(30)).replace("\n", line_end)
    data = text.encode()
    file = look(tmp_path / f"a{ending}", gzip.compress(data) if ending.endswith(".gz") else data)
    parts = lines_of(file)
    assert len(parts) > 3 and all(lines[-1] == "\n" and lines[0].startswith("é") for lines in parts)
    assert "".join(line for lines in parts for line in lines) == text.replace("\r\n", "\n")


def test_parts_of_lines_alone_begin_after_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BLOCK", 16)
    monkeypatch.setattr(files, "PART", 50)
    rows = [f"{number}.jpg\ta dog {number}\n" for number in range(20)]
    table = look(tmp_path / "a.tsv", "".join(["image\tcaption\n", *rows]).encode(), "captions")
    assert isinstance(table, TextFile) and table.columns == ("image", "caption")
    parts = lines_of(table)
    assert len(parts) > 3 and [line for lines in parts for line in lines] == rows


def test_no_part_is_empty_and_an_empty_file_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PART", 4)
    assert lines_of(look(tmp_path / "a.txt", b"abcd\n\n")) == [["abcd\n", "\n"]]
    assert lines_of(look(tmp_path / "b.txt", b"")) == [[]]


@pytest.mark.parametrize(
    ("name", "first", "columns"),
    [
        ("a.txt", "a caption\n", ()),
        ("a.txt", "caption\n", ()),
        ("a.txt", "image\tcaption\r\n", ("image", "caption")),
        ("a.tsv", "\ufeffcaption\tsplit\n", ("caption", "split")),
        ("a.tsv", "caption\n", ("caption",)),
    ],
)
def test_tables_are_told_by_their_first_line(tmp_path: Path, name: str, first: str, columns: tuple[str, ...]) -> None:
    file = look(tmp_path / name, first.encode(), "captions")
    assert isinstance(file, TextFile) and file.columns == columns


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", "abc é".encode()[:-1], "is not UTF-8: unexpected end of data near byte"),
        ("a.txt", b"abc\xe9 def", "is not UTF-8: invalid continuation byte near byte 3"),
        ("a.txt", "text".encode("utf-16"), "is not text: byte 3 is zero"),
        ("a.txt", b"a\0b", "is not text: byte 1 is zero"),
        ("a.txt", b"x" * 200 + b"\n", "has a line of more than"),
        ("a.txt.gz", b"plain", "is not a complete gzip file"),
        ("a.txt.gz", gzip.compress(b"text\n" * 100, mtime=0)[:-9], "is not a complete gzip file"),
        ("a.pdf", b"text", "does not end in .txt or .txt.gz"),
        ("a.tsv", b"text", "does not end in .txt or .txt.gz"),
    ],
)
def test_what_is_no_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes, reason: str
) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 99)
    monkeypatch.setattr(files, "BLOCK", 64)
    found = look(tmp_path / name, data)
    assert isinstance(found, Refusal) and found.reason.startswith(reason.split(":")[0]) and reason in found.reason


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    found = inspect(TextFile(str(tmp_path / "none.txt"), "books"), RULES)
    assert found == Refusal(str(tmp_path / "none.txt"), "does not exist, or not any more")
