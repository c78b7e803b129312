"""Story decoders `gru`: a recurrent language model that starts from a sentence vector."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from model_handlers.families.entry import CardEntry, File, PackFiles, load_network
from model_handlers.families.protocols import DecoderEntry
from model_handlers.nets.front import Hypothesis
from model_handlers.nets.search import beam_search
from model_handlers.nets.search_rules import NO_RULES, Marks, SearchRules, ruled_search
from model_handlers.nets.search_steps import SearchSteps
from model_handlers.nets.story_decoder import StoryDecoder
from model_handlers.precision import lowered
from model_handlers.tensors import on_device
from model_handlers.words import PackVocabulary

SENTENCE_ENDS = (".", "!", "?")
CLOSING_QUOTES = ("''", '"', "'", "”", "’")


class GruEntry(CardEntry):
    """Card entry for a language model that starts from a vector: a story decoder or a caption writer.

    Attributes:
        dim_context: S or J, width of the vector.
        dim_word: W, width of a word vector.
        dim: H, width of the state.
        n_words: V, size of the vocabulary.
        deep_output: there is a tanh layer between state and logits.
        weights: file of the network's state.
        vocabulary: file of the words with their ids.
    """

    dim_context: int
    dim_word: int
    dim: int
    n_words: int
    deep_output: bool
    weights: File
    vocabulary: File

    @property
    def width(self) -> int:
        """S or J, the width of the vectors that it takes."""
        return self.dim_context

    def build(self) -> StoryDecoder:
        """Returns the module without its weights."""
        return StoryDecoder(self.dim_context, self.dim_word, self.dim, self.n_words, self.deep_output)

    def load(self, files: PackFiles, device: torch.device, precision: str = "float32") -> StoryDecoder:
        """Returns the module with the pack's weights."""
        return lowered(load_network(self.build, files, self.weights, device), precision)

    def words(self, files: PackFiles) -> PackVocabulary:
        """Returns the vocabulary."""
        return PackVocabulary(files.json(self.vocabulary), self.n_words)


@dataclass
class GruNetwork:
    """Language model that starts from a vector, with its vocabulary, on its device.

    Attributes:
        width: S or J, the width of the vectors that it takes.
    """

    net: StoryDecoder
    vocabulary: PackVocabulary
    device: torch.device
    steps: SearchSteps = field(init=False)
    width: int = field(init=False)

    def __post_init__(self) -> None:
        self.steps = SearchSteps(self.net, self.device)
        self.width = self.net.state.in_features


class GruDecoder(GruNetwork):
    """Story decoder."""

    @torch.inference_mode()
    def search(
        self,
        contexts: np.ndarray | torch.Tensor,
        beam_width: int,
        rules: SearchRules = NO_RULES,
        styles: np.ndarray | torch.Tensor | None = None,
        whole: bool = False,
    ) -> list[list[Hypothesis]]:
        """Returns each context's hypotheses in the order in which they finished.

        Args:
            contexts: shifted sentence vectors `[N, S]`.
            beam_width: number of hypotheses for each context.
            rules: rules of the search; the defaults are those of the original.
            styles: style vector of each context `[N, S]`; only contrast needs it.
            whole: continue after the winner is known, as the original's search does.
        """
        states = self._start(contexts)  # [N, H]
        style_states = None if styles is None else self._start(styles)  # [N, H]
        marks = Marks(self.vocabulary.ids(SENTENCE_ENDS), self.vocabulary.ids(CLOSING_QUOTES))
        with self.steps.one() as step:
            if rules.neutral:
                return beam_search(step, states, beam_width, whole=whole)
            return ruled_search(step, states, beam_width, rules, marks, style_states, whole)

    def _start(self, contexts: np.ndarray | torch.Tensor) -> torch.Tensor:
        return self.net.initial_state(on_device(contexts, self.device)).float()  # [N, H]

    def passage(self, words: Sequence[int]) -> str:
        """Returns the words of ids joined by spaces.

        Raises:
            ValueError: an id has no word.
        """
        return self.vocabulary.decode(words)


class GruDecoderEntry(GruEntry, DecoderEntry):
    """Card entry for a recurrent story decoder."""

    def open(self, files: PackFiles, device: torch.device, precision: str = "float32") -> GruDecoder:
        """Returns the decoder, ready on the device, for one of PRECISIONS."""
        return GruDecoder(self.load(files, device, precision), self.words(files), device)
