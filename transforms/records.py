"""Records that are passed between the steps."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

DEFERRED = "deferred"
"""Outcome of what a run listed and left for a later run; it never counts as done."""


@dataclass(frozen=True)
class Networks:
    """Digests of everything that decides a photo's feature vector, and of everything that decides its captions."""

    features: str
    captions: str


@dataclass(frozen=True)
class KeptPlace:
    """Place where an earlier run kept what the networks of this run would make of a photo.

    Attributes:
        path: path of the file, below OUTPUT.
        group: row group of the file.
        row: row within the group.
        captions: the kept captions are those of this run's networks too, not only the feature vector.
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
        size: number of bytes, -1 if the object could not be looked at.
        version: generation, etag, or size and modification time.
        styles: styles of the stories that this run writes for it.
        modified: seconds since 1970, None if the store does not say.
        photo_id: sha256 of its bytes, in hex, if they were read before.
        checksum: the store's checksum of its bytes, empty if there is none; copies in one store have the same.
        kept: place where an earlier run kept results for this version.
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
        version: version as listed.
        photo_id: sha256 of its bytes, in hex.
        width: pixels, after the EXIF rotation; None for ready-made feature vectors.
        height: pixels, likewise.
        styles: styles of the stories that this run writes for it.
        copies: photos with the same bytes, each with its own styles; they get the same results as this one.
        kept: an earlier run kept its feature vector and captions, made by the networks of this run.
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
        """Yields the photo and its copies one by one."""
        yield replace(self, copies=()) if self.copies else self
        yield from self.copies

    def wanting(self, style: str | None) -> Iterator["Photo"]:
        """Yields those of the photo and its copies that need a story in a style; all if the style is None."""
        for photo in self.each():
            if style is None or not self.copies or style in photo.styles:
                yield photo

    @property
    def all_styles(self) -> tuple[str, ...]:
        """Returns the styles of the stories that the photo or one of its copies needs."""
        return tuple(dict.fromkeys(style for photo in self.each() for style in photo.styles))


@dataclass(frozen=True, eq=False)
class PhotoWithFeature:
    """A photo with its feature vector `[F]`, which is kept with its captions."""

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
    """A photo with its captions and the style of the story to write."""

    photo: Photo
    captions: tuple[CaptionMatch, ...]
    style: str


class StyleSpread(Protocol):
    """A linear map that is read when it is first needed, since it is too large to be pickled with a step."""

    def matrix(self) -> np.ndarray:
        """Returns the map `[S, S]` float32."""


class StylePassages(Protocol):
    """The sentence vectors of a style's passages, read when they are first needed."""

    def near(self, direction: np.ndarray, pick: int) -> np.ndarray:
        """Returns the vector `[S]` of one of the passages that differ from their mean most in a direction `[S]`.

        Args:
            direction: direction `[S]`.
            pick: chooses one of a few; any number from 0.
        """


@dataclass(frozen=True, eq=False)
class StyleVectors:
    """The shift to a style.

    Attributes:
        source: vector c `[S]` float32 of the style that is taken out.
        target: vector b `[S]` float32 of the style that is put in.
        spread: map A of the difference from c; None if the difference is not mapped.
        passages: one that is near the difference from c replaces b; None if b is used for all photos.
    """

    source: np.ndarray
    target: np.ndarray
    spread: StyleSpread | None = None
    passages: StylePassages | None = None


@dataclass(frozen=True)
class DeadLetter:
    """A photo that got no story, with the reason.

    Attributes:
        uri: image URI.
        version: version as listed.
        photo_id: sha256 of its bytes, None if they could not be read.
        stage: the step that failed: `read`, `decode`, `features`, `captions` or `story`.
        error: name of the error, such as MissingFile.
        message: readable description of the problem.
        retryable: a later run may succeed.
        style: the style that failed, None if all did.
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
    """Outcome of one listed object in one style.

    Attributes:
        outcome: `story`, `dead_letter`, `unchanged`, `repeated`, `ignored` or `deferred`.
    """

    uri: str
    version: str
    photo_id: str | None
    style: str
    outcome: str
