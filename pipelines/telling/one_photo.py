"""One photo's story in three lines of a notebook, by the code that the pipeline runs.

from pipelines.story import load_all, story
models = load_all("packs/pocket")
story(models, "photo.jpg")
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler

from configs.schema import check_config
from pipelines.nightly.graph import Parts, make_parts
from pipelines.telling.settings import Settings, resolve
from transforms.encode_sentences import mean_vector
from transforms.load_images import load_photo
from transforms.records import DeadLetter, Photo, StoryRequest
from transforms.retrieve_captions import match_captions
from transforms.rows import Row, story_row
from transforms.shift_style import shift_each_style

SHOWN = 5  # captions printed


@dataclass(frozen=True)
class Models:
    """Everything that tells stories: checked settings and the steps made from them."""

    settings: Settings
    parts: Parts


class StoryError(Exception):
    """The photo got no story; says at which step and why."""


def load_all(pack: str | None = None, **options: Any) -> Models:
    """Returns the models of a pack; each network is loaded when it is first needed.

    Args:
        pack: folder or URI; None is the pocket pack.
        options: of the main job, such as `beam_width=10`, `style="romance"` or `device="cpu"`.

    Raises:
        ConfigError: the pack or an option is wrong.
    """
    settings = resolve(check_config({"pack": pack, **options}))
    return Models(settings, make_parts(settings, {}))


def story(models: Models, photo: str) -> Row:
    """Prints a photo's nearest captions and its story; returns its row, or with several styles the first one's.

    Raises:
        StoryError: the photo cannot be read, or a network failed on it.
    """
    rows = tell(models, photo)
    print("Nearest captions:")
    for match in rows[0]["captions"][:SHOWN]:
        print(f"  {match['similarity']:.3f}  {match['caption']}")
    for row in rows:
        print(f"\n{row['style'].capitalize()}:\n{row['story']}")
    return rows[0]


def tell(models: Models, photo: str) -> list[Row]:
    """Returns a photo's rows, one a style.

    Raises:
        StoryError: the photo cannot be read, or a network failed on it.
    """
    parts = models.parts
    assert parts.load is not None and parts.features is not None
    loaded = load_photo(photo, parts.load, tuple(parts.styles))
    if isinstance(loaded, DeadLetter):
        raise StoryError(f"{photo}: {loaded.error}: {loaded.message}")
    record, pixels = loaded
    (feature,) = run_handler(parts.features, "features", [(record, pixels)])
    if isinstance(feature, StoryError):
        raise feature
    rows = tell_batch(models, [(record, feature)])
    for row in rows:
        if isinstance(row, StoryError):
            raise row
    return [row for row in rows if not isinstance(row, StoryError)]


def tell_batch(models: Models, photos: Sequence[tuple[Photo, np.ndarray]]) -> list[Row | StoryError]:
    """Returns the rows of photos that the networks see at once, one a photo and style, from feature vectors `[F]`.

    An error stands where a story did not come about: one a style, or one for a photo that has no captions.

    Raises:
        StoryError: the captions cannot be encoded.
    """
    parts = models.parts
    told: list[Row | StoryError] = []
    vectors: list[tuple[StoryRequest, np.ndarray]] = []
    for (record, _), matches in zip(photos, run_handler(parts.captions, "captions", photos), strict=True):
        if isinstance(matches, StoryError):
            told.append(matches)
            continue
        matched = match_captions((record, matches))
        mean = mean_vector(vectors_of(parts, [match.caption for match in matched.captions]))  # [S]
        vectors += shift_each_style((matched, mean), parts.styles, parts.strength, parts.alone)
    passages = run_handler(parts.stories, "story", [(request.photo, vector) for request, vector in vectors])
    for (request, _), passage in zip(vectors, passages, strict=True):
        told.append(passage if isinstance(passage, StoryError) else story_row((request, passage), parts.told_by))
    return told


def vectors_of(parts: Parts, captions: Sequence[str]) -> np.ndarray:
    """Returns the sentence vectors `[K, S]` of captions, those of the table where it has them.

    Raises:
        StoryError: the captions cannot be encoded.
    """
    table = parts.table
    others = list(dict.fromkeys(caption for caption in captions if table is None or not table.holds(caption)))
    found: dict[str, np.ndarray] = {}
    if others:
        (vectors,) = parts.sentences.run_inference([others], parts.sentences.load_model())
        if isinstance(vectors, Exception):
            raise StoryError(f"captions cannot be encoded: {vectors}") from vectors
        found |= zip(others, vectors, strict=True)
    ready = [caption for caption in captions if caption not in found]
    if table is not None and ready:
        found |= zip(ready, table.look_up(ready), strict=True)
    return np.stack([found[caption] for caption in captions])  # [K, S]


def run_handler(handler: ModelHandler, stage: str, items: Sequence[tuple[Photo, Any]]) -> list[Any]:
    """Returns the handler's result for each photo's item, or a StoryError in its place."""
    if not items:
        return []
    results = []
    found = handler.run_inference([item for _, item in items], handler.load_model())
    for (photo, _), result in zip(items, found, strict=True):
        if isinstance(result, Exception):
            error = StoryError(f"{photo.uri}: {stage} failed: {result}")
            error.__cause__ = result
            result = error
        results.append(result)
    return results
