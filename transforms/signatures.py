"""What a file's bytes show without decoding: its format, the size of its canvas, and whether it is complete."""

import struct

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")
"""Supported formats, by Pillow's names."""

PNG_START = b"\x89PNG\r\n\x1a\n"
SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    PNG_START: "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    b"8BPS": "Photoshop",
    b"\0\0\1\0": "icon",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"FUJIFILM": "raw camera",
    b"IIRO": "raw camera",
    b"IIU\0": "raw camera",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance",
    b"qoif": "QOI",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"<svg": "SVG",
    b"<?xml": "XML or SVG",
    b"P4\n": "netpbm",
    b"P5\n": "netpbm",
    b"P6\n": "netpbm",
    b"PK\3\4": "zip",
    b"\x1f\x8b": "gzip",
}
AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
PNG_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"}


def sniff(data: bytes) -> str | None:
    """Returns the name of the format that the bytes begin like, one of FORMATS or another; None if unknown."""
    if data[:4] == b"RIFF":
        return "WEBP" if data[8:12] == b"WEBP" else "RIFF"
    if data[4:8] == b"ftyp":
        return _sniff_brands(data)
    for start, name in SIGNATURES.items():
        if data.startswith(start):
            return name
    return None


def _sniff_brands(data: bytes) -> str:
    """Returns the format of an ISO base media file, by the brands in its first box."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12]} | {data[place : place + 4] for place in range(16, end, 4)}
    if brands & AVIF_BRANDS:
        return "AVIF"
    if brands & HEIF_BRANDS:
        return "HEIF"
    return "raw camera" if data[8:11] == b"crx" else "video"


def canvas_size(name: str, data: bytes) -> tuple[int, int] | None:
    """Returns (width, height) of a GIF's or WebP's canvas, which Pillow may allocate when it opens the file.

    None for other formats, of which Pillow only reads the header when it opens a file.

    Raises:
        IndexError, struct.error: the header is truncated.
    """
    if name == "GIF":
        return _gif_canvas(data)
    if name == "WEBP":
        return _webp_canvas(data)
    return None


def _gif_canvas(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    place = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while data[place] != 0x3B:
        if data[place] == 0x2C:  # the first frame, which may extend beyond the screen
            left, top, across, down = struct.unpack_from("<4H", data, place + 1)
            return max(width, left + across), max(height, top + down)
        if data[place] == 0x21:  # an extension: blocks, each after its length, until one of length 0
            place += 2
            while data[place]:
                place += data[place] + 1
        place += 1
    return width, height


def _webp_canvas(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def bare_png(data: bytes) -> bytes:
    """Returns a PNG without the chunks that its pixels do not need, such as texts and profiles that inflate a lot.

    A truncated chunk ends it. An animation keeps its default image.
    """
    parts, place = [PNG_START], len(PNG_START)
    while place + 8 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] in PNG_CHUNKS or not data[place + 4 : place + 8].isalpha():
            parts.append(data[place:end])
        place = end
    return b"".join(parts)


def is_cut_short(name: str, data: bytes) -> bool:
    """Returns whether the end of a file is missing, as far as its format shows it."""
    if name == "JPEG":
        return not data.rstrip(b"\0").endswith(b"\xff\xd9")
    if name == "PNG":
        return b"IEND" not in data[-1024:]
    if name == "GIF":
        return not data.rstrip(b"\0").endswith(b";")
    if name == "WEBP":
        return int.from_bytes(data[4:8], "little") > len(data) - 8
    if name == "BMP":
        return int.from_bytes(data[2:6], "little") > len(data)
    return name in ("AVIF", "HEIF") and _last_box_end(data) > len(data)


def _last_box_end(data: bytes) -> int:
    """Returns the end of the last outermost box of an ISO base media file; a size of 0 or 1 is not followed."""
    end = 0
    while end + 8 <= len(data):
        size = int.from_bytes(data[end : end + 4], "big")
        if size < 8:
            return len(data)
        end += size
    return end
