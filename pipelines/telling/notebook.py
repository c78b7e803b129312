"""Stories for notebooks: shown with the photo and its captions, and usable as a row."""

import base64
import html
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, overload

import fsspec
from PIL import Image, ImageOps

from configs.spelling import did_you_mean
from pipelines.telling.chain import whole
from pipelines.telling.one_photo import Models, load_models, see, tell_batch
from pipelines.telling.settings import resolve
from transforms.decoding import DEFAULT_MAX_PIXELS, decode_fast
from transforms.photo_errors import PhotoError
from transforms.rows import Row

CAPTIONS = 5  # captions shown
SIDE = 320  # maximum side of the picture in pixels


OnePhoto: TypeAlias = str | os.PathLike[str] | bytes | Image.Image
"""A photo: its path or URI, the bytes of its file, or an image of PIL."""

Photos: TypeAlias = list[Any] | tuple[Any, ...]
"""Several photos, each as above."""


@dataclass(frozen=True, eq=False)
class PhotoStory(Mapping[str, Any]):
    """A photo's stories. As a mapping it is the row of the first style.

    Attributes:
        rows: rows of the photo, one a style.
        content: bytes of the photo's file, if the photo was given as bytes or as an image.
    """

    rows: tuple[Row, ...]
    content: bytes | None = None

    @property
    def stories(self) -> dict[str, str]:
        """The story of each style."""
        return {row["style"]: row["story"] for row in self.rows}

    @property
    def captions(self) -> list[str]:
        """The captions that the stories are made from, the best first."""
        return [match["caption"] for match in self.rows[0]["captions"]]

    def __getitem__(self, key: str) -> object:
        return self.rows[0][key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows[0])

    def __len__(self) -> int:
        return len(self.rows[0])

    def __repr__(self) -> str:
        return as_text(self.rows)

    def picture(self) -> Image.Image | None:
        """Returns the photo, upright and small, or None if it can no longer be read."""
        try:
            return small_picture(self.content or _read(self.rows[0]["uri"]), SIDE)
        except (OSError, ValueError, PhotoError):
            return None

    def _repr_html_(self) -> str:
        """Returns the photo, its captions and its stories as HTML, for Jupyter."""
        picture = self.picture()
        shown = f'<img alt="" style="max-width:{SIDE}px" src="{_inlined(picture)}">' if picture else ""
        matches = self.rows[0]["captions"][:CAPTIONS]
        captions = "".join(f"<li>{html.escape(one['caption'])} ({one['similarity']:.2f})</li>" for one in matches)
        stories = "".join(
            f"<h4>{html.escape(name.capitalize())}</h4><p>{_lines(text)}</p>" for name, text in self.stories.items()
        )
        name = html.escape(str(self.rows[0]["uri"]))
        return (
            f'<div style="display:flex;flex-wrap:wrap;gap:1em"><div>{shown}<div><small>{name}</small></div></div>'
            f'<div style="flex:1;min-width:16em"><ul>{captions}</ul>{stories}</div></div>'
        )


@overload
def story(
    models: Models, photo: OnePhoto, *, style: str | Sequence[str] | None = None, show: bool = False
) -> PhotoStory: ...


@overload
def story(
    models: Models, photo: Photos, *, style: str | Sequence[str] | None = None, show: bool = False
) -> list[PhotoStory]: ...


def story(
    models: Models,
    photo: OnePhoto | Photos,
    *,
    style: str | Sequence[str] | None = None,
    show: bool = False,
) -> PhotoStory | list[PhotoStory]:
    """Returns a photo's captions and stories, which a notebook shows with the photo; a list for a list of photos.

    Args:
        models: the models.
        photo: path, URI, bytes of a file, PIL image, or a list of these.
        style: a style of the pack, or several; None is those that the models were loaded with.
        show: whether to print captions and stories as well.

    Raises:
        ValueError: the pack has no such style.
        StoryError: a photo cannot be read, or a network failed on it.
    """
    if style is not None:
        models = with_styles(models, [style] if isinstance(style, str) else list(style))
    several = isinstance(photo, list | tuple)
    photos = [_with_content(one) for one in (photo if isinstance(photo, list | tuple) else [photo])]
    rows = whole(tell_batch(models, [see(models, uri, content=content) for uri, content in photos]))
    each = len(models.steps.styles)
    found = [
        PhotoStory(tuple(rows[place * each : (place + 1) * each]), content) for place, (_, content) in enumerate(photos)
    ]
    if show:
        print("\n\n".join(map(repr, found)))
    return found if several else found[0]


def with_styles(models: Models, styles: Sequence[str]) -> Models:
    """Returns the models with other styles of their pack; loaded networks stay loaded.

    Raises:
        ValueError: the pack lacks a style.
    """
    known = models.settings.pack.styles
    wanted = [name.strip() for style in styles for name in style.split(",")]
    for name in (part for style in wanted for part in style.split("+")):
        if name not in known:
            there = ", ".join(sorted(known))
            raise ValueError(f"style={name!r}: the pack has {there}{did_you_mean(name, known)}")
    config = models.settings.config.model_copy(update={"style": ",".join(wanted)})
    return load_models(resolve(config))


def _with_content(photo: OnePhoto) -> tuple[str, bytes | None]:
    """Returns the name of a photo, and its bytes if it was not given as a path or URI."""
    if isinstance(photo, bytes | bytearray | memoryview):
        return "<bytes>", bytes(photo)
    if isinstance(photo, Image.Image):
        return "<image>", image_file(photo)
    return os.fspath(photo), None


def as_text(rows: Sequence[Row]) -> str:
    """Returns a photo's nearest captions and its story in each style, as text for people."""
    lines = ["Captions:"]
    lines += [f"  {match['similarity']:.3f}  {match['caption']}" for match in rows[0]["captions"][:CAPTIONS]]
    for row in rows:
        lines += ["", f"{row['style'].capitalize()}:", row["story"]]
    return "\n".join(lines)


def small_picture(content: bytes, side: int) -> Image.Image:
    """Returns a photo upright, in RGB, and no larger than the given side in pixels.

    Raises:
        PhotoError: the bytes are not a photo, or it is damaged.
    """
    picture = Image.fromarray(decode_fast(content, DEFAULT_MAX_PIXELS, side)[0])
    picture.thumbnail((side, side))
    return picture


def image_file(image: Image.Image) -> bytes:
    """Returns an image as a PNG file, upright."""
    upright = ImageOps.exif_transpose(image)
    buffer = io.BytesIO()
    (upright if upright.mode in ("L", "RGB") else upright.convert("RGB")).save(buffer, "PNG")
    return buffer.getvalue()


def _read(uri: str) -> bytes:
    with fsspec.open(uri, "rb") as file:
        content: bytes = file.read()
    return content


def _inlined(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _lines(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")
