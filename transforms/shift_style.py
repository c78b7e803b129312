"""Shifts sentence vectors from the style of captions to the style of a book."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import PCollection

from transforms.records import Matched, Photo, StoryRequest, StyleVectors


def shift_style(vector: np.ndarray, shift: StyleVectors, strength: float, pick: int = 0) -> np.ndarray:
    """Returns F(x) = x - c + b `[S]` (SPEC section 8), or the result of a richer shift.

    It is A (x - c) + b if the style has a spread A, and x - c + p if it has passages: p is the vector of a passage near
    x - c, and `pick` chooses which.

    A strength s other than 1 gives (1 - s) x + s F(x), which scales both c and b in the plain shift.
    """
    changed: np.ndarray
    if shift.spread is not None or shift.passages is not None:
        apart = vector - shift.source  # [S]
        moved = shift.spread.matrix() @ apart if shift.spread is not None else apart  # [S]
        changed = moved + (shift.passages.near(apart, pick) if shift.passages is not None else shift.target)  # [S]
        if strength != 1.0:
            changed = vector + np.float32(strength) * (changed - vector)  # [S]
    else:
        source, target = shift.source, shift.target  # [S], [S]
        if strength != 1.0:
            source, target = np.float32(strength) * source, np.float32(strength) * target  # [S], [S]
        changed = vector - source + target  # [S]
    return changed


def pick_of(photo: Photo) -> int:
    """Returns which of the passages near a photo its shift uses, so that similar photos may use different passages."""
    return zlib.crc32(photo.photo_id.encode())


def shift_each_style(
    element: tuple[Matched, np.ndarray], styles: dict[str, StyleVectors], strength: float, with_style: bool = False
) -> Iterator[tuple[StoryRequest, np.ndarray]]:
    """Yields the photo's shifted vector `[S]` for each style that it still needs.

    With `with_style` it is `[2, S]`; the second row is the style vector b, which does not depend on the photo.
    """
    matched, vector = element
    pick = pick_of(matched.photo)
    for style in matched.photo.all_styles:
        shift = styles[style]
        shifted = shift_style(vector, shift, strength, pick)  # [S]
        if with_style:
            own = shift_style(shift.source, replace(shift, passages=None), strength)  # [S]
            shifted = np.stack([shifted, own])  # [2, S]
        yield StoryRequest(matched.photo, matched.captions, style), shifted


@dataclass(eq=False)
class ShiftStyle(
    beam.PTransform[PCollection[tuple[Matched, np.ndarray]], PCollection[tuple[StoryRequest, np.ndarray]]]
):
    """Sentence vectors with the caption style taken out and a book style put in.

    Input: (Matched, mean sentence vector `[S]`). Output: (StoryRequest, shifted vector `[S]`), one for each style;
    with `with_style` the vectors are `[2, S]` and include the style vector. No dead letters.
    """

    styles: dict[str, StyleVectors]
    strength: float = 1.0
    with_style: bool = False
    hints: dict[str, str] = field(default_factory=dict)

    def expand(self, vectors: PCollection[tuple[Matched, np.ndarray]]) -> PCollection[tuple[StoryRequest, np.ndarray]]:
        """Returns a shifted vector for each photo and style."""
        shift = beam.FlatMap(shift_each_style, self.styles, self.strength, self.with_style)
        hinted = shift.with_resource_hints(**self.hints)
        shifted: PCollection[tuple[StoryRequest, np.ndarray]] = vectors | "Shift each style" >> hinted
        return shifted
