"""One photo's story in three lines of a notebook, by the code that the pipeline runs.

from pipelines.story import load_all, story
models = load_all("packs/pocket")
story(models, "photo.jpg")
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.schema import ConfigError, check_config
from pipelines.telling.chain import (
    SentenceVectors,
    StoryError,
    decode_stories,
    extract_features,
    find_captions,
    mean_vectors,
    shift_styles,
    split_errors,
    whole,
)
from pipelines.telling.settings import Settings, resolve
from pipelines.telling.steps import PhotoSteps, Steps, make_steps
from transforms.load_images import load_photo
from transforms.records import Photo
from transforms.rows import Row

FLAG = re.compile(r"--([a-z][a-z-]*)")


@dataclass(frozen=True)
class Models:
    """Everything needed to write stories: checked settings and the steps made from them."""

    settings: Settings
    steps: Steps

    def photo_steps(self) -> PhotoSteps:
        """Returns the steps, which must be those of photos.

        Raises:
            ConfigError: the models take ready-made feature vectors.
        """
        if isinstance(self.steps, PhotoSteps):
            return self.steps
        raise ConfigError(["features: these models take feature vectors, not photos; load them without it"])


def load_models(settings: Settings) -> Models:
    """Returns the models of checked settings; each network is loaded when it is first needed."""
    return Models(settings, make_steps(settings, {}))


def load_all(pack: str | None = None, **options: object) -> Models:
    """Returns the models of a pack; each network is loaded when it is first needed.

    Args:
        pack: folder or URI; None is the pocket pack.
        options: options of the main job, such as `beam_width=10`, `style="romance"` or `device="cpu"`.

    Raises:
        ConfigError: the pack or an option is wrong.
    """
    try:
        return load_models(resolve(check_config({"pack": pack, **options})))
    except ConfigError as error:
        raise ConfigError([_in_python(problem) for problem in error.problems]) from error


def _in_python(problem: str) -> str:
    """Returns the problem with an option, named as in Python instead of on a command line."""
    return FLAG.sub(lambda found: str(found[1]).replace("-", "_"), problem).replace("; see --help", "")


def tell(models: Models, photo: str) -> list[Row]:
    """Returns a photo's rows, one a style.

    Raises:
        StoryError: the photo cannot be read, or a network failed on it.
    """
    return whole(tell_batch(models, [see(models, photo)]))


def see(
    models: Models, photo: str, styles: tuple[str, ...] | None = None, content: bytes | None = None
) -> tuple[Photo, np.ndarray]:
    """Reads a photo; returns it and its feature vector `[F]`.

    Args:
        models: the models.
        photo: path or URI.
        styles: styles that the photo wants; None is all of the models'.
        content: bytes of the photo's file; None to read them.

    Raises:
        StoryError: the photo cannot be read, or the network failed on it.
    """
    steps = models.photo_steps()
    loaded = load_photo(photo, steps.load, tuple(steps.styles) if styles is None else styles, content)
    (pair,) = whole(extract_features(steps.features, [loaded]))
    return pair


def tell_batch(models: Models, photos: Sequence[tuple[Photo, np.ndarray]]) -> list[Row | StoryError]:
    """Returns the rows of photos that the networks see at once, one a photo and style, from feature vectors `[F]`.

    Errors of photos without captions come first, one a photo; other errors take the place of missing stories.

    Raises:
        StoryError: the captions cannot be encoded.
    """
    matched, errors = split_errors(find_captions(models.steps, photos))
    means = mean_vectors(SentenceVectors(models.steps), matched)
    return [*errors, *decode_stories(models.steps, shift_styles(models.steps, means))]
