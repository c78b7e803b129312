"""Thumbnails of the photos on the page: pixels without metadata, of exactly the bytes that the story is about."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

from PIL import Image
from tqdm import tqdm

from pipelines.gallery_page.page_folder import Folder
from transforms.decoding import decode_strict
from transforms.load_images import batch_listings, read_batch
from transforms.photo_errors import PhotoError
from transforms.read_errors import ReadError
from transforms.records import Listing
from transforms.storage import stat_all

FOLDER = "thumbnails"
SIDE, QUALITY = 480, 80
THREADS = 4
LOOK_UPS = 200  # photos processed in one call
CHANGED = "the photo has changed since its story was written"

Picture = tuple[str, str]
"""(uri, photo_id)."""


@dataclass(frozen=True)
class Limits:
    """Limits of the bytes of a file that is read, and of the pixels of a file that is decoded."""

    max_bytes: int
    max_pixels: int


def thumbnail_name(photo_id: str) -> str:
    """Returns the file name of a photo's thumbnail."""
    return f"{photo_id}.jpg"


def make_thumbnail(content: bytes | ReadError, photo_id: str, max_pixels: int) -> bytes | str:
    """Returns a JPEG of a photo, at most SIDE on its longer side, or the reason why there is none."""
    if isinstance(content, ReadError):
        return str(content)
    if hashlib.sha256(content).hexdigest() != photo_id:
        return CHANGED
    try:
        image = Image.fromarray(decode_strict(content, max_pixels))
    except PhotoError as error:
        return str(error)
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, progressive=True)
    return buffer.getvalue()


def update_thumbnails(pictures: Iterable[Picture], folder: Folder, limits: Limits) -> dict[Picture, str]:
    """Updates the folder's thumbnails; returns the reason for each picture that has none."""
    wanted = sorted(set(pictures))
    there = set(folder.names(FOLDER))
    missing: dict[Picture, str] = {}
    with tqdm(total=len(wanted), desc="Thumbnails", unit="photo") as progress:
        for start in range(0, len(wanted), LOOK_UPS):
            batch = wanted[start : start + LOOK_UPS]
            missing |= _update_batch(batch, there, folder, limits)
            progress.update(len(batch))
    kept = {thumbnail_name(picture[1]) for picture in wanted if picture not in missing}
    for name in there - kept:
        folder.remove(f"{FOLDER}/{name}")
    return missing


def _update_batch(batch: Sequence[Picture], there: set[str], folder: Folder, limits: Limits) -> dict[Picture, str]:
    """Makes missing thumbnails; returns the reason for each picture that has none."""
    missing: dict[Picture, str] = {}
    fresh: list[tuple[Picture, Listing]] = []
    for picture, status in zip(batch, stat_all([uri for uri, _ in batch]), strict=True):
        if isinstance(status, ReadError):
            missing[picture] = str(status)
        elif thumbnail_name(picture[1]) not in there:
            fresh.append((picture, Listing(picture[0], status.size, status.version)))
    for picture, made in _make(fresh, limits):
        if isinstance(made, str):
            missing[picture] = made
        else:
            folder.write(f"{FOLDER}/{thumbnail_name(picture[1])}", made)
    return missing


def _make(fresh: Sequence[tuple[Picture, Listing]], limits: Limits) -> Iterator[tuple[Picture, bytes | str]]:
    """Yields each picture with its thumbnail, or with the reason why it has none."""
    left = (picture for picture, _ in fresh)
    with ThreadPoolExecutor(THREADS) as pool:
        for batch in batch_listings(listing for _, listing in fresh):
            pictures = list(islice(left, len(batch)))
            contents = [content for _, content in read_batch(batch, limits.max_bytes)]
            make = partial(make_thumbnail, max_pixels=limits.max_pixels)
            made = pool.map(make, contents, [photo_id for _, photo_id in pictures])
            yield from zip(pictures, made, strict=True)
