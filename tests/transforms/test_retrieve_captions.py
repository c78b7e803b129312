"""Captions of a photo become a record."""

from transforms.records import CaptionMatch, Matched, Photo
from transforms.retrieve_captions import match_captions

PHOTO = Photo("a", "1", "id of a", 3, 2)


def test_captions_keep_their_order() -> None:
    matched = match_captions((PHOTO, [("a dog", 0.5), ("a cat", 0.25), ("a dog", 0.125)]))
    captions = (CaptionMatch("a dog", 0.5), CaptionMatch("a cat", 0.25), CaptionMatch("a dog", 0.125))
    assert matched == Matched(PHOTO, captions)
