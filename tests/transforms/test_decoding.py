"""Decoding: every kind of image that people have, every kind of damage, and no raster beyond the cap."""

import io
import json
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from transforms.decoding import decode_original, decode_strict
from transforms.photo_errors import (
    DamagedImage,
    EmptyFile,
    NotAnImage,
    PhotoError,
    TooManyPixels,
    TruncatedImage,
    UnsupportedChannels,
    UnsupportedFormat,
)

GOLDEN = Path(__file__).parents[1] / "golden"
IMAGES = {path.name: path for path in sorted((GOLDEN / "images").iterdir())}
LIMIT = 1_000_000


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.open(IMAGES["chelsea.png"]).convert("RGB").resize((90, 60))


def saved(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, raw: bytes, depth: int = 8, colour: int = 2, *extra: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def tiff(width: int, height: int, **more: int) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: width * height % 2**32}
    tags |= {int(tag[1:]): value for tag, value in more.items()}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0"


def far(pixels: np.ndarray, photo: Image.Image) -> float:
    assert pixels.dtype == np.uint8
    assert pixels.shape == (photo.height, photo.width, 3)
    return float(np.abs(pixels.astype(int) - np.asarray(photo).astype(int)).mean())


@pytest.mark.parametrize(
    ("kind", "options", "limit"),
    [
        ("JPEG", {"quality": 95}, 3),
        ("JPEG", {"quality": 95, "progressive": True}, 3),
        ("MPO", {"save_all": True, "append_images": [Image.new("RGB", (9, 9))]}, 6),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 6),
        ("GIF", {}, 9),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "jpeg"}, 6),
        ("BMP", {}, 0),
        ("AVIF", {"quality": 95}, 6),
    ],
)
def test_formats_people_have(photo, kind, options, limit):
    data = saved(photo, kind, **options)
    assert far(decode_strict(data, LIMIT), photo) <= limit
    if kind not in ("GIF",):  # a GIF's indices are what the original saw
        assert far(decode_original(data, LIMIT), photo) <= limit


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_the_first_frame_is_taken(kind):
    red, blue = Image.new("RGB", (20, 10), (255, 0, 0)), Image.new("RGB", (20, 10), (0, 0, 255))
    pixels = decode_strict(saved(red, kind, save_all=True, append_images=[blue, blue]), LIMIT)
    assert pixels.shape == (10, 20, 3)
    assert (np.abs(pixels.astype(int) - (255, 0, 0)) <= 2).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind, orientation):
    upright = Image.fromarray(np.kron(np.array([[0, 80, 160], [200, 240, 120]], np.uint8), np.ones((16, 16), np.uint8)))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # transposes that lay the upright picture down
    lying = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(lying.convert("RGB"), kind, exif=exif, **({} if kind in ("PNG", "TIFF") else {"quality": 95}))
    assert far(decode_strict(data, LIMIT), upright.convert("RGB")) < 4
    if kind in ("JPEG", "PNG", "TIFF"):
        assert far(decode_original(data, LIMIT), lying.convert("RGB")) < 4


def test_broken_exif_costs_nobody_the_photo(photo):
    data = saved(photo, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\xff\xff" * 40)
    assert far(decode_strict(data, LIMIT), photo) < 6


def test_cmyk_with_and_without_adobe_marker(photo):
    data = saved(photo.convert("CMYK"), "JPEG", quality=95)
    assert far(decode_strict(data, LIMIT), photo) < 4
    place = data.index(b"\xff\xee\x00\x0eAdobe")  # without the marker inks count upwards
    inverted = saved(Image.eval(photo.convert("CMYK"), lambda ink: 255 - ink), "JPEG", quality=95)
    bare = inverted[:place] + inverted[place + 16 :]
    assert far(decode_strict(bare, LIMIT), photo) < 4
    ycck = bytearray(data)
    ycck[place + 15] = 2  # transform: the inks are stored as YCCK
    pixels = decode_strict(bytes(ycck), LIMIT)
    assert pixels.shape == (60, 90, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA", "1"])
def test_transparency_is_laid_on_white(mode):
    if mode == "P":
        image = Image.new("P", (8, 8), 0)
        image.putpalette([10, 20, 30, 200, 100, 50])
        image.paste(1, (0, 0, 4, 8))
        data = saved(image, "PNG", transparency=0)
        left = (200, 100, 50)
    elif mode == "1":
        image = Image.new("1", (8, 8), 0)
        image.paste(1, (0, 0, 4, 8))
        data, left = saved(image, "PNG", transparency=0), (255, 255, 255)
    else:
        ink = {"RGBA": (200, 100, 50, 255), "LA": (77, 255), "PA": (77, 255)}[mode]
        image = Image.new(mode if mode != "PA" else "LA", (8, 8))
        image.paste(ink, (0, 0, 4, 8))
        data, left = saved(image, "PNG"), ink[:3] if mode == "RGBA" else (77, 77, 77)
    pixels = decode_strict(data, LIMIT)
    assert (pixels[:, :4] == left).all()
    assert (pixels[:, 4:] == 255).all()


def test_half_transparent_is_blended():
    pixels = decode_strict(saved(Image.new("RGBA", (2, 2), (0, 0, 0, 128)), "PNG"), LIMIT)
    assert (abs(pixels.astype(int) - 127) <= 1).all()


def test_deep_grey_is_scaled_not_clipped():
    ramp = np.arange(256, dtype=np.uint16)[None] * 257
    pixels = decode_strict(saved(Image.fromarray(ramp), "PNG"), LIMIT)
    assert (pixels[0, :, 1] == np.arange(256)).all()
    assert (decode_strict(saved(Image.fromarray(ramp), "TIFF"), LIMIT)[0, :, 1] == np.arange(256)).all()
    keyed = png(2, 1, struct.pack(">BHH", 0, 5, 60000), 16, 0, (b"tRNS", struct.pack(">H", 5)))
    assert decode_strict(keyed, LIMIT)[0, :, 0].tolist() == [255, 233]


def test_deep_colour_keeps_its_high_bytes():
    raw = struct.pack(">B6H", 0, 0xFFFF, 0x8000, 0x0100, 0x1234, 0x5678, 0x9ABC)
    assert decode_strict(png(2, 1, raw, 16), LIMIT).tolist() == [[[255, 128, 1], [0x12, 0x56, 0x9A]]]
    keyed = png(2, 1, raw, 16, 2, (b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC)))
    assert decode_strict(keyed, LIMIT)[0, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.float32([[0, 0.5, 1, np.nan, -3]]), [0, 128, 255, 0, 0]),
        (np.float32([[0, 127.6, 255, np.inf, 1]]), [0, 128, 255, 0, 1]),
        (np.float32([[0, 65535, 32768]]), [0, 255, 128]),
        (np.float32([[0, 1e6, 5e5]]), [0, 255, 128]),
        (np.int32([[0, 100, 255]]), [0, 100, 255]),
        (np.int32([[0, 1 << 30, 1 << 29]]), [0, 255, 128]),
    ],
)
def test_float_and_32_bit_tiffs_are_scaled(values, expected):
    assert decode_strict(saved(Image.fromarray(values), "TIFF"), LIMIT)[0, :, 2].tolist() == expected


def test_original_keeps_what_the_file_holds():
    notes = {note["file"]: note for note in json.loads((GOLDEN / "preproc.json").read_text())}
    for name, note in notes.items():
        data = IMAGES[name].read_bytes()
        if not note["ok"]:
            wanted = NotAnImage if name == "notimage.jpg" else UnsupportedChannels
            with pytest.raises(wanted):
                decode_original(data)
            continue
        pixels = decode_original(data)
        kind, *shape = note["array"]
        assert list(pixels.shape) == shape, name
        assert pixels.dtype == {"int32": "uint16"}.get(kind, kind), name  # Pillow 3.4 widened 16 bits to 32


def test_original_jpegs_are_near_what_was_decoded_in_2015():
    with np.load(GOLDEN / "preproc.npz") as stored:
        for name in ("exif6.jpg", "rocket.jpg", "truncated.jpg"):
            pixels = decode_original(IMAGES[name].read_bytes()).astype(int)
            assert np.abs(pixels - stored[f"{name}_decoded"]).mean() < 1, name  # other libjpeg, other rounding


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("WEBP", {}), ("TIFF", {})]
    + [("TIFF", {"compression": "tiff_lzw"}), ("BMP", {}), ("AVIF", {})],
)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_is_an_error(photo, kind, options, share):
    data = saved(photo, kind, **options)
    part = data[: int(len(data) * share)]
    if kind == "TIFF" and share == 0.9 and options:  # all pixels are there, some tags behind them are not
        assert (decode_strict(part, LIMIT) == decode_strict(data, LIMIT)).all()
        return
    with pytest.raises((TruncatedImage, DamagedImage)) as caught:
        decode_strict(part, LIMIT)
    if kind != "TIFF":  # whose structure does not always show what is missing
        assert isinstance(caught.value, TruncatedImage)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_truncated_loads_as_original(photo, kind):
    data = saved(photo.convert("L"), kind, interlace=0) if kind == "GIF" else saved(photo, kind)
    whole = decode_original(data, LIMIT)
    part = decode_original(data[: int(len(data) * 0.7)], LIMIT)
    assert part.shape == whole.shape
    rows = slice(-20, None) if kind == "BMP" else slice(0, 20)  # stored bottom up
    assert (part[rows] == whole[rows]).all()
    assert (part != whole).any()


def test_threads_decode_strictly_beside_original_ones():
    data = IMAGES["truncated.jpg"].read_bytes()
    results: list[str] = []

    def work(decode) -> None:
        for _ in range(30):
            try:
                results.append(str(decode(data).shape))
            except TruncatedImage:
                results.append("truncated")

    threads = [threading.Thread(target=work, args=(decode,)) for decode in (decode_strict, decode_original) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(results)) == ["(300, 451, 3)", "truncated"]
    assert results.count("truncated") == 60
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyFile),
        (b"hello", NotAnImage),
        (b"<!DOCTYPE html><html>", NotAnImage),
        (b"\0" * 1000, NotAnImage),
        (b"%PDF-1.7 ", UnsupportedFormat),
        (b"8BPS\0\1", UnsupportedFormat),
        (b"<svg xmlns=''/>", UnsupportedFormat),
        (b"P6\n1 1\n255\n   ", UnsupportedFormat),
        (b"\0\0\0\x18ftypisom" + b"\0" * 100, UnsupportedFormat),
        (b"\xff\xd8\xff", TruncatedImage),
        (b"\x89PNG\r\n\x1a\n", TruncatedImage),
        (b"GIF89a", TruncatedImage),
        (b"RIFF\xff\0\0\0WEBP", TruncatedImage),
        (b"BM", DamagedImage),
        (b"II*\0", DamagedImage),
        (b"\xff\xd8\xff\xe0\0\2" + b"\0" * 500 + b"\xff\xd9", DamagedImage),
        (png(0, 7, b""), DamagedImage),
        (png(5, 5, b"\0" * 80, 8, 9), DamagedImage),
        (png(5, 5, b"\xff" * 80), DamagedImage),
        (tiff(0, 9), DamagedImage),
        (tiff(9, 9, t277=65535), DamagedImage),
        (tiff(9, 9, t273=4_000_000_000), TruncatedImage),
        (tiff(4_000_000_000, 4_000_000_000), TooManyPixels),
    ],
)
def test_bad_files_have_names(data, error):
    for decode in (decode_strict, decode_original):
        if decode is decode_original and error is TruncatedImage and data.startswith(b"II"):
            continue
        try:
            decode(data, LIMIT)
        except PhotoError as caught:
            assert type(caught) is error or decode is decode_original, caught
            assert str(caught)
            assert not caught.retryable
        else:
            assert decode is decode_original


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_flipped_bytes_never_crash(photo, kind):
    data = saved(photo.resize((45, 30)), kind)
    random = np.random.default_rng(3)
    for _ in range(150):
        broken = bytearray(data)
        for place in random.integers(0, len(data), random.integers(1, 8)):
            broken[place] = random.integers(256)
        for decode in (decode_strict, decode_original):
            try:
                assert decode(bytes(broken), LIMIT).size <= 4 * LIMIT
            except PhotoError as error:
                assert str(error)


def test_lab_tiff():
    assert (decode_strict(saved(Image.new("LAB", (4, 4), (255, 128, 128)), "TIFF"), LIMIT) >= 254).all()


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (1, 1)])
def test_extreme_shapes(shape):
    assert decode_strict(saved(Image.new("RGB", shape), "PNG"), LIMIT).shape == (shape[1], shape[0], 3)


def test_metadata_that_unfolds_does_not_matter():
    unfolds = zlib.compress(b"\0" * 50_000_000, 9)
    raw = b"\0\1\2\3" * 1
    for extra in [(b"iCCP", b"x\0\0" + unfolds), (b"zTXt", b"x\0\0" + unfolds), (b"iTXt", b"x\0\1\0\0\0" + unfolds)]:
        assert decode_strict(png(1, 1, raw, 8, 2, extra), LIMIT).tolist() == [[[1, 2, 3]]]


def webp_canvas(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + size + b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif_canvas(width: int, height: int) -> bytes:
    frame = struct.pack("<4HB", 0, 0, width, height, 0x80) + b"\0" * 6
    control = b"!\xf9\4" + b"\x08\0\0\0\0"  # restore to background: Pillow allocates it as it opens
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + control + b"," + frame + b"\2\2\x4c\1\0;"


BOMBS = {
    "png": png(20_000, 20_000, b"\0" * (20_000 * 2501), 1, 0),
    "gif": gif_canvas(20_000, 20_000),
    "webp": webp_canvas(16_000, 16_000),
    "tiff": tiff(20_000, 20_000),
    "bmp": saved(Image.new("1", (8, 8)), "BMP").replace(struct.pack("<ii", 8, 8), struct.pack("<ii", 20_000, 20_000)),
}
MEASURE = """
import resource, sys
from transforms.decoding import decode_original, decode_strict
from transforms.photo_errors import TooManyPixels
data = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (int(open("/proc/self/statm").read().split()[0]) * 4096 + (100 << 20),) * 2)
for decode in (decode_strict, decode_original):
    try:
        decode(data, 100_000_000)
    except TooManyPixels as error:
        assert "(max_pixels)" in str(error) or "Pillow" in str(error), error
    else:
        raise SystemExit("it was decoded")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux does")
@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_never_in_memory(kind):
    data = BOMBS[kind]
    assert len(data) < 60_000
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], input=data, capture_output=True, cwd=Path(__file__).parents[2], timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) < 20_000  # kB; the raster would be 50,000 at one bit a pixel


def test_a_gif_frame_beyond_its_screen_counts():
    with pytest.raises(TooManyPixels, match="2000 x 2000"):
        decode_strict(gif_canvas(2000, 2000), LIMIT)


def test_the_cap_is_inclusive():
    data = saved(Image.new("RGB", (100, 10)), "PNG")
    assert decode_strict(data, 1000).shape == (10, 100, 3)
    with pytest.raises(TooManyPixels, match="100 x 10 = 1,000 pixels, over the limit of 999"):
        decode_strict(data, 999)
