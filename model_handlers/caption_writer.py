"""GPU handler that writes captions of a photo and merges them with its nearest captions."""

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

NEAREST = 12  # minimum number of captions of the index that are ranked with the written ones
NEIGHBOURS = 60  # captions of the index that show what a photo's captions agree on
FLUENCY = 0.15  # similarity that a caption loses for each nat per word
AGREEMENT = 0.8  # similarity that a caption gains by full agreement with its neighbours


Costs = list[dict[str, float]]
"""For each photo, the cost per word of captions, in nats."""


@dataclass
class RankedWriter:
    """Caption writer with the joint embedding that ranks the captions it writes."""

    writer: CaptionWriter
    embedder: JointEmbedder

    @torch.inference_mode()
    def write(self, photos: torch.Tensor, count: int, costs: Costs | None = None) -> list[Matches]:
        """Returns each photo's written captions without duplicates, best first; see `rank`.

        Args:
            photos: joint embeddings `[N, J]` of unit length, in float64.
            count: captions for each photo; fewer if the search finds fewer.
            costs: costs as in `rank`.
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
        """Returns each photo's `count` best matches, each caption once; ties keep their order.

        The rank is the similarity, minus a little for captions that the writer finds unlikely for this photo, plus
        a bonus for agreement with other captions. Similarity by itself chooses odd sentences that happen to be near,
        and likelihood by itself chooses sentences that fit any photo.

        Args:
            photos: joint embeddings `[N, J]` of unit length, in float64.
            matches: each photo's captions with their similarities.
            count: number of matches.
            agreements: for each photo, a function that returns a caption's agreement with the nearest captions, from 0
                to 1; by default 0.
            costs: each photo's known costs of captions per word; missing ones are added.
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
    """Caption writer, with the caption index if nearest captions are merged too."""

    writer: RankedWriter
    index: CaptionIndex | None

    @cached_property
    def consensus(self) -> Consensus:
        """Agreement of the captions of the index."""
        return Consensus(self.index.captions if self.index else [])


class WriterHandler(PackHandler[np.ndarray, Matches, Captioner]):
    """Written captions from feature vectors `[F]`, optionally merged with the nearest ones; best first.

    Args:
        placement: the pack, and where it runs.
        count: captions for each photo, at least 1.
        written: maximum number of written captions among them.
        retrieve: merge them with the nearest ones of the caption index.
        batch_size: photos in a batch.
    """

    def __init__(self, placement: Placement, count: int, written: int, retrieve: bool, batch_size: int = 64) -> None:
        super().__init__(placement, batch_size)
        self.count = count
        self.written = written
        self.retrieve = retrieve

    def variant(self) -> tuple[Any, ...]:
        """Returns the part of the model's key that distinguishes it from others of its class and pack."""
        return (self.retrieve,)

    def memory_key(self) -> tuple[Any, ...]:
        """Returns what else, besides the model, decides how much memory an item takes."""
        return (self.count, self.written)

    def build(self, pack: Pack, device: torch.device) -> Captioner:
        """Returns the writer, with the caption index if nearest captions are merged too."""
        embedder = pack.joint_embedding.open(pack, device)
        writer = pack.caption_writer.open(pack, device, self.placement.precision)
        return Captioner(RankedWriter(writer, embedder), open_index(pack, embedder) if self.retrieve else None)

    def infer(self, batch: Sequence[np.ndarray], model: Captioner) -> list[Matches | Exception]:
        """Returns each photo's captions, best first, or an error if none was written."""
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
        return [matches or ValueError("the caption writer wrote no caption for this photo") for matches in merged]
