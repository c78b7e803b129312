"""Preprocessing: the original's stored arrays, whole resizes by Pillow, strips, and what is wrong with recipes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transforms.decoding import decode_original, decode_strict
from transforms.preprocessing import RecipeError, check_recipe, cut, preprocess

GOLDEN = Path(__file__).parents[1] / "golden"
GOOD = [note["file"] for note in json.loads((GOLDEN / "preproc.json").read_text()) if note["ok"]]
ORIGINAL = {"name": "original"}
RESIZE = {
    "name": "resize",
    "resize": 256,
    "crop": 224,
    "channels": "RGB",
    "mean": [127.0, 100.0, 90.0],
    "scale": [128.0, 64.0, 32.0],
}


@pytest.mark.parametrize("name", GOOD)
def test_original_equals_the_stored_arrays(name):
    with np.load(GOLDEN / "preproc.npz") as stored:
        if name.endswith(".jpg"):
            pixels = stored[f"{name}_decoded"]
        else:
            pixels = decode_original((GOLDEN / "images" / name).read_bytes())
        result = preprocess(pixels, ORIGINAL)
        assert result.dtype == np.float32
        assert result.flags.c_contiguous
        np.testing.assert_allclose(result[None], stored[name], rtol=0, atol=1e-9)


def test_all_sixteen_good_images_are_there():
    assert len(GOOD) == 16


def test_a_strip_under_8_pixels_sees_the_zeros_outside():
    pixels = np.full((2, 9, 3), 100, np.uint8)
    pixels[0, 0] = 40  # the least value: the outside's zeros are clipped to it
    result = preprocess(pixels, ORIGINAL)
    blue = result[0] + 103.939
    # row 16 of 256 lies at (16.5 / 128) - 0.5 = -0.37 of a row: 0.63 of 100 and 0.37 of the zeros outside
    assert blue[0, 112] == pytest.approx(100 * (16.5 / 128 + 0.5), abs=1e-4)
    assert blue.min() >= 40 - 1e-5
    pixels[:] = 100
    assert (preprocess(pixels, ORIGINAL)[0] == np.float32(100 - 103.939)).all()


def test_original_of_grey_is_grey_three_times():
    grey = np.random.default_rng(1).integers(0, 256, (50, 70), dtype=np.uint8)
    np.testing.assert_array_equal(preprocess(grey, ORIGINAL), preprocess(np.stack([grey] * 3, axis=2), ORIGINAL))


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (1, 1), (3, 400), (4000, 30)])
@pytest.mark.parametrize("recipe", [ORIGINAL, RESIZE])
def test_extreme_shapes(shape, recipe):
    pixels = np.full((*shape, 3), 77, np.uint8)
    result = preprocess(pixels, recipe)
    assert result.shape == (3, 224, 224)
    wanted = np.float32([77 - 103.939, 77 - 116.779, 77 - 123.68])
    if recipe is RESIZE:
        wanted = (77 - np.float32(RESIZE["mean"])) / np.float32(RESIZE["scale"])
    np.testing.assert_allclose(result, np.broadcast_to(wanted[:, None, None], result.shape), atol=1e-5)


@pytest.mark.parametrize("shape", [(300, 451), (451, 300), (299, 301), (100, 120), (256, 256), (1000, 700)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_resize_equals_the_crop_of_a_whole_resize(shape, interpolation):
    height, width = shape
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    short = min(shape)
    size = (256 * width // short, 256 * height // short)
    whole = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling[interpolation.upper()]))
    top, left = round((size[1] - 224) / 2), round((size[0] - 224) / 2)
    crop = whole[top : top + 224, left : left + 224].astype(int)
    result = preprocess(pixels, RESIZE | {"interpolation": interpolation}).transpose(1, 2, 0)
    levels = result * RESIZE["scale"] + RESIZE["mean"]
    assert np.abs(levels - crop).max() < 1.01  # Pillow's box is in float32: a rounding in ten thousand flips
    assert np.mean(np.abs(levels - crop) > 0.01) < 0.002


def test_bgr_turns_the_channels_before_mean_and_scale():
    pixels = np.zeros((10, 10, 3), np.uint8) + np.uint8([10, 20, 30])
    result = preprocess(pixels, RESIZE | {"channels": "BGR", "mean": [1, 2, 3], "scale": [1, 2, 3]})
    np.testing.assert_allclose(result[:, 0, 0], [29, 9, 7 / 3], rtol=1e-6)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_whole_grey_levels_are_cut_and_not_yet_scaled(channels):
    pixels, recipe = np.random.default_rng(3).integers(0, 256, (300, 280, 3), np.uint8), RESIZE | {"channels": channels}
    levels = cut(pixels, recipe)
    assert levels.dtype == np.uint8 and levels.shape == (224, 224, 3) and levels.flags.c_contiguous
    scaled = (levels - np.float32(recipe["mean"])) / np.float32(recipe["scale"])
    assert preprocess(pixels, recipe).tobytes() == np.ascontiguousarray(scaled.transpose(2, 0, 1)).tobytes()


def test_what_is_no_whole_grey_level_is_cut_ready():
    pixels = np.random.default_rng(3).integers(0, 256, (300, 280, 3), np.uint8)
    for values, recipe in ((pixels, ORIGINAL), (pixels / 3, RESIZE), (pixels[:, :, 0], RESIZE)):
        ready = cut(values, recipe)
        assert ready.dtype == np.float32 and ready.tobytes() == preprocess(values, recipe).tobytes()


def test_resize_takes_what_original_decoding_leaves():
    for name in ("gray.png", "gray16.png", "bilevel.png", "palette.png"):
        data = (GOLDEN / "images" / name).read_bytes()
        result = preprocess(decode_original(data), RESIZE | {"mean": [0, 0, 0], "scale": [1, 1, 1]})
        assert result.shape == (3, 224, 224)
        assert (result[0] == result[2]).all()
        if name == "gray.png":
            strict = preprocess(decode_strict(data), RESIZE | {"mean": [0, 0, 0], "scale": [1, 1, 1]})
            assert np.abs(result - strict).mean() < 1  # no rounding between, no clipping of the overshoot


@pytest.mark.parametrize(
    ("recipe", "problems"),
    [
        (None, ["recipe with the name"]),
        ({}, ["recipe with the name"]),
        ({"name": "other"}, ["recipe with the name"]),
        ({"name": "original", "crop": 224}, ["unknown key 'crop'"]),
        (RESIZE | {"crop": 300}, ["crop 300 is larger than resize 256"]),
        (RESIZE | {"scale": [1, 0, 1], "extra": 1}, ["unknown key 'extra'", "must not contain 0"]),
        (RESIZE | {"resize": True, "channels": "RGBA"}, ["resize must be", "channels must be"]),
        (RESIZE | {"mean": [1, 2], "scale": [1, float("nan"), 2]}, ["mean must be", "scale must be"]),
        (RESIZE | {"interpolation": "area"}, ["interpolation must be one of bilinear, bicubic"]),
        ({"name": "resize"}, ["resize must", "crop must", "channels must", "mean must", "scale must"]),
    ],
)
def test_all_problems_of_a_recipe_are_listed(recipe, problems):
    found = check_recipe(recipe)
    assert len(found) == len(problems)
    for text, problem in zip(found, problems, strict=True):
        assert problem in text
    with pytest.raises(RecipeError):
        preprocess(np.zeros((5, 5, 3), np.uint8), recipe)


def test_good_recipes_have_no_problems():
    assert check_recipe(ORIGINAL) == check_recipe(RESIZE) == []


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 5, 4), (5,), (5, 5, 1)])
def test_pixels_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="pixels must be"):
        preprocess(np.zeros(shape, np.uint8), ORIGINAL)
