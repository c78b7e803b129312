"""Pictures in terminals: by the terminal's protocol if it has one, otherwise in half blocks of two pixels each."""

import base64
import io
from collections.abc import Mapping

from PIL import Image

WIDTH = 60  # maximum columns of a picture in half blocks
PIECE = 4096  # characters of one message to the terminal


def draw(picture: Image.Image, environment: Mapping[str, str], columns: int) -> str:
    """Returns the text that shows a picture; empty if the terminal has neither pictures nor true colour.

    Args:
        picture: picture in RGB.
        environment: environment variables, which name the terminal.
        columns: width of the terminal.
    """
    if "NO_COLOR" in environment:
        return ""
    program = environment.get("TERM_PROGRAM", "")
    if "KITTY_WINDOW_ID" in environment or program == "ghostty":
        return _kitty(picture)
    if program in ("iTerm.app", "WezTerm"):
        return f"\x1b]1337;File=inline=1:{_png(picture)}\a"
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return half_blocks(picture, min(WIDTH, columns))
    return ""


def _kitty(picture: Image.Image) -> str:
    content = _png(picture)
    pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
    last = len(pieces) - 1
    heads = ("a=T,f=100," if place == 0 else "" for place in range(len(pieces)))
    return "".join(f"\x1b_G{head}m={int(place < last)};{pieces[place]}\x1b\\" for place, head in enumerate(heads))


def _png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def half_blocks(picture: Image.Image, width: int) -> str:
    """Returns lines of upper half blocks, whose colour is the upper pixel, on the colour of the lower one."""
    height = max(2, round(width * picture.height / picture.width) // 2 * 2)
    small = picture.convert("RGB").resize((width, height))
    lines = []
    for row in range(0, height, 2):
        pairs = ((small.getpixel((x, row)), small.getpixel((x, row + 1))) for x in range(width))
        lines.append("".join(f"\x1b[38;2;{_colour(a)}m\x1b[48;2;{_colour(b)}m▀" for a, b in pairs) + "\x1b[0m")
    return "\n".join(lines)


def _colour(pixel: object) -> str:
    assert isinstance(pixel, tuple)
    return ";".join(map(str, pixel))
