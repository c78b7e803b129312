"""The chain over lists: a step keeps the order of its inputs, and a missing result is replaced by its error."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from configs.schema import ConfigError
from model_handlers.pack import Pack
from pipelines.telling.chain import (
    SentenceVectors,
    StoryError,
    extract_features,
    infer,
    mean_vectors,
    shift_styles,
    split_errors,
    whole,
)
from pipelines.telling.one_photo import Models, load_all, see
from transforms.records import CaptionMatch, DeadLetter, Matched, Photo

OPTIONS: dict[str, Any] = {"features": "f.parquet", "captions_per_photo": 3, "beam_width": 2, "device": "cpu"}


class Double:
    """A handler that doubles numbers, and refuses negative ones; counts what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def load_model(self) -> None:
        return None

    def run_inference(self, items: list[Any], _: None) -> list[Any]:
        self.calls.append(list(items))
        return [ValueError("negative") if np.min(item) < 0 else 2 * item for item in items]


class Lengths:
    """A sentence encoder: a caption's vector is its length."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def load_model(self) -> None:
        return None

    def run_inference(self, batches: list[list[str]], _: None) -> list[Any]:
        (texts,) = batches
        self.calls.append(texts)
        if "broken" in texts:
            return [ValueError("no words")]
        return [np.array([[len(text)] for text in texts], "f4")]


def photo(name: str, *styles: str) -> Photo:
    return Photo(name, "1", f"id of {name}", None, None, styles)


def matched(name: str, *captions: str, styles: tuple[str, ...] = ()) -> Matched:
    return Matched(photo(name, *styles), tuple(CaptionMatch(caption, 1.0) for caption in captions))


@pytest.fixture
def models(story_pack: Pack) -> Models:
    return load_all(story_pack.location, **OPTIONS, style="swift,romance")


def test_an_error_stands_in_its_photos_place() -> None:
    handler: Any = Double()
    good, bad, last = infer(handler, "captions", [(photo("a"), 1), (photo("b"), -1), (photo("c"), 3)])
    assert (good, last) == (2, 6)
    assert (bad.uri, bad.stage, bad.error, str(bad)) == ("b", "captions", "ValueError", "b: captions failed: negative")
    assert infer(handler, "captions", []) == [] and len(handler.calls) == 1


def test_dead_letters_and_failures_stay_in_order() -> None:
    handler: Any = Double()
    pixels = np.ones(2, "f4")
    letter = DeadLetter("b", "1", None, "decode", "BadImage", "no photo", False)
    results = extract_features(handler, [(photo("a"), pixels), letter, (photo("c"), -pixels), (photo("d"), 2 * pixels)])
    found, errors = split_errors(results)
    assert [(one.uri, feature.tolist()) for one, feature in found] == [("a", [2, 2]), ("d", [4, 4])]
    assert [(error.uri, error.stage, error.error) for error in errors] == [
        ("b", "decode", "BadImage"),
        ("c", "features", "ValueError"),
    ]
    with pytest.raises(StoryError, match="b: BadImage: no photo"):
        whole(results)


def test_each_caption_is_encoded_once(models: Models) -> None:
    encoder: Any = Lengths()
    vectors = SentenceVectors(replace(models.steps, sentences=encoder))
    means = mean_vectors(vectors, [matched("a", "one", "three"), matched("b", "three", "sixsix")])
    assert [mean.tolist() for _, mean in means] == [[4.0], [5.5]]
    mean_vectors(vectors, [matched("c", "sixsix", "new")])
    assert encoder.calls == [["one", "three", "sixsix"], ["new"]]
    with pytest.raises(StoryError, match="captions cannot be encoded: no words"):
        vectors.of(["broken"])


def test_the_packs_vectors_are_not_encoded_again(models: Models) -> None:
    class Table(dict[str, np.ndarray]):
        def holds(self, caption: str) -> bool:
            return caption in self

        def look_up(self, captions: list[str]) -> np.ndarray:
            return np.stack([self[caption] for caption in captions])

    encoder: Any = Lengths()
    table = Table(ready=np.array([100], "f4"))
    vectors = SentenceVectors(replace(models.steps, sentences=encoder, table=table))
    assert vectors.of(["ready", "two"]).tolist() == [[100], [3]]
    assert encoder.calls == [["two"]]


def test_one_style_or_all_that_a_photo_wants(models: Models) -> None:
    width = next(iter(models.steps.styles.values())).source.shape[0]
    means = [
        (matched("a", "x", styles=("swift", "romance")), np.zeros(width, "f4")),
        (matched("b", "x", styles=("romance",)), np.ones(width, "f4")),
    ]
    wanted = [(request.photo.uri, request.style) for request, _ in shift_styles(models.steps, means)]
    assert wanted == [("a", "swift"), ("a", "romance"), ("b", "romance")]
    one = shift_styles(models.steps, means, "romance")
    assert [(request.photo.uri, request.style) for request, _ in one] == [("a", "romance"), ("b", "romance")]
    assert [request.photo.uri for request, _ in shift_styles(models.steps, means, "swift")] == ["a"]


def test_models_of_feature_vectors_take_no_photo(models: Models) -> None:
    with pytest.raises(ConfigError, match="take feature vectors"):
        see(models, "photo.jpg")
