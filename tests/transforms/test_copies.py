"""Copies: the same bytes are found by size and hash, one is processed for all, and each gets the result."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms import copies, load_images
from transforms.copies import FindCopies, copy_stories, each_listing, find_copies, join_copies
from transforms.infer import DEAD_LETTERS, split_failure
from transforms.load_images import DEFAULT_MAX_BYTES, LoadImages, load_batch
from transforms.records import DeadLetter, Listing, Photo, StoryRequest
from transforms.uris import Allowed

FILES = {"a": b"one", "b": b"two", "c": b"one", "d": b"longer", "e": b"one", "f": b"seven", "g": b"", "h": b""}
FILES |= {"i": b"two"}
PHOTO = Path(__file__).parents[2] / "samples" / "cat.jpg"


def photo_id(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def listings(tmp_path: Path) -> list[Listing]:
    """Returns the listings of FILES, of one that is gone and one that is too large; both have the size of others."""
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    found = [Listing(str(tmp_path / name), len(data), "1", ("romance",)) for name, data in FILES.items()]
    return [*found, Listing(str(tmp_path / "gone"), 3, "1", ("romance",)), Listing(str(tmp_path / "j"), -1, "")]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the names of the files that are read to be compared, as they are read."""
    found: list[str] = []

    def note(batch: list[Listing], *_: Any) -> Any:
        found.extend(Path(one.uri).name for one in batch)
        return load_images.read_batch(batch, *_)

    monkeypatch.setattr(copies, "read_batch", note)
    return found


def names(found: Sequence[Listing]) -> set[str]:
    return {"".join(Path(one.uri).name for one in each_listing(listing)) for listing in found}


def run(listings: list[Listing], expected: set[str], *arguments: Any) -> None:
    assert names(find_copies(listings, *arguments)) == expected
    with TestPipeline("FnApiRunner") as root:
        joined = root | beam.Create(listings) | FindCopies(*arguments) | beam.combiners.ToList() | beam.Map(names)
        assert_that(joined, equal_to([expected]), label="joined")


def test_copies_go_with_the_first(listings: list[Listing]) -> None:
    run(listings, {"ace", "bi", "d", "f", "g", "h", "gone", "j"}, DEFAULT_MAX_BYTES)
    assert names(find_copies(listings[::-1], DEFAULT_MAX_BYTES)) == names(find_copies(listings, DEFAULT_MAX_BYTES))
    run([], set(), DEFAULT_MAX_BYTES)


def test_what_may_not_be_read_is_never_a_copy(listings: list[Listing], tmp_path: Path) -> None:
    alone = {Path(one.uri).name for one in listings}
    run(listings, alone, 2)
    run(listings, alone, DEFAULT_MAX_BYTES, Allowed(roots=(str(tmp_path / "elsewhere"),)))


def test_files_with_different_checksums_are_not_read(listings: list[Listing], read: list[str]) -> None:
    sums = dict(zip("abcdefghi", ["1", "2", "1", "3", "other", "4", "0", "0", "1"], strict=True))
    listed = [replace(one, checksum=sums.get(Path(one.uri).name, "")) for one in listings]
    run(listed, {"ac", "b", "d", "e", "f", "g", "h", "i", "gone", "j"}, DEFAULT_MAX_BYTES)  # i has a's, by chance
    read.clear()
    find_copies(listed, DEFAULT_MAX_BYTES)
    assert sorted(read) == ["a", "c", "i"]


def test_the_order_stays_and_only_files_of_one_size_are_read(listings: list[Listing], read: list[str]) -> None:
    found = find_copies(listings[::-1], DEFAULT_MAX_BYTES)
    assert [Path(one.uri).name for one in found] == ["j", "gone", "h", "g", "f", "d", "b", "a"]
    assert sorted(read) == ["a", "b", "c", "e", "gone", "i"]
    assert found[-1].photo_id == photo_id(b"one") and found[-1].styles == ("romance",)
    known = [replace(one, photo_id="known") if one.uri.endswith("/e") else one for one in listings]
    read.clear()
    assert names(find_copies(known, DEFAULT_MAX_BYTES)) >= {"ac", "e"} and "e" not in read


def test_a_crowd_of_copies_is_cut(monkeypatch: Any) -> None:
    monkeypatch.setattr(copies, "MOST_COPIES", 3)
    crowd = [Listing(f"{number}", 1, "1") for number in range(7)]
    assert [len(list(each_listing(one))) for one in join_copies(iter(crowd[::-1]))] == [3, 3, 1]


RECIPE = {"name": "resize", "resize": 8, "crop": 8, "channels": "RGB", "mean": [0] * 3, "scale": [1] * 3}


def load(listing: Listing) -> tuple[list[Photo], list[DeadLetter]]:
    found = list(load_batch([listing], LoadImages(RECIPE).decoders, 10**6, Allowed()))
    letters = [one.value for one in found if isinstance(one, beam.pvalue.TaggedOutput)]
    assert all(one.tag == DEAD_LETTERS for one in found if isinstance(one, beam.pvalue.TaggedOutput))
    return [one[0] for one in found if not isinstance(one, beam.pvalue.TaggedOutput)], letters


@pytest.fixture
def trio(tmp_path: Path) -> Listing:
    """Returns the listing of a photo with two copies."""
    data = PHOTO.read_bytes()
    found = []
    for name in "abc":
        (tmp_path / name).write_bytes(data)
        found.append(Listing(str(tmp_path / name), len(data), name, (f"style {name}",), photo_id=photo_id(data)))
    return replace(found[0], copies=tuple(found[1:]))


def test_a_photo_is_loaded_with_its_copies(trio: Listing) -> None:
    ((photo,), letters) = load(trio)
    assert letters == [] and photo.all_styles == ("style a", "style b", "style c")
    assert [(one.uri, one.version, one.styles) for one in photo.each()] == [
        (one.uri, one.version, one.styles) for one in each_listing(trio)
    ]
    assert {(one.photo_id, one.width, one.height) for one in photo.each()} == {
        (trio.photo_id, photo.width, photo.height)
    }


def test_a_photo_that_is_gone_leaves_its_copies(trio: Listing) -> None:
    Path(trio.uri).unlink()
    ((photo,), (letter,)) = load(trio)
    assert (letter.uri, letter.error) == (trio.uri, "MissingFile")
    assert [one.version for one in photo.each()] == ["b", "c"] and photo.photo_id == trio.photo_id
    Path(trio.copies[0].uri).unlink()
    Path(trio.copies[1].uri).unlink()
    assert [letter.version for letter in load(trio)[1]] == ["a", "b", "c"]


def test_a_photo_that_changed_is_processed_separately(trio: Listing) -> None:
    data = Path(trio.uri).read_bytes()
    Path(trio.uri).write_bytes(b"?" + data[1:])
    ((photo,), (letter,)) = load(trio)
    assert (letter.version, letter.stage) == ("a", "decode") and letter.photo_id != trio.photo_id
    assert [one.version for one in photo.each()] == ["b", "c"]


def test_a_broken_photo_is_a_dead_letter_for_each(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"text")
    one, other = (Listing(str(tmp_path / name), 4, name, photo_id=photo_id(b"text")) for name in "ab")
    photos, letters = load(replace(one, copies=(other,)))
    assert photos == [] and [letter.version for letter in letters] == ["a", "b"]
    assert {(letter.stage, letter.error, letter.photo_id) for letter in letters} == {
        ("decode", "NotAnImage", photo_id(b"text"))
    }


def photo_with_copy() -> Photo:
    copy = Photo("b", "2", "id", 4, 3, ("swift", "romance"))
    return Photo("a", "1", "id", 4, 3, ("romance",), (copy,))


def test_what_is_told_is_told_of_each_that_wants_it() -> None:
    told = SimpleNamespace(story="One.")
    for style, uris in (("romance", ["a", "b"]), ("swift", ["b"])):
        found = list(copy_stories((StoryRequest(photo_with_copy(), (), style), told)))
        assert [request.photo.uri for request, _ in found] == uris
        assert all(one is told and request.photo.copies == () for request, one in found)


def test_what_failed_failed_for_each() -> None:
    photo, error = photo_with_copy(), ValueError("no word")
    letters = [one.value for one in split_failure((photo, error), "features")]
    assert [(letter.uri, letter.version, letter.style) for letter in letters] == [("a", "1", None), ("b", "2", None)]
    letters = [one.value for one in split_failure((StoryRequest(photo, (), "swift"), error), "story")]
    assert [(letter.uri, letter.style) for letter in letters] == [("b", "swift")]
