"""Thumbnails: only pixels, from the same bytes as the story, and a reason if there is none."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipelines.gallery_page import thumbnails
from pipelines.gallery_page.page_folder import Folder
from pipelines.gallery_page.thumbnails import CHANGED, SIDE, Limits, make_thumbnail, update_thumbnails
from transforms.read_errors import ReadError

LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000)


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "page"))


def update(folder: Folder, *pictures: tuple[str, str], limits: Limits = LIMITS) -> dict[Any, str]:
    return update_thumbnails(pictures, folder, limits)


def test_no_metadata_is_left(nights: Any, folder: Folder) -> None:
    uri = nights.photo("home.jpg")
    with Image.open(uri) as photo:
        assert photo.getexif().get_ifd(0x8825) and photo.info["comment"]
    assert update(folder, (uri, digest(uri))) == {}
    data = folder.read(f"thumbnails/{digest(uri)}.jpg")
    with Image.open(io.BytesIO(data)) as image:
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive", "progression"}
        assert image.size == (SIDE, SIDE * 360 // 640)
    for secret in (b"Exif", b"Photographer", b"taken at home"):
        assert secret not in data


def test_the_photo_is_upright(nights: Any) -> None:
    content = Path(nights.photo("tall.jpg", size=(40, 20), orientation=6)).read_bytes()
    made = make_thumbnail(content, hashlib.sha256(content).hexdigest(), 1000)
    assert isinstance(made, bytes)
    assert Image.open(io.BytesIO(made)).size == (20, 40)


def test_other_bytes_than_those_told_are_never_decoded(nights: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "decode_strict", None)
    assert make_thumbnail(b"other", "0" * 64, 1000) == CHANGED


def test_what_cannot_be_read_is_named(nights: Any, folder: Folder) -> None:
    broken, good = nights.photos / "broken.jpg", nights.photo("good.jpg")
    broken.write_bytes(b"no photo")
    pictures = [(str(broken), digest(str(broken))), (str(nights.photos / "gone.jpg"), "1" * 64), (good, "2" * 64)]
    pictures += [("photos/relative.jpg", "3" * 64), ("https://example.com/a.jpg", "4" * 64)]
    reasons = update(folder, *pictures, (good, digest(good)))
    assert "begins with" in reasons[pictures[0]]
    assert "does not exist" in reasons[pictures[1]]
    assert reasons[pictures[2]] == CHANGED
    assert "does not exist" in reasons[pictures[3]] and "over http" in reasons[pictures[4]]
    assert folder.names("thumbnails") == [f"{digest(good)}.jpg"]


def test_a_read_error_is_the_reason() -> None:
    assert make_thumbnail(ReadError("storage was down"), "0" * 64, 1000) == "storage was down"


def test_too_large_a_photo_is_not_read_or_decoded(nights: Any, folder: Folder) -> None:
    picture = (nights.photo("large.jpg"), digest(nights.photo("large.jpg")))
    assert "max_bytes" in update(folder, picture, limits=Limits(100, 1_000_000))[picture]
    assert "max_pixels" in update(folder, picture, limits=Limits(1_000_000, 100))[picture]


def test_what_is_there_is_made_once(nights: Any, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = (nights.photo("a.jpg"), digest(nights.photo("a.jpg")))
    update(folder, picture)
    monkeypatch.setattr(thumbnails, "make_thumbnail", None)
    assert update(folder, picture) == {}


def test_a_removed_photo_loses_its_thumbnail(nights: Any, folder: Folder) -> None:
    first, second = ((uri, digest(uri)) for uri in (nights.photo("a.jpg", "red"), nights.photo("b.jpg", "blue")))
    assert update(folder, first, second) == {}
    Path(first[0]).unlink()
    assert list(update(folder, first, second)) == [first]
    assert folder.names("thumbnails") == [f"{second[1]}.jpg"]


def test_two_names_of_one_photo_share_a_thumbnail(nights: Any, folder: Folder) -> None:
    names = [nights.photo(name) for name in ("a.jpg", "b.jpg")]
    assert update(folder, *((name, digest(name)) for name in names)) == {}
    assert len(folder.names("thumbnails")) == 1


def test_more_photos_than_one_look_up(nights: Any, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "LOOK_UPS", 2)
    colours = ("red", "green", "blue", "gold", "pink")
    pictures = [(uri, digest(uri)) for uri in (nights.photo(f"{colour}.jpg", colour) for colour in colours)]
    assert update(folder, *pictures) == {}
    for colour, (_, photo_id) in zip(colours, pictures, strict=True):
        pixel = Image.open(io.BytesIO(folder.read(f"thumbnails/{photo_id}.jpg"))).convert("RGB").getpixel((5, 5))
        wanted = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
        assert max(abs(a - b) for a, b in zip(pixel, wanted, strict=True)) < 6
