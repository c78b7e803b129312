"""The GPU handler that writes captions of a photo, and puts them beside its nearest ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from model_handlers.captions import CaptionIndex, Matches, check_features, open_index
from model_handlers.consensus import Consensus
from model_handlers.families.protocols import CaptionWriter, JointEmbedder
from model_handlers.handler import PackHandler, Placement
from model_handlers.pack import Pack

NEAREST = 12  # captions of the index, at least, that are ranked with the written ones
NEIGHBOURS = 60  # captions of the index that say what a photo's captions agree on
FLUENCY = 0.15  # similarity that one nat a word costs a caption
AGREEMENT = 0.8  # similarity that full agreement with the neighbours is worth to a caption


Costs = list[dict[str, float]]
"""For each photo the cost a word, in nats, of captions."""


@dataclass
class RankedWriter:
    """A caption writer, and the joint embedding that ranks what it writes."""

    writer: CaptionWriter
    embedder: JointEmbedder

    @torch.inference_mode()
    def write(self, photos: torch.Tensor, count: int, costs: Costs | None = None) -> list[Matches]:
        """Returns each photo's written captions, none twice, best first; see `rank`.

        Args:
            photos: joint embeddings `[N, J]` of unit length, in float64.
            count: captions a photo; a search that found fewer gives all.
            costs: as `rank` takes them.
        """
        texts = self.writer.write(photos, count)
        places = {text: place for place, text in enumerate(dict.fromkeys(text for row in texts for text in row))}
        embeddings = torch.from_numpy(self.embedder.embed(list(places))).double()  # [U, J]
        matches = []
        for row, photo in zip(texts, photos.cpu(), strict=True):
            similarities = embeddings[[places[text] for text in row]] @ photo  # [K]
            matches.append(Matches(zip(row, similarities.tolist(), strict=True)))
        return self.rank(photos, matches, count, costs=costs)

    @torch.inference_mode()
    def rank(
        self,
        photos: torch.Tensor,
        matches: Sequence[Sequence[tuple[str, float]]],
        count: int,
        agreements: Sequence[Callable[[str], float]] | None = None,
        costs: Costs | None = None,
    ) -> list[Matches]:
        """Returns each photo's `count` best matches, each caption once, the first of equals first.

        Best is a high similarity, less a little for what the writer finds unlikely of this photo, and more for what
        other captions say too. Similarity by itself chooses odd sentences that happen to lie near, and likelihood by
        itself those that fit any photo.

        Args:
            photos: joint embeddings `[N, J]` of unit length, in float64.
            matches: each photo's captions with their similarities.
            count: matches wanted.
            agreements: for each photo, of a caption with those near to it, from 0 to 1; by default 0.
            costs: each photo's captions whose cost a word is known; the others are added.
        """
        costs = costs or [{} for _ in matches]
        fresh = [
            (photo, text)
            for photo, (row, known) in enumerate(zip(matches, costs, strict=True))
            for text in dict.fromkeys(text for text, _ in row)
            if text not in known
        ]
        found = self.writer.costs(photos[[photo for photo, _ in fresh]], [text for _, text in fresh])
        for (photo, text), cost in zip(fresh, found, strict=True):
            costs[photo][text] = cost
        return [
            _best(row, costs[photo], count, agreements[photo] if agreements else None)
            for photo, row in enumerate(matches)
        ]


def _best(
    matches: Sequence[tuple[str, float]],
    costs: Mapping[str, float],
    count: int,
    agreement: Callable[[str], float] | None,
) -> Matches:
    """Returns one photo's best matches; see `RankedWriter.rank`."""
    similarities: dict[str, float] = {}
    for caption, similarity in matches:
        similarities.setdefault(caption, similarity)
    worth = {
        caption: similarity - FLUENCY * costs[caption] + AGREEMENT * (agreement(caption) if agreement else 0.0)
        for caption, similarity in similarities.items()
    }
    order = sorted(worth, key=lambda caption: -worth[caption])
    return Matches((caption, similarities[caption]) for caption in order[:count])


@dataclass
class Captioner:
    """A caption writer, and the caption index where nearest captions are wanted too."""

    writer: RankedWriter
    index: CaptionIndex | None

    @cached_property
    def consensus(self) -> Consensus:
        """What the captions of the index have in common."""
        return Consensus(self.index.captions if self.index else [])


class WriterHandler(PackHandler[np.ndarray, Matches, Captioner]):
    """Written captions, by themselves or merged with the nearest ones, from feature vectors `[F]`; best first.

    Args:
        placement: which pack, and where it runs.
        count: captions a photo, at least 1.
        written: how many of them are written, at most.
        retrieve: merge them with the nearest ones of the caption index.
        batch_size: photos of a batch.
    """

    def __init__(self, placement: Placement, count: int, written: int, retrieve: bool, batch_size: int = 64) -> None:
        super().__init__(placement, batch_size)
        self.count = count
        self.written = written
        self.retrieve = retrieve

    def variant(self) -> tuple[Any, ...]:
        """Returns what distinguishes this handler's model from others of its class and pack."""
        return (self.retrieve,)

    def memory_key(self) -> tuple[Any, ...]:
        """Returns what decides beside the model how much memory an item takes."""
        return (self.count, self.written)

    def build(self, pack: Pack, device: torch.device) -> Captioner:
        """Returns the writer, and the caption index where nearest captions are wanted too."""
        embedder = pack.joint_embedding.open(pack, device)
        writer = pack.caption_writer.open(pack, device, self.placement.precision)
        return Captioner(RankedWriter(writer, embedder), open_index(pack, embedder) if self.retrieve else None)

    def infer(self, batch: Sequence[np.ndarray], model: Captioner) -> list[Matches | Exception]:
        """Returns each photo's captions, best first, or an error where none was written."""
        features = check_features(batch, model.writer.embedder)  # [N, F]
        photos = model.writer.embedder.embed_photos(features)  # [N, J]
        costs: Costs = [{} for _ in batch]
        written = model.writer.write(photos, self.written, costs)
        merged = [Matches(own[: self.count]) for own in written]
        if model.index:
            nearest = model.index.search(features, max(self.count, NEIGHBOURS))
            agreements = [model.consensus.among([caption for caption, _ in near[:NEIGHBOURS]]) for near in nearest]
            few = max(self.count, NEAREST)
            candidates = [[*near[:few], *own] for near, own in zip(nearest, written, strict=True)]
            merged = model.writer.rank(photos, candidates, self.count, agreements, costs)
        return [matches or ValueError("the caption writer wrote no word of this photo") for matches in merged]
