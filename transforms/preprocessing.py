"""Turns pixels into a feature network's input, `[3, 224, 224]` float32, by the recipe of its model pack.

Both recipes compute only the crop, never the whole resized image: a strip of 1 x 5000 pixels would be 256 x 1,280,000.
`original` is SPEC section 2 in float64. `resize` is Pillow's antialiased resize; on photos that are shrunk a lot, its
values differ by up to 76 grey levels from the original's, which does not filter before it samples. Both also take
pixels that are fewer than the photo's own (see Frame), and cut out the same part of the photo.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

MEAN_BGR = np.array([103.939, 116.779, 123.68])  # [3]
SHORT_SIDE, CROP = 256, 224
MAX_SIDE = 4096
MARGIN = 2.0  # of `fast`: minimum ratio of the shorter side of the pixels to that of the resized photo
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
KEYS = {"name", "resize", "crop", "channels", "mean", "scale", "interpolation"}

Recipe = dict[str, Any]
"""`{"name": "original"}`, or name `resize` with `resize` (short side), `crop`, `channels` (RGB or BGR), `mean` and
`scale` (three numbers each, in grey levels of 0..255 and in the order of channels: (value - mean) / scale), and
`interpolation` (bicubic, the default, or bilinear)."""


@dataclass(frozen=True)
class Frame:
    """Position of a photo on pixels that may be fewer than its own.

    Attributes:
        width: width of the photo, in its own pixels.
        height: height of the photo, in its own pixels.
        scale: number of its own pixels that one given pixel stands for, along each side.
        left: position of its left edge, in given pixels; the outermost pixels may extend beyond the photo.
        top: position of its top edge, likewise.
    """

    width: int
    height: int
    scale: int = 1
    left: float = 0.0
    top: float = 0.0


def whole(pixels: np.ndarray) -> Frame:
    """Returns the frame of a photo that has exactly these pixels `[height, width, ...]`."""
    return Frame(pixels.shape[1], pixels.shape[0])


class RecipeError(ValueError):
    """A preprocessing recipe is wrong; the message lists all problems."""

    code = "recipe"


def preprocess(pixels: np.ndarray, recipe: Recipe, frame: Frame | None = None) -> np.ndarray:
    """Returns the network's input `[3, crop, crop]`, float32; see `cut`."""
    found = cut(pixels, recipe, frame)
    return found if found.dtype == np.float32 else _scaled(found, recipe)


def cut(pixels: np.ndarray, recipe: Recipe, frame: Frame | None = None) -> np.ndarray:
    """Returns the resized crop, as grey levels or as the network's input.

    If whole grey levels lose nothing, the result is levels `[crop, crop, 3]` uint8, which still have to be scaled as
    the recipe says; otherwise it is the network's input `[3, crop, crop]` float32. Levels need a quarter of the
    input's bytes, and the network's device scales them fastest.

    Args:
        pixels: `[height, width, 3]` RGB or `[height, width]`, whose one channel is used three times; of any numeric
            type (decoding `original` keeps a file's own), with values used as they are.
        recipe: preprocessing recipe, see Recipe.
        frame: position of the photo on the pixels; None if they are its own.

    Raises:
        RecipeError: the recipe is wrong.
        ValueError: the pixels have another shape.
    """
    problems = check_recipe(recipe)
    if problems:
        raise RecipeError("; ".join(problems))
    if pixels.size == 0 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise ValueError(f"pixels must be [height, width, 3] or [height, width], not {list(pixels.shape)}")
    frame = frame or whole(pixels)
    if recipe["name"] == "original":
        return _original(pixels, frame)
    small = _resized(pixels, recipe, frame)  # [crop, crop, 3]
    return small if small.dtype == np.uint8 else _scaled(small, recipe)


def _scaled(levels: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Returns the network's input `[3, crop, crop]` for grey levels `[crop, crop, 3]`."""
    mean, scale = np.float32(recipe["mean"]), np.float32(recipe["scale"])  # [3], [3]
    return np.ascontiguousarray(((levels - mean) / scale).transpose(2, 0, 1), np.float32)  # [3, crop, crop]


def crop_side(recipe: Recipe) -> int:
    """Returns the number of pixels on each side of the network's input."""
    return int(CROP if recipe["name"] == "original" else recipe["crop"])


def least_side(recipe: Recipe) -> int:
    """Returns how many pixels the shorter side of a photo must keep when it is decoded to fewer (`fast`)."""
    return math.ceil(MARGIN * (SHORT_SIDE if recipe["name"] == "original" else recipe["resize"]))


def check_recipe(recipe: object) -> list[str]:
    """Returns readable descriptions of all problems of a recipe; none for a valid one."""
    if not isinstance(recipe, dict) or recipe.get("name") not in ("original", "resize"):
        return [f"preprocessing must be a recipe with the name 'original' or 'resize', not {recipe!r}"]
    allowed = {"name"} if recipe["name"] == "original" else KEYS
    problems = [f"preprocessing: unknown key {key!r}" for key in sorted(set(recipe) - allowed, key=str)]
    if recipe["name"] == "original":
        return problems
    sizes: list[Any] = [recipe.get(key) for key in ("resize", "crop")]
    good = [isinstance(size, int) and not isinstance(size, bool) and 0 < size <= MAX_SIDE for size in sizes]
    for key, size, fine in zip(("resize", "crop"), sizes, good, strict=True):
        if not fine:
            problems.append(f"preprocessing: {key} must be a whole number from 1 to {MAX_SIDE}, not {size!r}")
    if all(good) and sizes[1] > sizes[0]:
        problems.append(f"preprocessing: crop {sizes[1]} is larger than resize {sizes[0]}")
    if recipe.get("channels") not in ("RGB", "BGR"):
        problems.append(f"preprocessing: channels must be 'RGB' or 'BGR', not {recipe.get('channels')!r}")
    for key in ("mean", "scale"):
        if not _are_three_numbers(recipe.get(key)):
            problems.append(f"preprocessing: {key} must be three numbers, not {recipe.get(key)!r}")
    if _are_three_numbers(recipe.get("scale")) and 0 in recipe["scale"]:
        problems.append("preprocessing: scale must not contain 0, since values are divided by it")
    if recipe.get("interpolation", "bicubic") not in FILTERS:
        problems.append(f"preprocessing: interpolation must be one of {', '.join(FILTERS)}")
    return problems


def _are_three_numbers(values: object) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == 3
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        and bool(np.isfinite(values).all())
    )


def _original(pixels: np.ndarray, frame: Frame) -> np.ndarray:
    """Returns BGR `[3, 224, 224]` minus the means (SPEC section 2): plain bilinear, no antialiasing, float64."""
    top, below, down, rows_outside = _sample(frame.height, frame, frame.top)
    left, right, across, columns_outside = _sample(frame.width, frame, frame.left)
    down = down[:, None] if pixels.ndim == 2 else down[:, None, None]  # [224, 1] or [224, 1, 1]
    across = across if pixels.ndim == 2 else across[:, None]  # [224] or [224, 1]

    def blend(rows: np.ndarray) -> np.ndarray:
        near = _pick(pixels, rows, left)  # [224, 224, ...]
        blended: np.ndarray = near + across * (_pick(pixels, rows, right) - near)  # [224, 224, ...]
        return blended

    upper = blend(top)  # [224, 224, ...]
    values = upper + down * (blend(below) - upper)  # [224, 224, ...]
    if rows_outside or columns_outside:  # zeros outside the image are clipped to the range of the whole image
        values = np.clip(values, float(pixels.min()), float(pixels.max()))  # [224, 224, ...]
    if values.ndim == 2:
        values = np.broadcast_to(values[:, :, None], (CROP, CROP, 3))  # [224, 224, 3]
    return np.ascontiguousarray((values[:, :, ::-1] - MEAN_BGR).transpose(2, 0, 1), np.float32)  # [3, 224, 224]


def _sample(size: int, frame: Frame, start: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Returns the pixels before and after each of the crop's places along one axis, and the latter's weight.

    These are three arrays `[224]`. The fourth value says whether any of the pixels is outside the photo, such as -1 or
    the first place beyond it.

    Args:
        size: size of the photo along the axis.
        frame: position of the photo on the pixels.
        start: where the photo starts on the pixels along the axis.
    """
    resized = size * SHORT_SIDE // min(frame.height, frame.width)
    places = resized // 2 - CROP // 2 + np.arange(CROP)  # [224]
    source = start + (places + 0.5) * (size / resized) / frame.scale - 0.5  # [224]
    before = np.floor(source)  # [224]
    weight = source - before  # [224]
    after = np.where(weight > 0, before + 1, before)  # [224]
    outside = bool(before[0] < 0 or after[-1] >= start + size / frame.scale)
    return before.astype(np.int64), after.astype(np.int64), weight, outside


def _pick(pixels: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns the pixels at all crossings `[224, 224, ...]`, float64, with 0 outside the image."""
    height, width = pixels.shape[:2]
    inside = pixels[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]  # [224, 224, ...]
    picked: np.ndarray = inside.astype(np.float64)  # [224, 224, ...]
    picked[(rows < 0) | (rows >= height)] = 0
    picked[:, (columns < 0) | (columns >= width)] = 0
    return picked


def _resized(pixels: np.ndarray, recipe: Recipe, frame: Frame) -> np.ndarray:
    """Returns the centre crop `[crop, crop, 3]` with the short side resized; uint8 for uint8 pixels, else float32."""
    crop, box = recipe["crop"], crop_box(frame, recipe["resize"], recipe["crop"])
    filters = FILTERS[recipe.get("interpolation", "bicubic")]
    if pixels.dtype == np.uint8 and pixels.ndim == 3:
        small = np.asarray(Image.fromarray(pixels).resize((crop, crop), filters, box))  # [crop, crop, 3]
    else:  # one float plane for each channel: no rounding, no clipping
        planes = np.atleast_3d(pixels.astype(np.float32)).transpose(2, 0, 1)  # [1 or 3, height, width]
        resized = [np.asarray(Image.fromarray(plane).resize((crop, crop), filters, box)) for plane in planes]
        small = np.stack(resized * (3 // len(resized)), axis=2)  # [crop, crop, 3]
    if recipe["channels"] == "BGR":
        small = small[:, :, ::-1]  # [crop, crop, 3]
    return np.ascontiguousarray(small)


def crop_box(frame: Frame, short: int, crop: int) -> tuple[float, float, float, float]:
    """Returns left, top, right and bottom, in given pixels, of the part of a photo that its resized crop shows."""
    height, width, scale = frame.height, frame.width, frame.scale
    tall, wide = short * height // min(height, width), short * width // min(height, width)
    top, left = round((tall - crop) / 2), round((wide - crop) / 2)
    columns = [frame.left + column * width / wide / scale for column in (left, left + crop)]
    rows = [frame.top + row * height / tall / scale for row in (top, top + crop)]
    return columns[0], rows[0], columns[1], rows[1]
