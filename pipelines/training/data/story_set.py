"""Stories to learn from, with the contexts that the decoder gets in use.

No corpus has stories of photos in the manner of a novel. They are composed here from a caption in the past tense and a
passage of a novel. The context of a story is made as in the main job with the shift `nearest`: the mean of the sentence
vectors of some or many captions nearest in the bank, minus the caption style, plus the passage's own vector.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.corpora.texts import Tokens
from pipelines.training.engine.whole_files import save_arrays

PROTAGONIST_ID = -1
"""Placeholder in a passage's ids for the person whom the story is about."""

RENAMED = {"heroes": "protagonists"}  # in files of trainings that an earlier version started


@dataclass(frozen=True)
class StorySet:
    """Openings, captions near the subject of each opening, and passages with their vectors.

    Attributes:
        bank: sentence vectors of the caption bank `[K, S]`, half precision.
        near: places in the bank of the captions nearest to each opening's photo or caption, best first `[Q, k]`.
        openings: ids of Q openings.
        captions: ids of the captions that the openings are made from.
        names: ids of the names that can replace PROTAGONIST_ID.
        protagonists: places in `names` of each opening's man and woman `[Q, 2]`.
        passages: ids with PROTAGONIST_ID.
        women: whether a passage's protagonist is a woman `[P]`.
        vectors: sentence vectors of the passages `[P, S]`, half precision.
        rows: places of each style's passages that are nearest to each opening `[styles, Q, passages]`.
        styles: style vectors `[styles, S]`.
        source: vector of the caption style `[S]`.
    """

    bank: np.ndarray
    near: np.ndarray
    openings: Tokens
    captions: Tokens
    names: Tokens
    protagonists: np.ndarray
    passages: Tokens
    women: np.ndarray
    vectors: np.ndarray
    rows: np.ndarray
    styles: np.ndarray
    source: np.ndarray

    def compose(self, query: int, place: int) -> np.ndarray:
        """Returns the ids of one story: an opening, then the passage at `place` with the opening's protagonist."""
        passage = self.passages[place]
        (blanks,) = np.nonzero(passage == PROTAGONIST_ID)
        name = self.names[self.protagonists[query, int(self.women[place])]]
        pieces = [self.openings[query]]
        for first, last in zip([0, *(blanks + 1)], [*blanks, len(passage)], strict=True):
            pieces += [passage[first:last], name]
        return np.concatenate(pieces[:-1])

    def context(self, query: int, count: int) -> np.ndarray:
        """Returns the mean sentence vector `[S]` of the `count` captions nearest to an opening's subject."""
        mean: np.ndarray = self.bank[self.near[query, :count]].mean(axis=0, dtype=np.float32)  # [S]
        return mean

    def save(self, path: Path) -> None:
        """Writes the arrays to one file."""
        arrays: dict[str, np.ndarray] = {}
        for name, value in vars(self).items():
            arrays |= (
                {f"{name}.ids": value.ids, f"{name}.starts": value.starts}
                if isinstance(value, Tokens)
                else {name: value}
            )
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> "StorySet":
        """Returns the set that `save` wrote."""
        with np.load(path) as arrays:
            packed = [name.removesuffix(".ids") for name in arrays.files if name.endswith(".ids")]
            values: dict[str, Any] = {name: Tokens(arrays[f"{name}.ids"], arrays[f"{name}.starts"]) for name in packed}
            values |= {RENAMED.get(name, name): arrays[name] for name in arrays.files if "." not in name}
            return cls(**values)
