"""The records that travel between the steps."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

DEFERRED = "deferred"
"""Outcome of what a run listed and left for another night; it never counts as done."""


@dataclass(frozen=True)
class Networks:
    """Digests of what decides a photo's feature vector, and its captions."""

    features: str
    captions: str


@dataclass(frozen=True)
class KeptPlace:
    """Where an earlier run kept what the networks of this run would make of a photo.

    Attributes:
        path: of the file, below OUTPUT.
        group: row group of the file.
        row: within the group.
        captions: the captions are what this run would find too, not only the feature vector.
    """

    path: str
    group: int
    row: int
    captions: bool


@dataclass(frozen=True)
class Listing:
    """One listed object.

    Attributes:
        uri: image URI without query or signature.
        size: bytes, -1 where the object could not be looked at.
        version: generation, etag, or size and modification time.
        styles: styles of the stories that this run makes of it.
        modified: seconds since 1970, None where the store does not say.
        photo_id: sha256 of its bytes, in hex, where they were read before.
        checksum: what the store says of its bytes, empty where it says nothing; copies there have the same.
        kept: what an earlier run kept of this version.
        copies: listings with the same bytes, which get the same stories.
    """

    uri: str
    size: int
    version: str
    styles: tuple[str, ...] = ()
    modified: float | None = field(default=None, compare=False)
    photo_id: str | None = None
    checksum: str = field(default="", compare=False)
    kept: KeptPlace | None = None
    copies: tuple["Listing", ...] = ()


@dataclass(frozen=True)
class Photo:
    """One object version that was read and decoded.

    Attributes:
        uri: image URI.
        version: as listed.
        photo_id: sha256 of its bytes, in hex.
        width: pixels, after the EXIF rotation; None for ready-made feature vectors.
        height: pixels, likewise.
        styles: styles of the stories that this run makes of it.
        copies: photos with the same bytes, each with styles of its own; what becomes of this one becomes of them.
        kept: an earlier run kept its feature vector and captions, by the networks of this one.
    """

    uri: str
    version: str
    photo_id: str
    width: int | None
    height: int | None
    styles: tuple[str, ...] = ()
    copies: tuple["Photo", ...] = ()
    kept: bool = False

    def each(self) -> Iterator["Photo"]:
        """Yields the photo and its copies, each for itself."""
        yield replace(self, copies=()) if self.copies else self
        yield from self.copies

    def wanting(self, style: str | None) -> Iterator["Photo"]:
        """Yields the photo and its copies, each for itself, that want a story in a style; all where it is None."""
        for photo in self.each():
            if style is None or not self.copies or style in photo.styles:
                yield photo

    @property
    def all_styles(self) -> tuple[str, ...]:
        """Returns the styles of the stories that the photo or one of its copies wants."""
        return tuple(dict.fromkeys(style for photo in self.each() for style in photo.styles))


@dataclass(frozen=True, eq=False)
class PhotoWithFeature:
    """A photo with its feature vector `[F]`, which is kept beside its captions."""

    photo: Photo
    feature: np.ndarray


@dataclass(frozen=True)
class CaptionMatch:
    """A caption of the index and its similarity to a photo: the cosine, higher is better."""

    caption: str
    similarity: float


@dataclass(frozen=True)
class Matched:
    """A photo with its nearest captions, best first."""

    photo: Photo
    captions: tuple[CaptionMatch, ...]


@dataclass(frozen=True)
class StoryRequest:
    """A photo with its captions, and the style that its story is to have."""

    photo: Photo
    captions: tuple[CaptionMatch, ...]
    style: str


class StyleSpread(Protocol):
    """A linear map that is read where it is first needed; it is too large to travel with a step."""

    def matrix(self) -> np.ndarray:
        """Returns the map `[S, S]` float32."""


class StylePassages(Protocol):
    """The sentence vectors of a style's passages, read where they are first needed."""

    def near(self, direction: np.ndarray, pick: int) -> np.ndarray:
        """Returns the vector `[S]` of one of the passages that differ from their mean nearest to a direction `[S]`.

        Args:
            direction: `[S]`.
            pick: which one, of a few; any number from 0 on.
        """


@dataclass(frozen=True, eq=False)
class StyleVectors:
    """The shift to a style.

    Attributes:
        source: the style that is taken out, c `[S]` float32.
        target: the style that is put in, b `[S]` float32.
        spread: what differs from c is mapped by it, A; None where it stays as it is.
        passages: one that is near to what differs from c takes b's place; None where b is for all photos.
    """

    source: np.ndarray
    target: np.ndarray
    spread: StyleSpread | None = None
    passages: StylePassages | None = None


@dataclass(frozen=True)
class DeadLetter:
    """One photo that got no story, and why.

    Attributes:
        uri: image URI.
        version: as listed.
        photo_id: sha256 of its bytes, None where they could not be read.
        stage: the step that failed: `read`, `decode`, `features`, `captions` or `story`.
        error: name of the error, such as MissingFile.
        message: what is wrong, for people.
        retryable: another night may do better.
        style: the one style that failed, None where all did.
    """

    uri: str
    version: str
    photo_id: str | None
    stage: str
    error: str
    message: str
    retryable: bool
    style: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one listed object in one style.

    Attributes:
        outcome: `story`, `dead_letter`, `unchanged`, `repeated`, `ignored` or `deferred`.
    """

    uri: str
    version: str
    photo_id: str | None
    style: str
    outcome: str
