"""One photo's story in three lines of a notebook, by the code that the pipeline runs.

from pipelines.story import load_all, story
models = load_all("packs/pocket")
story(models, "photo.jpg")
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler

from configs.schema import check_config
from pipelines.job import Parts, make_parts
from pipelines.settings import Settings, resolve
from transforms.load_images import load_photo
from transforms.records import DeadLetter, Matched, Photo, Telling
from transforms.rows import Row, story_row
from transforms.sentences import mean_vector
from transforms.steps import match_captions, shift_each_style

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
    return tell_features(models, record, _run(parts.features, pixels, photo, "features"))


def tell_features(models: Models, record: Photo, feature: np.ndarray) -> list[Row]:
    """Returns the rows of a photo, one a style, from its feature vector `[F]`."""
    parts = models.parts
    matched = match_captions((record, _run(parts.captions, feature, record.uri, "captions")))
    shifted = shift_each_style((matched, _mean(parts, matched)), parts.styles, parts.strength)
    return [_row(models, telling, vector) for telling, vector in shifted]


def _row(models: Models, telling: Telling, vector: np.ndarray) -> Row:
    passage = _run(models.parts.stories, vector, telling.photo.uri, "story")
    return story_row((telling, passage), models.parts.told_by)


def _mean(parts: Parts, matched: Matched) -> np.ndarray:
    captions = [match.caption for match in matched.captions]
    if parts.table is not None:
        return mean_vector(parts.table.look_up(captions))
    return mean_vector(_run(parts.sentences, captions, matched.photo.uri, "sentences"))


def _run(handler: ModelHandler, item: Any, photo: str, stage: str) -> Any:
    result = list(handler.run_inference([item], handler.load_model()))[0]
    if isinstance(result, Exception):
        raise StoryError(f"{photo}: {stage} failed: {result}") from result
    return result
