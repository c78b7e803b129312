"""Hostile files: hundreds that are broken, or built to fill memory, by name, with what may become of each.

`python tests/hostile_files.py FOLDER` writes them into a folder.
"""

import io
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

STORY = "story"
BROKEN = ("DamagedImage", "TruncatedImage")
SHORT = (*BROKEN, "EmptyFile", "NotAnImage", "UnsupportedFormat")
BOMB = ("TooManyPixels",)
ANY = (*SHORT, *BOMB, "UnsupportedChannels", "DecoderOutOfMemory", STORY)
PLACES = 50  # where each format is cut
MAX_PIXELS, MAX_BYTES = 4_000_000, 8_000_000  # of the runs over these files
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpg": ("JPEG", {}),
    "progressive.jpg": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "gif": ("GIF", {}),
    "tif": ("TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("BMP", {}),
    "avif": ("AVIF", {}),
}


@dataclass(frozen=True)
class HostileFile:
    """A file's bytes, and what it may become: `story`, or error classes of dead letters."""

    name: str
    data: bytes
    outcomes: tuple[str, ...]


def picture(mode: str = "RGB", side: int = 48) -> Image.Image:
    """Returns a picture that does not compress to nothing."""
    image = Image.frombytes("RGB", (side, side), bytes(place * place % 251 for place in range(side * side * 3)))
    return image.convert(mode)


def saved(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """Returns the file of a picture."""
    stream = io.BytesIO()
    (image or picture()).save(stream, kind, **options)
    return stream.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """Returns a chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, raw: bytes, depth: int = 1, colour: int = 0, extra: bytes = b"") -> bytes:
    """Returns a PNG whose header says anything."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def tiff(tags: dict[int, int], following: int = 0, data: bytes = b"", count: int | None = None) -> bytes:
    """Returns a TIFF with one folder of tags, of an 8 x 8 grey picture unless they say otherwise."""
    start = 8 + 2 + 12 * (10 + len(set(tags) - set(range(256, 280)))) + 4
    merged = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: start, 277: 1, 278: 8, 279: 64, 282: 0} | tags
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(merged.items()))
    body = struct.pack("<IH", 8, len(merged) if count is None else count) + entries + struct.pack("<I", following)
    return b"II*\0" + body + (data or bytes(range(64)))


def webp(kind: bytes, body: bytes) -> bytes:
    """Returns a WebP of one chunk."""
    inside = b"WEBP" + kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


def segments(marker: int, start: bytes, count: int) -> bytes:
    """Returns a JPEG with so many full segments of metadata."""
    whole, full = saved("JPEG"), 65_533
    parts = []
    for number in range(count):
        head = start.replace(b"#", bytes([number % 255 + 1, min(count, 255)]))
        parts.append(bytes([0xFF, marker]) + struct.pack(">H", full + 2) + head + bytes(full - len(head)))
    return whole[:2] + b"".join(parts) + whole[2:]


def resized_jpeg(width: int, height: int) -> bytes:
    """Returns a JPEG whose header says another size."""
    data = saved("JPEG")
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def resized(kind: str, old: bytes, new: bytes) -> bytes:
    """Returns a file with its sides replaced."""
    data = saved(kind)
    assert old in data
    return data.replace(old, new)


def bombs() -> Iterator[HostileFile]:
    """Yields small files that promise or unfold to much."""
    much = zlib.compress(bytes(60_000_000), 9)
    side = 65_535
    shapes = {"20000": (20_000, 20_000), "wide": (side, 20_000), "tall": (20_000, side), "65535": (side, side)}
    for name, (width, height) in shapes.items():
        screen = struct.pack("<HH", width, height)
        frame = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"," + bytes(4) + screen + b"\0\2\2\x4c\1\0;"
        yield HostileFile(f"bomb-{name}.png", png(width, height, b"\0" * 9999), BOMB)
        yield HostileFile(f"bomb-{name}.jpg", resized_jpeg(width, height), BOMB)
        yield HostileFile(f"bomb-{name}.gif", b"GIF89a" + screen + b"\0\0\0;", BOMB)
        yield HostileFile(f"bomb-{name}-frame.gif", frame, BOMB)
        yield HostileFile(f"bomb-{name}.tif", tiff({256: width, 257: height, 279: 64}), (*BOMB, *BROKEN))
        sides, new = struct.pack("<ii", 48, 48), struct.pack("<ii", width, height)
        yield HostileFile(f"bomb-{name}.bmp", resized("BMP", sides, new), BOMB)
        sides, new = struct.pack(">II", 48, 48), struct.pack(">II", width, height)
        yield HostileFile(f"bomb-{name}.avif", resized("AVIF", sides, new), (*BOMB, *BROKEN))
    full = b"\2\0\0\0" + b"\xff\x3f\0\xff\x3f\0"
    yield HostileFile("bomb-canvas.webp", webp(b"VP8X", full), BOMB)
    yield HostileFile("bomb-lossless.webp", webp(b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(99)), BOMB)
    yield HostileFile("bomb-lossy.webp", webp(b"VP8 ", b"\x30\1\0\x9d\1\x2a\xff\x3f\xff\x3f" + bytes(99)), BOMB)
    yield HostileFile("bomb-real.png", png(20_000, 20_000, bytes(20_000 * 2501)), BOMB)
    yield HostileFile("bomb-2-billion.png", png(2**31 - 1, 2**31 - 1, b""), (*BOMB, *BROKEN))
    yield HostileFile("bomb-4-billion.tif", tiff({256: 2**32 - 1, 257: 2**32 - 1}), (*BOMB, *BROKEN))
    yield HostileFile("unfolds.png", png(8, 8, bytes(60_000_000), 8), (*BROKEN, STORY))
    packed = tiff({259: 8, 279: len(much)}, data=much)
    yield HostileFile("unfolds.tif", packed, (*BROKEN, STORY))
    small = b"\0" + bytes(range(8))
    for name, body in {"iCCP": b"x\0\0", "zTXt": b"x\0\0", "iTXt": b"x\0\1\0\0\0"}.items():
        extra = chunk(name.encode(), body + much)
        yield HostileFile(f"unfolds-{name}.png", png(8, 1, small, 8, extra=extra), (STORY,))
    yield HostileFile("zip.jpg", b"PK\3\4" + much, ("UnsupportedFormat",))
    yield HostileFile("gzip.png", b"\x1f\x8b" + much, ("UnsupportedFormat",))
    for name, sides in {"wide": (side, 60), "tall": (60, side)}.items():  # large, and allowed
        image = Image.new("L", sides, 99)
        for ending in ("png", "gif", "tif", "bmp"):
            yield HostileFile(f"side-{name}.{ending}", saved(KINDS[ending][0], image), (STORY,))
        data = saved("JPEG", Image.new("L", tuple(min(one, 65_500) for one in sides), 99))
        yield HostileFile(f"side-{name}.jpg", data, (STORY,))


def cut_files() -> Iterator[HostileFile]:
    """Yields each format cut at 50 places; near its end a file may have all its pixels, a TIFF earlier."""
    for ending, (kind, options) in KINDS.items():
        data = saved(kind, **options)
        for place in range(PLACES):
            whole = place >= PLACES - 2 or kind == "TIFF"
            outcomes = (*SHORT, STORY) if whole else SHORT
            yield HostileFile(f"cut-{place:02d}.{ending}", data[: len(data) * place // PLACES], outcomes)


def wrong_files() -> Iterator[HostileFile]:
    """Yields files that begin like one format and go on like another, and like nothing."""
    files = {ending: saved(kind, **options) for ending, (kind, options) in KINDS.items()}
    noise = bytes(place * 7919 % 253 for place in range(4000))
    for ending, data in files.items():
        for other, start in files.items():
            if KINDS[ending][0] != KINDS[other][0]:
                yield HostileFile(f"{other}-starts-{ending}.{ending}", start[:16] + data[16:], ANY)
        yield HostileFile(f"noise.{ending}", data[:16] + noise, ANY)
        yield HostileFile(f"no-start.{ending}", data[16:], SHORT)
        yield HostileFile(f"twice.{ending}", data + data, (STORY,))
        flipped = bytearray(data)
        for place in range(len(data) // 2, len(data) - 20, 9):
            flipped[place] ^= 0x5A
        yield HostileFile(f"flipped.{ending}", bytes(flipped), ANY)
    yield HostileFile("empty.jpg", b"", ("EmptyFile",))
    yield HostileFile("zeros.png", bytes(5000), ("NotAnImage",))
    yield HostileFile("text.gif", b"Dear diary, today I took no photo.\n", ("NotAnImage",))
    yield HostileFile("page.webp", b"<!DOCTYPE html><html>404</html>", ("NotAnImage",))


def odd_tiffs() -> Iterator[HostileFile]:
    """Yields TIFFs whose folders go round, have no end, or point anywhere."""
    good = tiff({})
    yield HostileFile("round.tif", tiff({}, following=8), (STORY,))
    yield HostileFile("round-exif.tif", tiff({34665: 8}), (STORY,))
    yield HostileFile("round-gps.tif", tiff({34853: 8}), (STORY,))
    yield HostileFile("round-sub.tif", tiff({330: 8}), (STORY,))
    yield HostileFile("far-next.tif", tiff({}, following=2**32 - 1), (STORY,))
    yield HostileFile("far-folder.tif", good[:4] + b"\xff\xff\xff\xff" + good[8:], BROKEN)
    yield HostileFile("folder-in-head.tif", good[:4] + b"\0\0\0\0" + good[8:], BROKEN)
    yield HostileFile("many-tags.tif", tiff({}, count=65_535), (*BROKEN, STORY))
    yield HostileFile("big.tif", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63) + bytes(99), ANY)
    for name, tags in {
        "no-width": {256: 0},
        "samples": {277: 65_535},
        "bits": {258: 65_535},
        "far-strip": {273: 2**32 - 1},
        "long-strip": {279: 2**32 - 1},
        "rows": {278: 0},
        "compression": {259: 65_535},
        "jpeg": {259: 7},
        "tiles": {322: 0, 323: 0, 324: 8, 325: 64},
        "ink": {262: 65_535},
    }.items():
        yield HostileFile(f"odd-{name}.tif", tiff(tags), ANY)
    tag = good.index(struct.pack("<HHI", 273, 4, 1))
    yield HostileFile("count.tif", good[: tag + 4] + b"\xff\xff\xff\xff" + good[tag + 8 :], BROKEN)


def heavy_metadata() -> Iterator[HostileFile]:
    """Yields good pictures with metadata that are giant, broken or go round."""
    folder = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 34665, 4, 1, 8) + struct.pack("<I", 8)
    for count in (1, 50, 100):
        yield HostileFile(f"exif-{count}.jpg", segments(0xE1, b"Exif\0\0" + folder, count), (STORY,))
        yield HostileFile(f"icc-{count}.jpg", segments(0xE2, b"ICC_PROFILE\0#", count), (STORY,))
        yield HostileFile(f"comment-{count}.jpg", segments(0xFE, b"", count), (STORY,))
        yield HostileFile(f"mpo-{count}.jpg", segments(0xE2, b"MPF\0" + folder, count), (STORY, *BROKEN))
    for ending, kind in {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "avif": "AVIF"}.items():
        yield HostileFile(f"exif-round.{ending}", saved(kind, exif=b"Exif\0\0" + folder), (STORY,))
        bad = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\1\xff\xff" * 40
        yield HostileFile(f"exif-broken.{ending}", saved(kind, exif=bad), (STORY,))
    for ending, kind in {"png": "PNG", "webp": "WEBP", "tif": "TIFF", "avif": "AVIF"}.items():
        yield HostileFile(f"icc-giant.{ending}", saved(kind, icc_profile=os.urandom(3_000_000)), (STORY, *BROKEN))


def good_oddities() -> Iterator[HostileFile]:
    """Yields pictures of every kind that must become stories."""
    frames = {"save_all": True, "append_images": [picture().rotate(90)] * 40, "duration": 1}
    for ending in ("png", "webp", "gif", "tif", "avif"):
        more = frames if ending != "tif" else frames | {"compression": "tiff_lzw"}
        yield HostileFile(f"frames.{ending}", saved(KINDS[ending][0], **more), (STORY,))
    yield HostileFile("cmyk.jpg", saved("JPEG", picture("CMYK")), (STORY,))
    yield HostileFile("cmyk.tif", saved("TIFF", picture("CMYK")), (STORY,))
    yield HostileFile("lab.tif", saved("TIFF", picture("LAB")), (STORY,))
    yield HostileFile("float.tif", saved("TIFF", picture("F")), (STORY,))
    yield HostileFile("32-bit.tif", saved("TIFF", picture("I")), (STORY,))
    yield HostileFile("16-bit.png", saved("PNG", picture("L").convert("I;16")), (STORY,))
    yield HostileFile("16-bit-colour.png", png(8, 1, b"\0" + bytes(48), 16, 2), (STORY,))
    for mode in ("1", "L", "LA", "P", "RGBA"):
        yield HostileFile(
            f"mode-{mode}.png", saved("PNG", picture(mode if mode != "LA" else "RGBA").convert(mode)), (STORY,)
        )
    yield HostileFile("palette.png", saved("PNG", picture("P"), transparency=bytes(range(256))), (STORY,))
    yield HostileFile("palette.gif", saved("GIF", picture("P"), transparency=3), (STORY,))
    for ending, (kind, options) in KINDS.items():
        yield HostileFile(f"one-pixel.{ending}", saved(kind, picture(side=1), **options), (STORY,))


def hostile_files() -> list[HostileFile]:
    """Returns all of them, each name once."""
    makers = (bombs, cut_files, wrong_files, odd_tiffs, heavy_metadata, good_oddities)
    return [file for maker in makers for file in maker()]


def write_names(folder: Path) -> dict[str, tuple[str, ...]]:
    """Returns what may become of names that are no plain files, after making them in a folder."""
    (folder / "folder.jpg").mkdir()
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "loop-a.png").symlink_to("loop-b.png")
    (folder / "loop-b.png").symlink_to("loop-a.png")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.jpg")
    with open(folder / "sparse.jpg", "wb") as file:
        file.truncate(10_000_000_000)
    loops = dict.fromkeys(("loop.jpg", "loop-a.png", "loop-b.png"), ("LinkLoop",))
    others = {"gone.jpg": ("MissingFile",), "sparse.jpg": ("FileTooLarge",)}
    return loops | others | dict.fromkeys(("device.jpg", "pipe.jpg"), ("NotAFile",))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True)
    for one in hostile_files():
        (target / one.name).write_bytes(one.data)
    write_names(target)
