"""Draws docs/images/story.png, a photo with its story: `python docs/scripts/story_picture.py PHOTO BEAM_WIDTH`."""

import sys
import textwrap
from pathlib import Path

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from pipelines.story import load_all, tell

WIDTH, MARGIN, PHOTO = 1200, 36, 440
INK, PALE, PAPER = (34, 34, 40), (120, 118, 112), (250, 248, 243)


def font(size: int, style: str = "normal", family: str = "serif") -> ImageFont.FreeTypeFont:
    """Returns one of matplotlib's own fonts."""
    chosen = font_manager.FontProperties(family=f"DejaVu {family.title()}", style=style)
    return ImageFont.truetype(font_manager.findfont(chosen), size)


def draw(photo: str, captions: list[dict], story: str, target: Path) -> None:
    """Writes the picture: the photo on the left, captions and story beside it."""
    picture = Image.open(photo).convert("RGB")
    picture.thumbnail((PHOTO, PHOTO * 2))
    lines = textwrap.wrap(story, 44)
    height = max(picture.height, 150 + 36 * len(lines)) + 2 * MARGIN
    page = Image.new("RGB", (WIDTH, height), PAPER)
    page.paste(picture, (MARGIN, MARGIN))
    pen, left, top = ImageDraw.Draw(page), MARGIN * 2 + PHOTO, MARGIN
    for match in captions[:3]:
        pen.text((left, top), f"{match['similarity']:.2f}  {match['caption']}", PALE, font(17, family="sans"))
        top += 28
    top += 28
    for line in lines:
        pen.text((left, top), line, INK, font(26))
        top += 36
    page.save(target, optimize=True)


if __name__ == "__main__":
    (row,) = tell(load_all(beam_width=int(sys.argv[2])), sys.argv[1])
    draw(sys.argv[1], row["captions"], row["story"], Path(__file__).parents[1] / "images" / "story.png")
