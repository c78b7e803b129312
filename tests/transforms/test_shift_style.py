"""The style shift, summed by hand."""

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.records import CaptionMatch, Matched, Photo, StoryRequest, StyleVectors
from transforms.shift_style import ShiftStyle, shift_each_style, shift_style

SHIFT = StyleVectors(source=np.array([1, 2], "f4"), target=np.array([10, 20], "f4"))
OTHER = StyleVectors(source=np.array([1, 2], "f4"), target=np.array([0, -1], "f4"))


def photo(name: str, *styles: str) -> Photo:
    return Photo(name, "1", f"id of {name}", 3, 2, styles)


@pytest.mark.parametrize(
    ("strength", "expected"), [(1.0, [109, 218]), (0.0, [100, 200]), (0.5, [104.5, 209]), (-1, [91, 182])]
)
def test_shift_by_hand(strength: float, expected: list[float]) -> None:
    shifted = shift_style(np.array([100, 200], "f4"), SHIFT, strength)
    assert shifted.dtype == np.float32
    np.testing.assert_array_equal(shifted, expected)


class Doubled:
    """A spread that doubles the first direction and swaps nothing."""

    def matrix(self) -> np.ndarray:
        return np.array([[2, 0], [0, 0.5]], "f4")


@pytest.mark.parametrize(
    ("strength", "expected"), [(1.0, [10 + 198, 20 + 99]), (0.0, [100, 200]), (0.5, [154, 159.5]), (2.0, [316, 38])]
)
def test_shift_with_a_spread_by_hand(strength: float, expected: list[float]) -> None:
    spread = StyleVectors(SHIFT.source, SHIFT.target, Doubled())
    shifted = shift_style(np.array([100, 200], "f4"), spread, strength)
    assert shifted.dtype == np.float32
    np.testing.assert_array_equal(shifted, expected)
    own = shift_style(SHIFT.source, spread, strength)
    np.testing.assert_array_equal(own, shift_style(SHIFT.source, SHIFT, strength))  # F(c) is b, whatever the spread


class Compass:
    """Passages to the east and to the north."""

    def near(self, direction: np.ndarray, pick: int) -> np.ndarray:
        return np.array([7, 0] if (direction[0] > direction[1]) == (pick % 2 == 0) else [0, 7], "f4")


@pytest.mark.parametrize(
    ("vector", "strength", "expected"),
    [
        ([100, 200], 1.0, [99, 205]),  # x - c is [99, 198]: north
        ([100, 101], 0.0, [100, 101]),
        ([100, 100], 1.0, [106, 98]),  # [99, 98]: east, though x is neither
        ([100, 100], 0.5, [103, 99]),
    ],
)
def test_shift_to_the_nearest_passage_by_hand(vector: list[float], strength: float, expected: list[float]) -> None:
    shift = StyleVectors(SHIFT.source, SHIFT.target, passages=Compass())
    shifted = shift_style(np.array(vector, "f4"), shift, strength)
    assert shifted.dtype == np.float32
    np.testing.assert_array_equal(shifted, expected)
    for photo_id, pick in (("a", 0xE8B7BE43), ("c", 0x06B9DF6F), ("", 0)):  # by CRC-32
        matched = Matched(Photo("a", "1", photo_id, 3, 2, ("romance",)), ())
        ((_, pair),) = shift_each_style(
            (matched, np.array(vector, "f4")), {"romance": shift}, strength, with_style=True
        )
        np.testing.assert_array_equal(pair[0], shift_style(np.array(vector, "f4"), shift, strength, pick))
        np.testing.assert_array_equal(pair[1], shift_style(SHIFT.source, SHIFT, strength))  # b, whatever the passages
    other = shift_style(np.array(vector, "f4"), shift, strength, 1)
    assert (other == shifted).all() == (strength == 0)


def test_shift_is_taken_out_before_it_is_put_in() -> None:
    """In float32 the order of the original, x - c + b, shows: b and c alone would cancel 1 away."""
    big = StyleVectors(source=np.array([1e8], "f4"), target=np.array([1e8 + 8], "f4"))
    assert shift_style(np.array([1], "f4"), big, 1.0)[0] == np.float32(np.float32(1) - np.float32(1e8)) + np.float32(
        1e8 + 8
    )


def test_each_wanted_style_is_shifted_to() -> None:
    styles = {"romance": SHIFT, "swift": OTHER, "unasked": OTHER}
    matched = Matched(photo("a", "swift", "romance"), (CaptionMatch("a dog", 0.5),))
    shifted = list(shift_each_style((matched, np.array([100, 200], "f4")), styles, 1.0))
    assert [request for request, _ in shifted] == [
        StoryRequest(matched.photo, matched.captions, style) for style in ("swift", "romance")
    ]
    np.testing.assert_array_equal([vector for _, vector in shifted], [[99, 197], [109, 218]])


@pytest.mark.parametrize(("strength", "own"), [(1.0, [10, 20]), (0.0, [1, 2]), (0.5, [5.5, 11])])
def test_the_styles_own_vector_knows_nothing_of_the_photo(strength: float, own: list[float]) -> None:
    matched = Matched(photo("a", "romance"), ())
    for vector in (np.array([100, 200], "f4"), np.array([-7, 3], "f4")):
        ((_, pair),) = shift_each_style((matched, vector), {"romance": SHIFT}, strength, with_style=True)
        np.testing.assert_array_equal(pair, [shift_style(vector, SHIFT, strength), own])
        assert pair.dtype == np.float32


def test_shift_step() -> None:
    pairs = [
        (Matched(photo("both", "romance", "swift"), ()), np.array([100, 200], "f4")),
        (Matched(photo("one", "swift"), ()), np.array([0, 0], "f4")),
        (Matched(photo("none"), ()), np.array([0, 0], "f4")),
    ]
    with TestPipeline("FnApiRunner") as root:
        vectors = root | beam.Create(pairs)
        shifted = vectors | ShiftStyle({"romance": SHIFT, "swift": OTHER})
        plain = shifted | beam.MapTuple(lambda request, vector: (request.photo.uri, request.style, vector.tolist()))
        expected = [("both", "romance", [109, 218]), ("both", "swift", [99, 197]), ("one", "swift", [-1, -3])]
        assert_that(plain, equal_to(expected), label="shifted")
        both = vectors | "Shift beside" >> ShiftStyle({"romance": SHIFT, "swift": OTHER}, with_style=True)
        sizes = both | beam.MapTuple(lambda request, vector: (request.style, vector[1].tolist()))
        own = [("romance", [10, 20]), ("swift", [0, -1]), ("swift", [0, -1])]
        assert_that(sizes, equal_to(own), label="beside")


def test_shift_step_takes_nothing() -> None:
    with TestPipeline("FnApiRunner") as root:
        shifted = root | beam.Create([]) | ShiftStyle({"romance": SHIFT})
        assert_that(shifted, equal_to([]), label="shifted")
