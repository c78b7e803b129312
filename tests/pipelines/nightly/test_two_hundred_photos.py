"""Two hundred photos of every kind, twenty of them bad in every way: none is lost and none is processed twice."""

import hashlib
import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_handlers.pack import Pack

pytestmark = pytest.mark.slow

GOOD, BAD = 180, 20
FLAGS = ("--captions-per-photo=5", "--beam-width=5", "--device=cpu", "--max-bytes=1500000", "--style=romance,swift")
NAMES = ["photo {}", "fig#{}", "a [b] {}", "é ñ 写真 {}", "100% {}", "deep/er #/{}", "q?x={}", "it's {}", "-{}", "*{}"]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes) -> bytes:
    """Returns a PNG of one bit a pixel, of any size that the header says."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bomb() -> bytes:
    """Returns a PNG of 20000 x 20000 pixels in 48 KB."""
    data = png(20_000, 20_000, zlib.compress(bytes(20_000 * 2501), 9))
    assert 45_000 < len(data) < 52_000
    return data


def damaged(data: bytes) -> bytes:
    place = data.index(b"IDAT") + 8
    return data[:place] + bytes(byte ^ 0xFF for byte in data[place : place + 40]) + data[place + 40 :]


BadFiles = dict[str, tuple[bytes | None, str, bool]]


def bad_files(make: Callable[[int], Any]) -> BadFiles:
    """Returns files by name, with the error that each is to be and whether another night may do better."""
    jpeg, big, gif, tiff, bmp, webp = (make(number).data for number in (19, 25, 33, 34, 36, 31))
    rgb = make(44).data
    noise = np.random.RandomState(9).bytes(5000)
    return {
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "TruncatedImage", False),
        "truncated.png": (big[: len(big) // 2], "TruncatedImage", False),
        "truncated.webp": (webp[: len(webp) // 2], "TruncatedImage", False),
        "truncated.bmp": (bmp[: len(bmp) // 2], "TruncatedImage", False),
        "truncated.gif": (gif[: len(gif) // 4], "TruncatedImage", False),
        "truncated.tif": (tiff[: len(tiff) // 2], "DamagedImage", False),  # its directory was at the end
        "damaged.png": (damaged(rgb), "DamagedImage", False),
        "empty.jpg": (b"", "EmptyFile", False),
        "text #1.jpg": (b"Dear diary, today I took no photo.\n", "NotAnImage", False),
        "page.jpg": (b"<html><body>404</body></html>", "NotAnImage", False),
        "random": (b"\x01" + noise, "NotAnImage", False),
        "paper.png": (b"%PDF-1.7\n" + noise, "UnsupportedFormat", False),
        "zip [1].jpg": (b"PK\3\4" + noise, "UnsupportedFormat", False),
        "bomb.png": (bomb(), "TooManyPixels", False),
        "bomb.gif": (b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0;", "TooManyPixels", False),
        "heavy.jpg": (jpeg + bytes(1_500_000), "FileTooLarge", False),
        "loop.jpg": (None, "LinkLoop", True),  # a link to itself: cannot be opened, not even by root
        "broken link.jpg": (None, "MissingFile", True),
        "gone.jpg": (None, "MissingFile", True),  # in the list alone
        "folder.jpg": (None, "NotAFile", False),  # in the list, and a folder
    }


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, make_photo: Any) -> dict[str, Any]:
    """Returns a folder of photos, a list with two more, and what is to become of each, by path."""
    folder = tmp_path_factory.mktemp("album") / "photos [2026] #1"
    made: dict[str, Any] = {}
    for number in range(GOOD):
        photo = make_photo(number if number < GOOD - 10 else number - 100)  # the last ten are copies of others
        path = folder / f"{NAMES[number % len(NAMES)].format(number)}.{photo.ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo.data)
        made[str(path)] = photo
    odd = os.fsencode(folder) + b"/caf\xe9.jpg"
    os.rename(folder / "photo 0.jpg", odd)  # a name that is not UTF-8
    made[str(folder / "caf\\xe9.jpg")] = made.pop(str(folder / "photo 0.jpg"))
    bad = bad_files(make_photo)
    for name, (data, _, _) in bad.items():
        if data is not None:
            (folder / name).write_bytes(data)
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "broken link.jpg").symlink_to("nowhere.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "notes.txt").write_text("no photo")
    (folder / "Thumbs.db").write_bytes(b"litter")
    again = [str(folder / "photo 10.png"), str(folder / "truncated.jpg")]
    lines = [str(folder / "gone.jpg"), str(folder / "folder.jpg"), *again]
    (folder.parent / "list.txt").write_text("\n".join(lines) + "\n")
    assert len(made) == GOOD and len(bad) == BAD
    return {"folder": folder, "list": str(folder.parent / "list.txt"), "good": made, "bad": bad, "again": again}


def run_over(album: dict[str, Any], run_job: Any, pack: Pack, output: Any, *options: str) -> str:
    places = (f"--input={album['folder']}", f"--uris={album['list']}", f"--output={output.location}")
    code, printed, errors = run_job(*places, f"--pack={pack.location}", *FLAGS, *options)
    assert code == 0, errors
    return printed


def assert_whole(album: dict[str, Any], output: Any, number: int | None = None) -> None:
    """Each listed object has one outcome a style, and the right one."""
    expected: Counter[tuple[str, str]] = Counter((uri, "story") for uri in album["good"])
    expected.update((str(album["folder"] / name), "dead_letter") for name in album["bad"])
    expected.update((str(album["folder"] / name), "ignored") for name in ("notes.txt", "Thumbs.db"))
    expected.update((uri, "repeated") for uri in album["again"])
    for style in ("romance", "swift"):
        rows = [row for row in output.rows("ledger", number) if row["style"] == style]
        assert Counter((row["uri"], row["outcome"]) for row in rows) == expected
    told = Counter((row["uri"], row["style"]) for row in output.rows("stories", number))
    assert told == Counter((uri, style) for uri in album["good"] for style in ("romance", "swift"))


def test_none_is_lost_and_none_is_processed_twice(
    album: dict[str, Any],
    run_job: Any,
    photo_pack: Pack,
    output: Any,
    output_at: Any,
    same_stories: Any,
    tmp_path: Path,
) -> None:
    run_over(album, run_job, photo_pack, output, "--wave-size=64", "--shards=2")
    assert_whole(album, output)
    letters = {Path(row["uri"]).name: row for row in output.rows("dead_letters")}
    assert len(letters) == len(output.rows("dead_letters")) == BAD
    for name, (_, error, retryable) in album["bad"].items():
        letter = letters[name]
        assert (letter["error"], letter["retryable"]) == (error, retryable), letter
        assert letter["message"] and (letter["photo_id"] is None) == (letter["stage"] == "read")
    passages: dict[tuple[str, str], set[str]] = {}
    for row in output.rows("stories"):
        photo = album["good"][row["uri"]]
        assert (row["width"], row["height"]) == (photo.width, photo.height), row["uri"]
        assert row["photo_id"] == hashlib.sha256(photo.data).hexdigest()
        passages.setdefault((row["photo_id"], row["style"]), set()).add(row["passage"])
    assert len(passages) == 2 * (GOOD - 10) and all(len(texts) == 1 for texts in passages.values())

    printed = run_over(album, run_job, photo_pack, output, "--wave-size=7", "--shards=5")
    assert output.rows("stories", 2) == []
    assert output.outcomes(2)["unchanged"] == 2 * (GOOD + BAD - 3)  # but for the letters that another night may mend
    assert [Path(row["uri"]).name for row in output.rows("dead_letters", 2)] == [
        "broken link.jpg",
        "gone.jpg",
        "loop.jpg",
    ]
    assert "394 unchanged" in printed

    fresh = output_at(str(tmp_path / "fresh"))
    workers = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    run_over(album, run_job, photo_pack, fresh, "--wave-size=150", "--shards=7", "--batch-size=5", *workers)
    assert_whole(album, fresh)
    same_stories(fresh.rows("stories"), output.rows("stories", 1))
    assert fresh.rows("dead_letters") == output.rows("dead_letters", 1)
