"""Handler that turns captions and passages into sentence vectors."""

from collections.abc import Sequence

import numpy as np
import torch

from model_handlers.families.protocols import SentenceEncoder
from model_handlers.handler import PackHandler, Placement
from model_handlers.pack import Pack


class SentenceHandler(PackHandler[list[str], np.ndarray, SentenceEncoder]):
    """Sentence vectors `[n, S]` float32 from lists of n texts; each list is one element, batched by length."""

    def __init__(self, placement: Placement, batch_size: int = 1) -> None:
        super().__init__(placement, batch_size)

    def build(self, pack: Pack, device: torch.device) -> SentenceEncoder:
        """Returns the pack's sentence encoder."""
        return pack.sentence_encoder.open(pack, device)

    def infer(self, batch: Sequence[list[str]], model: SentenceEncoder) -> list[np.ndarray]:
        """Returns the sentence vectors `[n, S]` of each list."""
        return [model.encode(texts) for texts in batch]
