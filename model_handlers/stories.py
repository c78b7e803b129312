"""GPU handler that decodes shifted sentence vectors into stories."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from model_handlers.families.protocols import Decoder
from model_handlers.handler import PackHandler, Placement
from model_handlers.nets.detokeniser import detokenise
from model_handlers.nets.front import Hypothesis
from model_handlers.nets.search import best_hypothesis, rank_hypotheses
from model_handlers.nets.search_rules import NO_RULES, SearchRules
from model_handlers.pack import Pack
from model_handlers.tensors import check_vectors


@dataclass(frozen=True)
class Passage:
    """Text that the decoder wrote: a passage of tokens, a readable story, and its cost (lower is better).

    Attributes:
        passage: decoded tokens joined by spaces.
        story: the passage in readable form.
        cost: summed negative log likelihood of the tokens and the end.
        words: number of tokens in the passage.
    """

    passage: str
    story: str
    cost: float
    words: int


def lyric_lines(passage: str) -> list[str]:
    """Returns the readable lines of a passage split at its commas (SPEC section 11).

    Two commas with a space between them give an empty line; empty text before the first or after the last comma gives
    none (the original crashed there).
    """
    return [detokenise(piece) for piece in passage.split(",") if piece]


class StoryHandler(PackHandler[np.ndarray, Passage, Decoder]):
    """Passages from shifted sentence vectors `[S]`, by the original's beam search over many photos at once.

    With contrast an element is `[2, S]`: the shifted vector and the style vector.

    Args:
        placement: the pack, and where it runs.
        decoder: name of one of the pack's decoders.
        beam_width: number of hypotheses for each photo, at least 1.
        lyric: split the story into lines at commas.
        batch_size: photos in a batch.
        rules: rules of the search; the defaults are those of the original.
    """

    def __init__(
        self,
        placement: Placement,
        decoder: str,
        beam_width: int,
        lyric: bool = False,
        batch_size: int = 32,
        rules: SearchRules = NO_RULES,
    ) -> None:
        super().__init__(placement, batch_size)
        self.decoder = decoder
        self.beam_width = beam_width
        self.lyric = lyric
        self.rules = rules

    def variant(self) -> tuple[Any, ...]:
        """Returns the part of the model's key that distinguishes it from others of its class and pack."""
        return (self.decoder,)

    def memory_key(self) -> tuple[Any, ...]:
        """Returns what else, besides the model, decides how much memory an item takes."""
        return (self.beam_width, self.rules.contrast > 0)

    def build(self, pack: Pack, device: torch.device) -> Decoder:
        """Returns the decoder."""
        return pack.decoder(self.decoder).open(pack, device, self.placement.precision)

    def infer(self, batch: Sequence[np.ndarray], model: Decoder) -> list[Passage | Exception]:
        """Returns each photo's passage, or an error if the search left none."""
        return [self.tell(hypotheses, model) for hypotheses in self._search(batch, model)]

    def ranked(self, vector: np.ndarray) -> list[tuple[Passage, float]]:
        """Returns all passages that a complete search finds for one element, best first, each with its cost.

        With contrast, which ranks passages by scores, each comes with its score instead.

        Raises:
            ValueError: the element is wrong.
        """
        model = self.load_model().get()
        with self.computing():
            (hypotheses,) = self._search([vector], model, whole=True)
        return [
            (self._passage(one, model), one.cost if one.score is None else one.score)
            for one in rank_hypotheses(hypotheses)
        ]

    def _search(self, batch: Sequence[np.ndarray], model: Decoder, whole: bool = False) -> list[list[Hypothesis]]:
        width = model.width
        styles = None
        if self.rules.contrast:
            shapes = {item.shape for item in batch} - {(2, width)}
            if shapes:
                raise ValueError(
                    f"contrast needs a shifted vector and its style vector, not an array of shape {shapes.pop()}"
                )
            styles = check_vectors([item[1] for item in batch], width, "style vector")  # [N, S]
            batch = [item[0] for item in batch]
        contexts = check_vectors(batch, width, "shifted sentence vector")  # [N, S]
        return model.search(contexts, self.beam_width, self.rules, styles, whole)

    def tell(self, hypotheses: list[Hypothesis], model: Decoder) -> Passage | Exception:
        """Returns the passage of the hypothesis with the lowest cost, or an error if the search left none."""
        best = best_hypothesis(hypotheses)
        if best is None:
            return ValueError("the decoder ended at once and the beam has no other passage; try a wider beam")
        return self._passage(best, model)

    def _passage(self, best: Hypothesis, model: Decoder) -> Passage:
        passage = model.passage(best.words[:-1])
        story = "\n".join(lyric_lines(passage)) if self.lyric else detokenise(passage)
        return Passage(passage, story, best.cost, len(best.words) - 1)
