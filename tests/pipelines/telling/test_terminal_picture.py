"""A photo in a terminal: by the terminal's protocol, in half blocks, or not at all."""

import base64
import io

from PIL import Image

from pipelines.telling.terminal_picture import draw, half_blocks

PICTURE = Image.new("RGB", (8, 4), (255, 0, 0))


def content(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_half_blocks_have_two_pixels_each() -> None:
    picture = Image.new("RGB", (2, 2), (1, 2, 3))
    picture.putpixel((1, 1), (4, 5, 6))
    assert half_blocks(picture, 2) == ("\x1b[38;2;1;2;3m\x1b[48;2;1;2;3m▀\x1b[38;2;1;2;3m\x1b[48;2;4;5;6m▀\x1b[0m")
    assert half_blocks(PICTURE, 4).count("\n") == 0 and half_blocks(PICTURE, 40).count("\n") == 9


def test_terminals_get_what_they_know() -> None:
    kitty = draw(Image.effect_noise((200, 200), 90).convert("RGB"), {"KITTY_WINDOW_ID": "1"}, 80)
    messages = [part.removeprefix("\x1b_G").split(";", 1) for part in kitty.split("\x1b\\") if part]
    assert (
        messages[0][0] == "a=T,f=100,m=1"
        and messages[-1][0] == "m=0"
        and all(len(part) <= 4096 for _, part in messages)
    )
    assert content("".join(part for _, part in messages)).size == (200, 200)
    iterm = draw(PICTURE, {"TERM_PROGRAM": "iTerm.app"}, 80)
    assert content(iterm.removeprefix("\x1b]1337;File=inline=1:").removesuffix("\a")).size == (8, 4)
    assert "▀" in draw(PICTURE, {"COLORTERM": "truecolor"}, 80)
    assert max(map(len, draw(PICTURE, {"COLORTERM": "24bit"}, 4).split("\n"))) < 4 * 40
    assert draw(PICTURE, {}, 80) == draw(PICTURE, {"COLORTERM": "truecolor", "NO_COLOR": "1"}, 80) == ""
