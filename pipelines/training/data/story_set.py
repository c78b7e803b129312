"""Stories to learn from, with the contexts that the decoder will be given in use.

No corpus tells a photo's story in the manner of a novel. Each is put together here: a caption in the past tense and a
passage of a novel. Its context is made as the main job makes one by the shift `nearest`: from the mean of the sentence
vectors of the captions nearest in the bank, some or many, the caption style is taken out, and the passage's own vector
put in.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.corpora.texts import Tokens
from pipelines.training.engine.whole_files import save_arrays

PROTAGONIST_ID = -1
"""In a passage's ids, stands for whom the story is about."""

RENAMED = {"heroes": "protagonists"}  # in files of trainings that an earlier version began


@dataclass(frozen=True)
class StorySet:
    """Openings, captions near each opening's subject, and passages with their vectors.

    Attributes:
        bank: sentence vectors of the caption bank `[K, S]`, half precision.
        near: places in the bank of the captions nearest to each opening's photo or caption, best first `[Q, k]`.
        openings: ids of Q openings.
        captions: ids of the captions that they were.
        names: ids of what PROTAGONIST_ID can become.
        protagonists: the place in `names` of each opening's man and woman `[Q, 2]`.
        passages: ids with PROTAGONIST_ID.
        women: whether a passage's protagonist is a woman `[P]`.
        vectors: sentence vectors of the passages `[P, S]`, half precision.
        rows: the places of each style's passages that are nearest to each opening `[styles, Q, passages]`.
        styles: style vectors `[styles, S]`.
        source: the caption style `[S]`.
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
        """Returns the ids of one story: an opening, and the passage at a place with the opening's protagonist."""
        passage = self.passages[place]
        (blanks,) = np.nonzero(passage == PROTAGONIST_ID)
        name = self.names[self.protagonists[query, int(self.women[place])]]
        pieces = [self.openings[query]]
        for first, last in zip([0, *(blanks + 1)], [*blanks, len(passage)], strict=True):
            pieces += [passage[first:last], name]
        return np.concatenate(pieces[:-1])

    def context(self, query: int, count: int) -> np.ndarray:
        """Returns the mean sentence vector `[S]` of the captions nearest to an opening's subject."""
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
        """Returns what `save` wrote."""
        with np.load(path) as arrays:
            packed = [name.removesuffix(".ids") for name in arrays.files if name.endswith(".ids")]
            values: dict[str, Any] = {name: Tokens(arrays[f"{name}.ids"], arrays[f"{name}.starts"]) for name in packed}
            values |= {RENAMED.get(name, name): arrays[name] for name in arrays.files if "." not in name}
            return cls(**values)
