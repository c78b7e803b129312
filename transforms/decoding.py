"""Decodes the bytes of an image file to pixels, or raises an error that says what is wrong with the file.

Pure functions over Pillow and numpy, which run in a separate process (photo_decoder_process.py). They are thread-safe:
Pillow's switch `ImageFile.LOAD_TRUNCATED_IMAGES` is never touched (see `_load_what_is_there`). Width and height of a
photo are those of its pixels. Colour profiles are not applied.
"""

import contextlib
import importlib
import io
import struct
import zlib

import numpy as np
from PIL import (  # plug-ins register themselves on import; otherwise Pillow would import all forty of them
    AvifImagePlugin,  # noqa: F401
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    ImageChops,
    ImageFile,
    JpegImagePlugin,  # noqa: F401
    MpoImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from transforms.photo_errors import (
    DamagedImage,
    DecoderOutOfMemory,
    EmptyFile,
    NotAnImage,
    PhotoError,
    TooManyPixels,
    TruncatedImage,
    UnsupportedChannels,
    UnsupportedFormat,
)
from transforms.preprocessing import Frame, whole
from transforms.signatures import FORMATS, bare_png, canvas_size, is_cut_short, sniff

with contextlib.suppress(ImportError):  # then HEIC is an UnsupportedFormat that names the package
    importlib.import_module("pillow_heif").register_heif_opener()

DEFAULT_MAX_PIXELS = 100_000_000
ORIENTATION = 0x0112  # EXIF tag
SWAPPED, MIRRORED, UPTURNED = (5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8)  # values of the tag, by their effect on a photo
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Errors that Pillow raises on damaged files. Caught only around calls of Pillow, never around our own arithmetic."""


def decode_strict(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """Returns pixels `[height, width, 3]`, uint8 RGB, upright.

    The EXIF orientation is applied (ignored if it cannot be read) and all metadata is dropped. If there are several
    frames, the first is used. Transparency is put on white, CMYK is converted to RGB without a profile, and grey of
    more than 8 bits is scaled, not clipped (`_to_eight_bits`).

    Raises:
        PhotoError: one of its subclasses says what is wrong with the file.
    """
    return _decode(data, max_pixels, None)[0]


def decode_fast(data: bytes, max_pixels: int, least: int) -> tuple[np.ndarray, Frame]:
    """Returns pixels like those of `decode_strict`, but fewer of a large photo, and the photo's frame on them.

    A JPEG can be decoded to a half, a quarter or an eighth of its sides, each pixel being the mean of those in its
    place. The smallest size whose shorter side still has `least` pixels is used.

    Raises:
        PhotoError: the same one that `decode_strict` raises.
    """
    return _decode(data, max_pixels, least)


def _decode(data: bytes, max_pixels: int, least: int | None) -> tuple[np.ndarray, Frame]:
    image = _open(data, max_pixels)
    (width, height), scale = image.size, 1
    try:
        if least is not None and (draft := image.draft(None, (least, least))):
            _, (_, _, across, _) = draft  # the photo's width in decoded pixels
            scale = round(width / across)
        image.load()
        turn = 1 if image.format == "TIFF" else _orientation(image)  # Pillow has already rotated TIFFs
    except DAMAGE as error:
        raise _damage(image.format or "image", data, error) from error
    deep = image.format == "PNG" and data[24] == 16
    pixels = np.ascontiguousarray(_turn(_rgb(image, deep), turn))  # [height, width, 3]
    return pixels, whole(pixels) if scale == 1 else _frame(width, height, scale, turn)


def decode_original(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """Returns the file's unconverted values, `[height, width]` or `[height, width, 3]` (SPEC section 2).

    There is no conversion and no EXIF rotation; palette indices and 0/1 of bilevel images are taken as grey, and 16-bit
    values stay. The missing part of a truncated JPEG is black (SPEC calls it grey, but the original's own output is
    black). Formats and pixel limit are those of `decode_strict`.

    Raises:
        PhotoError: the file cannot be read, or has 2 or 4 channels, on which the original failed too.
    """
    image = _open(data, max_pixels)
    try:
        turn = image.getexif().get(ORIENTATION, 1) if image.format == "TIFF" else 1
        _load_what_is_there(image)
    except DAMAGE as error:
        raise _damage(image.format or "image", data, error) from error
    pixels = np.asarray(image)  # [height, width] or [height, width, channels]
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        found = f"{image.mode} pixels have {pixels.shape[2]} channels, the original takes 1 or 3"
        raise UnsupportedChannels(f"{found}; decoding 'strict' converts them")
    return np.ascontiguousarray(_turn(pixels, {6: 8, 8: 6}.get(turn, turn)))  # Pillow rotated the TIFF: rotate it back


def _open(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Returns the opened image; its header has been read and its number of pixels checked, its pixels are not read."""
    if not data:
        raise EmptyFile("the file is empty")
    name = sniff(data)
    if name is None:
        raise NotAnImage(f"the file begins with {data[:12]!r}, which is not a known image format")
    if name == "HEIF" and name not in Image.OPEN:
        raise UnsupportedFormat("a HEIC photo; install the package pillow-heif to read it")
    if name not in FORMATS:
        raise UnsupportedFormat(f"a {name} file; supported formats are {', '.join(FORMATS)}")
    try:
        _check_pixels(canvas_size(name, data), max_pixels)
        content = bare_png(data) if name == "PNG" else data
        image = Image.open(io.BytesIO(content), formats=[name])
    except Image.DecompressionBombError as error:
        raise TooManyPixels(f"more pixels than Pillow allows: {error}") from error
    except DAMAGE as error:
        raise _damage(name, data, error) from error
    _check_pixels(image.size, max_pixels)
    return image


def _check_pixels(size: tuple[int, int] | None, max_pixels: int) -> None:
    if size is not None and size[0] * size[1] > max_pixels:
        raise TooManyPixels(
            f"{size[0]} x {size[1]} = {size[0] * size[1]:,} pixels, over the limit of {max_pixels:,} (max_pixels)"
        )


def _damage(name: str, data: bytes, error: BaseException) -> PhotoError:
    if isinstance(error, MemoryError):
        return DecoderOutOfMemory()
    reason = str(error) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):  # Pillow's message is the address of a buffer
        reason = "the header is broken, or of an unsupported variant"
    if "truncated" in reason.lower() or is_cut_short(name, data):
        return TruncatedImage(f"the {name} file ends before its pixels do, after {len(data):,} bytes ({reason})")
    return DamagedImage(f"the {name} file is damaged: {reason}")


def _load_what_is_there(image: ImageFile.ImageFile) -> None:
    """Loads as much as there is of a file that may be truncated.

    Pillow's switch for this is a global, and other threads may be decoding strictly. But in the original's Pillow 3.4,
    all that the switch did was to end the loop over the file's data without an error. After the error, the raster holds
    the part that was decoded: removing this image's tiles makes Pillow accept it, and no lock is needed. (Today's
    Pillow also passes libjpeg an end marker, which makes the missing part grey instead of black.)
    """
    try:
        image.load()
    except DAMAGE:
        image.tile = []
        image.load()  # an OSError if there is no raster


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except DAMAGE:
        return 1


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Returns pixels `[height, width, ...]` rotated by an EXIF orientation of 1 to 8; other values are ignored."""
    if orientation in SWAPPED:
        pixels = pixels.swapaxes(0, 1)  # [width, height, ...]
    if orientation in MIRRORED:
        pixels = pixels[:, ::-1]  # [height, width, ...]
    if orientation in UPTURNED:
        pixels = pixels[::-1]  # [height, width, ...]
    return pixels


def _frame(width: int, height: int, scale: int, orientation: int) -> Frame:
    """Returns a photo's frame on its rotated pixels; before rotation, the last ones may extend beyond the photo.

    Args:
        width: width of the photo as stored.
        height: height of the photo as stored.
        scale: see Frame.
        orientation: EXIF orientation before the rotation.
    """
    if orientation in SWAPPED:
        width, height = height, width
    left = -width / scale % 1 if orientation in MIRRORED else 0.0
    top = -height / scale % 1 if orientation in UPTURNED else 0.0
    return Frame(width, height, scale, left, top)


def _rgb(image: Image.Image, deep: bool) -> np.ndarray:
    """Returns pixels `[height, width, 3]` of a loaded image; `deep` if it is a PNG with 16 bits a channel."""
    if image.mode[0] in "IF":
        values = np.asarray(image)  # [height, width]
        grey = _to_eight_bits(values)  # [height, width]
        if image.mode != "F" and isinstance(image.info.get("transparency"), int):
            grey = np.where(values == image.info["transparency"], np.uint8(255), grey)  # [height, width]
        return np.broadcast_to(grey[:, :, None], (*grey.shape, 3))  # [height, width, 3]
    key = image.info.get("transparency")
    if deep and isinstance(key, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in key)  # Pillow keeps the high bytes of the pixels
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow treats all as Adobe's, whose ink values are inverted
    try:
        if image.has_transparency_data:
            return np.asarray(_on_white(image))
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except ValueError as error:
        raise UnsupportedChannels(f"{image.mode} pixels cannot be converted to RGB: {error}") from error


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGB", rgba.size, (255, 255, 255))
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _to_eight_bits(values: np.ndarray) -> np.ndarray:
    """Returns grey values as uint8.

    White (255) is the smallest of 1 (floats only), 255 (not for 16-bit formats), 65535 and the maximum that no value
    exceeds. Negative values and NaN are black.
    """
    if values.dtype.itemsize == 2:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = finite.max()
    whites = [1.0, 255.0, 65535.0] if values.dtype.kind == "f" else [255.0, 65535.0]
    white = next((white for white in whites if top <= white), top)
    grey: np.ndarray = np.rint(np.clip(finite / white, 0, 1) * 255).astype(np.uint8)
    return grey
