"""Preprocessing `fast`: fewer pixels of the same part of a photo, and errors, sizes and small photos as ever."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transforms.decoding import decode_fast, decode_strict
from transforms.load_images import LoadImages, load_photo
from transforms.photo_decoder_process import answer
from transforms.photo_decoders import Decoders
from transforms.photo_errors import TooManyPixels
from transforms.preprocessing import MARGIN, Frame, RecipeError, crop_box, least_side, preprocess, whole

LIMIT = 10_000_000
RECIPE: dict[str, Any] = {
    "name": "resize",
    "resize": 40,
    "crop": 36,
    "channels": "RGB",
    "mean": [0] * 3,
    "scale": [1] * 3,
}
ORIGINAL = {"name": "original"}
LEAST = 80
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "whole chroma": {"subsampling": 0},
    "grey": {"mode": "L"},
    "CMYK": {"mode": "CMYK"},
}
TURNS = range(1, 9)


def scene(width: int, height: int, noise: float = 0) -> np.ndarray:
    """Returns smooth waves `[height, width, 3]` that no turn or shift leaves as they are, with some noise."""
    down, across = np.mgrid[:height, :width]
    waves = [np.sin(across / 61 + down / 97), np.cos(across / 83 - down / 47), np.sin(across * down / 20_000)]
    values = 128 + 90 * np.stack(waves, axis=2)
    values += noise * np.random.default_rng(7).standard_normal(values.shape)
    return values.clip(0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, orientation: int = 1, mode: str = "RGB", **options: Any) -> bytes:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", exif=exif, **({"quality": 95} | options))
    return stream.getvalue()


def both(
    data: bytes, recipe: Any = RECIPE, limit: int = LIMIT
) -> tuple[tuple[Any, np.ndarray], tuple[Any, np.ndarray]]:
    """Returns what is told of a photo and its pixels by the pack's preprocessing, and the same by `fast`."""
    (told, full), (told_fast, fast) = (answer(data, recipe, "strict", limit, how) for how in ("pack", "fast"))
    assert fast.dtype == full.dtype
    return (told, full.astype(np.float32)), (told_fast, fast.astype(np.float32))


@pytest.mark.parametrize(
    ("width", "height", "scale"),
    [(159, 300, 1), (300, 160, 2), (319, 640, 2), (323, 517, 4), (639, 641, 4), (640, 640, 8), (2000, 1999, 8)],
)
def test_the_scale_leaves_enough(width: int, height: int, scale: int) -> None:
    assert least_side(RECIPE) == LEAST == 40 * MARGIN and least_side(ORIGINAL) == 256 * MARGIN
    data = jpeg(scene(width, height))
    pixels, frame = decode_fast(data, LIMIT, LEAST)
    assert pixels.shape == (-(-height // scale), -(-width // scale), 3)
    assert frame == Frame(width, height, scale)
    if scale == 1:
        np.testing.assert_array_equal(pixels, decode_strict(data, LIMIT))


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("orientation", TURNS)
def test_the_frame_says_where_the_photo_lies(orientation: int, scale: int) -> None:
    data = jpeg(scene(90 * scale + 1, 80 * scale + scale - 1), orientation, subsampling=0)
    photo = decode_strict(data, LIMIT).astype(float)
    pixels, frame = decode_fast(data, LIMIT, LEAST)
    assert frame.scale == scale and (frame.height, frame.width) == photo.shape[:2]
    above, before = round(frame.top * scale), round(frame.left * scale)
    below, after = -(photo.shape[0] + above) % scale, -(photo.shape[1] + before) % scale
    padded = np.pad(photo, ((above, below), (before, after), (0, 0)), "edge")
    blocks = padded.reshape(padded.shape[0] // scale, scale, padded.shape[1] // scale, scale, 3)
    assert pixels.shape == blocks.shape[::2]
    assert np.abs(pixels - blocks.mean(axis=(1, 3))).max() < 4  # a pixel of the photo's own further, it is 6 to 9
    assert (above, before) != (0, 0) or orientation in (1, 5)


def test_the_crop_is_the_same_part_of_the_photo() -> None:
    random = np.random.default_rng(2)
    for _ in range(200):
        width, height, scale = *random.integers(1000, 9000, 2).tolist(), int(random.choice([2, 4, 8]))
        short, crop = (260, int(random.choice([260, 224, 111])))
        full = crop_box(Frame(width, height), short, crop)
        left, top = -width / scale % 1, -height / scale % 1
        box = crop_box(Frame(width, height, scale, left, top), short, crop)
        np.testing.assert_allclose((np.array(box) - [left, top] * 2) * scale, full, rtol=1e-12)
        assert box[2] <= -(-width // scale) and box[3] <= -(-height // scale)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", TURNS)
def test_the_network_sees_nearly_the_same(kind: str, orientation: int) -> None:
    data = jpeg(scene(701, 523, noise=8), orientation, **KINDS[kind])
    for recipe in (RECIPE, RECIPE | {"crop": 40}):
        (told, full), (told_fast, fast) = both(data, recipe)
        assert (
            told_fast
            == told
            == dict(zip(("width", "height"), (523, 701) if orientation > 4 else (701, 523), strict=True))
        )
        assert fast.shape == full.shape
        assert np.abs(fast - full).mean() < 0.6 and np.abs(fast - full).max() < 5
    wrong = jpeg(scene(701, 523, noise=8)[:, 6:], orientation, **KINDS[kind])  # half a pixel of the network's, or so
    assert np.abs(both(wrong, recipe)[1][1] - full).mean() > 0.6


def test_the_original_recipe_takes_fewer_pixels_too() -> None:
    for orientation in TURNS:
        (told, full), (told_fast, fast) = both(jpeg(scene(1403, 1101), orientation), ORIGINAL)
        assert told == told_fast and np.abs(fast - full).mean() < 1
        assert not np.array_equal(fast, full)


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (9, 4), (150, 150)])
def test_small_photos_and_strips_are_as_ever(shape: tuple[int, int]) -> None:
    data = jpeg(scene(*shape, noise=20))
    for recipe in (RECIPE, ORIGINAL):
        (told, full), (told_fast, fast) = both(data, recipe)
        assert told == told_fast and fast.tobytes() == full.tobytes()


def test_a_photo_of_several_pictures_is_its_first() -> None:
    stream, more = io.BytesIO(), Image.new("RGB", (900, 900))
    Image.fromarray(scene(701, 523)).save(stream, "MPO", quality=95, save_all=True, append_images=[more])
    (told, full), (told_fast, fast) = both(stream.getvalue())
    assert told == told_fast == {"width": 701, "height": 523}
    assert 0 < np.abs(fast - full).mean() < 0.6


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_other_formats_are_as_ever(kind: str) -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene(600, 500)).save(stream, kind, exif=exif)
    (told, full), (told_fast, fast) = both(stream.getvalue())
    assert told == told_fast == {"width": 500, "height": 600} and fast.tobytes() == full.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_refused_is_the_same(kind: str) -> None:
    data, random = jpeg(scene(523, 401, noise=8), 6, **KINDS[kind]), np.random.default_rng(4)
    files = [data[: int(len(data) * share)] for share in (0.001, 0.05, 0.3, 0.7, 0.99)] + [data[:-2], data[:-1]]
    for _ in range(40):
        broken = bytearray(data)
        for place in random.integers(0, len(data), 5):
            broken[place] = random.integers(256)
        files.append(bytes(broken))
    told = [tuple(head for head, _ in both(file)) for file in files]
    assert all(full == fast for full, fast in told)
    assert [full.get("error") for full, _ in told[:6]] == ["truncated_image"] * 6


def test_the_cap_is_on_the_photos_own_pixels() -> None:
    data = jpeg(scene(640, 640))
    with pytest.raises(TooManyPixels, match="640 x 640 = 409,600 pixels, over the limit of 409,599"):
        decode_fast(data, 409_599, LEAST)
    assert decode_fast(data, 409_600, LEAST)[0].shape == (80, 80, 3)


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(LoadImages(RECIPE, preprocessing="fast").settings)
    yield made
    made.close()


def test_another_process_and_single_photos(decoders: Decoders, tmp_path: Path) -> None:
    data = jpeg(scene(701, 523), 6)
    _, (_, expected) = both(data)
    pixels, width, height = decoders.decode(data)
    assert (width, height) == (523, 701) and pixels.astype(np.float32).tobytes() == expected.tobytes()
    (tmp_path / "a.jpg").write_bytes(data)
    loaded = load_photo(str(tmp_path / "a.jpg"), LoadImages(RECIPE, preprocessing="fast"))
    assert isinstance(loaded, tuple)
    assert (loaded[0].width, loaded[0].height) == (523, 701) and loaded[1].tobytes() == pixels.tobytes()


def test_what_it_does_not_go_with() -> None:
    with pytest.raises(RecipeError, match="^preprocessing 'fast' works only with decoding 'strict'$"):
        LoadImages(RECIPE, "original", preprocessing="fast")
    with pytest.raises(RecipeError, match="preprocessing must be 'pack' or 'fast', not 'quick'"):
        LoadImages(RECIPE, preprocessing="quick")


def test_the_whole_frame_changes_no_bit() -> None:
    pixels = scene(301, 202, noise=8)
    for recipe in (RECIPE, ORIGINAL):
        np.testing.assert_array_equal(preprocess(pixels, recipe, whole(pixels)), preprocess(pixels, recipe))
