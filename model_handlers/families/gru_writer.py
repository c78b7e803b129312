"""Caption writers `gru`: a recurrent language model that starts from a photo's joint embedding."""

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from model_handlers.families.entry import PackFiles
from model_handlers.families.gru_decoder import GruEntry, GruNetwork
from model_handlers.families.protocols import CaptionWriterEntry
from model_handlers.nets.beams import FORBIDDEN
from model_handlers.nets.front import Hypothesis
from model_handlers.nets.search import beam_search
from model_handlers.nets.story_decoder import END, START
from model_handlers.tensors import on_device

BEAM_WIDTH = 5  # minimum; more captions widen the beam
MOST_WORDS = 24  # maximum in a written caption, including its end
UNWRITTEN = START  # in place of words after the end
COSTED = 128  # captions whose costs are computed together


class GruWriter(GruNetwork):
    """Decoder that starts from a photo's joint embedding."""

    @torch.inference_mode()
    def write(self, photos: torch.Tensor, count: int) -> list[list[str]]:
        """Returns captions for each photo without duplicates.

        Args:
            photos: joint embeddings `[N, J]` of unit length.
            count: minimum number of captions for each photo, if the search finds as many.
        """
        states = self.net.initial_state(photos.float()).float()  # [N, H]
        with self.steps.one() as step:
            searches = beam_search(step, states, max(BEAM_WIDTH, count), MOST_WORDS)
        return [self._texts(hypotheses) for hypotheses in searches]

    @torch.inference_mode()
    def costs(self, photos: torch.Tensor, texts: Sequence[str]) -> list[float]:
        """Returns each caption's cost per word in nats, including its end, as a caption of its photo `[K, J]`.

        Captions of similar lengths are computed together.
        """
        photos = photos.float()  # [K, J]
        rows = [torch.tensor(self.vocabulary.encode(text)) for text in texts]
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        costs = [0.0] * len(rows)
        for start in range(0, len(order), COSTED):
            places = order[start : start + COSTED]
            padded = pad_sequence(
                [rows[place] for place in places], batch_first=True, padding_value=UNWRITTEN
            )  # [n, T]
            words = on_device(padded, photos.device)  # [n, T]
            written = words != UNWRITTEN  # [n, T]
            likely = self.net(photos[places], words).float().log_softmax(dim=2)  # [n, T, V]
            said = likely.gather(2, words.clamp(min=0)[..., None]).squeeze(2)  # [n, T]
            means = -(said * written).sum(dim=1) / written.sum(dim=1)  # [n]
            for place, cost in zip(places, means.tolist(), strict=True):
                costs[place] = cost
        return costs

    def _texts(self, hypotheses: Sequence[Hypothesis]) -> list[str]:
        """Returns a search's captions without duplicates; unfinished captions only if none was finished."""
        words = [one.words for one in hypotheses if one.cost < FORBIDDEN and one.words != (END,)]  # none contains UNK
        ended = [some[:-1] for some in words if some[-1] == END]
        return list(dict.fromkeys(self.vocabulary.decode(some) for some in ended or words))


class GruWriterEntry(GruEntry, CaptionWriterEntry):
    """Card entry for a recurrent caption writer."""

    def open(self, files: PackFiles, device: torch.device, precision: str = "float32") -> GruWriter:
        """Returns the writer, ready on the device, for one of PRECISIONS."""
        return GruWriter(self.load(files, device, precision), self.words(files), device)
