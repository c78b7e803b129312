"""The GPU handler that writes captions of a photo, and puts them beside its nearest ones."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from model_handlers.captions import CaptionEmbedder, CaptionIndex, Matches, check_features, open_index
from model_handlers.components import build_caption_writer
from model_handlers.consensus import Consensus
from model_handlers.handler import PackHandler, Placement, on_device
from model_handlers.nets.beams import FORBIDDEN
from model_handlers.nets.front import Hypothesis
from model_handlers.nets.graphs import GraphedStep
from model_handlers.nets.search import beam_search
from model_handlers.nets.story_decoder import END, START, StoryDecoder
from model_handlers.packs import Pack
from model_handlers.precision import lowered
from model_handlers.words import Vocabulary

BEAM_WIDTH = 5  # at least; more captions widen the beam
MOST_WORDS = 24  # of a written caption, its end counted
NEAREST = 12  # captions of the index, at least, that are ranked with the written ones
NEIGHBOURS = 60  # captions of the index that say what a photo's captions agree on
UNWRITTEN = START  # in place of words behind the end
FLUENCY = 0.15  # similarity that one nat a word costs a caption
AGREEMENT = 0.8  # similarity that full agreement with the neighbours is worth to a caption


@dataclass
class CaptionWriter:
    """A decoder that a photo's joint embedding starts, and the joint embedding that ranks what it writes."""

    net: StoryDecoder
    vocabulary: Vocabulary
    embedder: CaptionEmbedder
    step: GraphedStep = field(init=False)

    def __post_init__(self) -> None:
        self.step = GraphedStep(self.net.step, self.embedder.device)

    @torch.inference_mode()
    def write(self, photos: torch.Tensor, count: int) -> list[Matches]:
        """Returns each photo's written captions, none twice, best first; see `rank`.

        Args:
            photos: joint embeddings `[N, J]` of unit length, in float64.
            count: captions a photo; a search that found fewer gives all.
        """
        states = self.net.initial_state(photos.float()).float()  # [N, H]
        with self.step.alone():
            searches = beam_search(self.step, states, max(BEAM_WIDTH, count), MOST_WORDS)
        texts = [self._texts(hypotheses) for hypotheses in searches]
        places = {text: place for place, text in enumerate(dict.fromkeys(text for row in texts for text in row))}
        embeddings = torch.from_numpy(self.embedder.embed(list(places))).double()  # [U, J]
        written = []
        for row, photo, near in zip(texts, photos, photos.cpu(), strict=True):
            similarities = embeddings[[places[text] for text in row]] @ near  # [K]
            written.append(self.rank(photo, zip(row, similarities.tolist(), strict=True), count))
        return written

    @torch.inference_mode()
    def rank(
        self,
        photo: torch.Tensor,
        matches: Iterable[tuple[str, float]],
        count: int,
        agreement: Callable[[str], float] = lambda caption: 0.0,
    ) -> Matches:
        """Returns the `count` best matches, each caption once, the first of equals first.

        Best is a high similarity, less a little for what the writer finds unlikely of this photo, and more for what
        other captions say too: similarity alone chooses odd sentences that happen to lie near, likelihood alone those
        that fit any photo.

        Args:
            photo: its joint embedding `[J]` of unit length, in float64.
            matches: captions with their similarities.
            count: matches wanted.
            agreement: of a caption with those near to the photo, from 0 to 1.
        """
        similarities: dict[str, float] = {}
        for caption, similarity in matches:
            similarities.setdefault(caption, similarity)
        costs = self._costs(photo, list(similarities))
        worth = {
            caption: similarity - FLUENCY * cost + AGREEMENT * agreement(caption)
            for (caption, similarity), cost in zip(similarities.items(), costs, strict=True)
        }
        order = sorted(worth, key=lambda caption: -worth[caption])
        return Matches((caption, similarities[caption]) for caption in order[:count])

    def _costs(self, photo: torch.Tensor, texts: Sequence[str]) -> list[float]:
        """Returns the cost a word of each caption, its end counted; a photo's are computed apart from other photos'."""
        if not texts:
            return []
        rows = [torch.tensor(self.vocabulary.encode(text)) for text in texts]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=UNWRITTEN)  # [K, T]
        words = on_device(padded, photo.device)  # [K, T]
        written = words != UNWRITTEN  # [K, T]
        logits = self.net(photo.float().expand(len(rows), -1), words).float()  # [K, T, V]
        likely = logits.log_softmax(dim=2).gather(2, words.clamp(min=0)[..., None]).squeeze(2)  # [K, T]
        return (-(likely * written).sum(dim=1) / written.sum(dim=1)).tolist()

    def _texts(self, hypotheses: Sequence[Hypothesis]) -> list[str]:
        """Returns what a search wrote, none twice; captions that did not come to their end only where no other did."""
        words = [one.words for one in hypotheses if one.cost < FORBIDDEN and one.words != (END,)]  # none holds UNK
        ended = [some[:-1] for some in words if some[-1] == END]
        return list(dict.fromkeys(self.vocabulary.decode(some) for some in ended or words))


@dataclass
class Captioner:
    """A caption writer, and the caption index where nearest captions are wanted too."""

    writer: CaptionWriter
    index: CaptionIndex | None

    @cached_property
    def consensus(self) -> Consensus:
        """What the captions of the index have in common."""
        return Consensus(self.index.captions if self.index else [])


class WriterHandler(PackHandler[np.ndarray, Matches, Captioner]):
    """Written captions, alone or merged with the nearest ones, from feature vectors `[F]`; best first.

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
        return (self.retrieve,)

    def appetite(self) -> tuple[Any, ...]:
        return (self.count, self.written)

    def build(self, pack: Pack, device: torch.device) -> Captioner:
        entry, embedder = pack.component("caption_writer"), CaptionEmbedder(pack, device)
        vocabulary = Vocabulary(pack.json(entry["vocabulary"]), entry["n_words"])
        net = lowered(build_caption_writer(pack, device), self.placement.precision)
        writer = CaptionWriter(net, vocabulary, embedder)
        return Captioner(writer, open_index(pack, embedder) if self.retrieve else None)

    def infer(self, batch: Sequence[np.ndarray], model: Captioner) -> list[Matches | Exception]:
        features = check_features(batch, model.writer.embedder)  # [N, F]
        photos = model.writer.embedder.embed_photos(features)  # [N, J]
        written = model.writer.write(photos, self.written)
        merged = [Matches(own[: self.count]) for own in written]
        if model.index:
            nearest = model.index.search(features, max(self.count, NEIGHBOURS))
            for place, (photo, near, own) in enumerate(zip(photos, nearest, written, strict=True)):
                agreement = model.consensus.among([caption for caption, _ in near[:NEIGHBOURS]])
                candidates = [*near[: max(self.count, NEAREST)], *own]
                merged[place] = model.writer.rank(photo, candidates, self.count, agreement)
        return [matches or ValueError("the caption writer wrote no word of this photo") for matches in merged]
