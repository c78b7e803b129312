"""Repeats a stored story from its photo, with the results of each step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from configs.schema import ConfigError
from model_handlers.captions import caption_texts
from model_handlers.stories import Passage
from pipelines.nightly.selection import feature_photo, feature_tasks
from pipelines.telling.chain import SentenceVectors, StoryError, find_captions, mean_vectors, shift_styles, whole
from pipelines.telling.one_photo import Models, see
from transforms.records import Matched, Photo
from transforms.rows import Row, story_row
from transforms.shift_style import pick_of

ENCODED, LOOKED_UP = 1_000, 50_000
"""How many captions of the bank a photo's vectors are compared with: if they must be encoded, and if they are ready."""
BLOCK = 4096  # vectors in memory at once
NEAREST = 3  # sentences shown


@dataclass(frozen=True, eq=False)
class Shift:
    """What the style shift did to a photo.

    Attributes:
        vector: mean sentence vector x of the photo's captions `[S]`.
        source: source style c `[S]`, which was taken out.
        target: vector `[S]` that was put in: the style b, or a passage of it.
        shifted: shifted vector F(x) `[S]`.
        before: sentences nearest to x, with their cosines.
        after: sentences nearest to F(x), with their cosines.
        compared: number of sentences compared.
    """

    vector: np.ndarray
    source: np.ndarray
    target: np.ndarray
    shifted: np.ndarray
    before: list[tuple[str, float]]
    after: list[tuple[str, float]]
    compared: int


@dataclass(frozen=True)
class Retold:
    """A repeated story.

    Attributes:
        row: row as the run would write it.
        shift: what the style shift did.
        passages: passages of all hypotheses, best first, each with the score that it was ranked by.
    """

    row: Row
    shift: Shift
    passages: list[tuple[Passage, float]]


def read_again(models: Models, uri: str, style: str) -> tuple[Photo, np.ndarray]:
    """Reads a photo as it is now; returns it and its feature vector `[F]`.

    Raises:
        StoryError: it is gone, cannot be read, or the network failed on it.
    """
    features = models.settings.config.features
    return _vector_again(features, uri, style) if features else see(models, uri, (style,))


def _vector_again(features: str, uri: str, style: str) -> tuple[Photo, np.ndarray]:
    """Returns a photo and its ready-made feature vector, the first one of its uri, as in the run."""
    try:
        for listing, feature in feature_tasks(features):
            if listing.uri == uri and feature is not None:
                return feature_photo((replace(listing, styles=(style,)), feature))
    except ConfigError as error:
        raise StoryError("; ".join(error.problems)) from error
    raise StoryError(f"{features} holds no feature vector of it any more")


def tell_again(models: Models, photo: Photo, feature: np.ndarray) -> Retold:
    """Repeats the story of a photo in the models' only style; the beam search is not stopped early.

    Raises:
        StoryError: a network failed on it.
    """
    steps, vectors = models.steps, SentenceVectors(models.steps)
    ((matched, mean),) = mean_vectors(vectors, whole(find_captions(steps, [(photo, feature)])))
    ((request, shifted),) = shift_styles(steps, [(matched, mean)])
    try:
        passages = steps.stories.ranked(shifted)
    except ValueError as error:
        raise StoryError(f"story failed: {error}", photo.uri, "story") from error
    if not passages:
        raise StoryError("story failed: the beam left no passage", photo.uri, "story")
    row = story_row((request, passages[0][0]), steps.provenance)
    shift = explain_shift(models, vectors, matched, mean, shifted[0] if steps.with_style else shifted)
    return Retold(row, shift, passages)


def explain_shift(
    models: Models, vectors: SentenceVectors, matched: Matched, vector: np.ndarray, shifted: np.ndarray
) -> Shift:
    """Returns what the shift did to a photo's vector `[S]`."""
    (style,) = models.steps.styles.values()
    target = style.target  # [S]
    if style.passages is not None:
        target = style.passages.near(vector - style.source, pick_of(matched.photo))  # [S]
    texts = compared_sentences(models, [match.caption for match in matched.captions])
    before, after = nearest_sentences(vectors, texts, np.stack([vector, shifted]))
    return Shift(vector, style.source, target, shifted, before, after, len(texts))


def compared_sentences(models: Models, captions: Sequence[str]) -> list[str]:
    """Returns the photo's captions and those of the bank: all, or evenly spaced ones if the bank is large."""
    pack, table = models.settings.pack, models.steps.table
    bank = list(dict.fromkeys(caption_texts(pack))) if "captions" in pack.components else []
    step = -(-len(bank) // (ENCODED if table is None else LOOKED_UP)) or 1
    return list(dict.fromkeys([*captions, *bank[::step]]))


def nearest_sentences(
    table: SentenceVectors, texts: Sequence[str], vectors: np.ndarray
) -> list[list[tuple[str, float]]]:
    """Returns the sentences nearest to each of the vectors `[N, S]`, with their cosines, best first."""
    wanted = unit(vectors)  # [N, S]
    cosines = [unit(table.of(texts[start : start + BLOCK])) @ wanted.T for start in range(0, len(texts), BLOCK)]
    scores = np.concatenate(cosines).T  # [N, K]
    orders = np.argsort(-scores, axis=1, kind="stable")[:, :NEAREST]  # [N, NEAREST]
    return [[(texts[place], float(row[place])) for place in order] for row, order in zip(scores, orders, strict=True)]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors `[N, S]` of unit length."""
    units: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)  # [N, S]
    return units
