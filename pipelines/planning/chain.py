"""All steps of the main job, one after the other without a pipeline, and the time that each takes."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler

from pipelines.nightly.selection import Task, allowed, feature_photo
from pipelines.telling.one_photo import Models, StoryError, run_handler, vectors_of
from transforms.encode_sentences import VectorTable, look_up_in, mean_vector
from transforms.load_images import load_photos, read_batch
from transforms.records import DeadLetter, Listing, Matched, Photo, StoryRequest
from transforms.retrieve_captions import match_captions
from transforms.rows import Row, story_row
from transforms.shift_style import shift_each_style


@dataclass
class Group:
    """The times of a few photos that went through the steps together.

    Attributes:
        photos: that began.
        seconds: of each stage, a photo: or for stories, one that is to be told in the style.
    """

    photos: int
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def clock(self, stage: str, photos: int | None = None) -> Iterator[None]:
        """Takes the time of a stage, and shares it among photos: by default those that began."""
        begun = time.perf_counter()
        yield
        self.seconds[stage] = (time.perf_counter() - begun) / (photos or self.photos)


class Encoded(dict[str, np.ndarray]):
    """Sentence vectors `[S]` by caption, as a table of them."""

    def holds(self, caption: str) -> bool:
        """Tells whether the caption has a vector here."""
        return caption in self

    def look_up(self, captions: Sequence[str]) -> np.ndarray:
        """Returns the captions' sentence vectors `[K, S]`."""
        return np.stack([self[caption] for caption in captions])  # [K, S]


class Chain:
    """The steps, as a run takes them.

    Args:
        models: of the run.

    Attributes:
        encoded: captions that were met before; a run encodes each once.
        failures: (stage, error) of photos that dropped out, counted; those of one style too.
        dropped: photos that dropped out.
        rows: stories that were told.
    """

    def __init__(self, models: Models) -> None:
        self.models = models
        self.parts = models.parts
        self.encoded = Encoded()
        self.failures: Counter[tuple[str, str]] = Counter()
        self.dropped: set[str] = set()
        self.rows: list[Row] = []

    def run(self, tasks: Sequence[Task]) -> Group:
        """Returns the times of a few photos."""
        group = Group(len(tasks))
        if self.parts.load is None:
            features = [feature_photo((listing, feature)) for listing, feature in tasks if feature is not None]
        else:
            features = self._look(group, [listing for listing, _ in tasks])
        with group.clock("captions"):
            found = self._infer(self.parts.captions, "captions", features)
            matched = [match_captions(pair) for pair in found]
        with group.clock("sentences"):
            means = self._average(matched)
        wanted = Counter(style for listing, _ in tasks for style in listing.styles)
        for style in self.models.settings.styles:
            if wanted[style]:
                with group.clock(f"story {style}", wanted[style]):
                    self._tell(style, means)
        return group

    def _look(self, group: Group, listings: list[Listing]) -> list[tuple[Photo, np.ndarray]]:
        """Returns the photos with their feature vectors `[F]`."""
        load, handler, config = self.parts.load, self.parts.features, self.models.settings.config
        assert load is not None and handler is not None
        with group.clock("read"):
            contents = list(read_batch(listings, load.max_bytes, allowed(config)))
        pixels = []
        with group.clock("decode"):
            for loaded in load_photos(contents, load.settings):
                if isinstance(loaded, DeadLetter):
                    self._drop(loaded.uri, loaded.stage, loaded.error)
                else:
                    pixels.append(loaded)
        with group.clock("features"):
            return self._infer(handler, "features", pixels)

    def _infer(self, handler: ModelHandler, stage: str, items: Sequence[tuple[Photo, Any]]) -> list[tuple[Photo, Any]]:
        """Returns the photos with the handler's results; those without one drop out."""
        kept = []
        for (photo, _), result in zip(items, run_handler(handler, stage, items), strict=True):
            if isinstance(result, StoryError):
                self._drop(photo.uri, stage, type(result.__cause__).__name__)
            else:
                kept.append((photo, result))
        return kept

    def _drop(self, uri: str, stage: str, error: str) -> None:
        self.failures[stage, error] += 1
        self.dropped.add(uri)

    def _average(self, matched: Sequence[Matched]) -> list[tuple[Matched, np.ndarray]]:
        """Returns the photos with their mean sentence vectors `[S]`; each caption is encoded once."""
        captions = dict.fromkeys(match.caption for one in matched for match in one.captions)
        tables: list[VectorTable] = [self.encoded] if self.parts.table is None else [self.parts.table, self.encoded]
        fresh = [caption for caption in captions if not any(table.holds(caption) for table in tables)]
        if fresh:
            self.encoded |= zip(fresh, vectors_of(self.parts, fresh), strict=True)
        return [(one, mean_vector(look_up_in(tables, [match.caption for match in one.captions]))) for one in matched]

    def _tell(self, style: str, means: Sequence[tuple[Matched, np.ndarray]]) -> None:
        """Tells the stories of photos in one style."""
        parts = self.parts
        styles = {style: parts.styles[style]}
        shifted: list[tuple[StoryRequest, np.ndarray]] = []
        for matched, vector in means:
            if style in matched.photo.styles:
                one = replace(matched, photo=replace(matched.photo, styles=(style,)))
                shifted += shift_each_style((one, vector), styles, parts.strength, parts.alone)
        told = run_handler(parts.stories, "story", [(request.photo, vector) for request, vector in shifted])
        for (request, _), passage in zip(shifted, told, strict=True):
            if isinstance(passage, StoryError):
                self._drop(request.photo.uri, "story", type(passage.__cause__).__name__)
            else:
                self.rows.append(story_row((request, passage), parts.told_by))
