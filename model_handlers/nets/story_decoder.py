"""The story decoder: a GRU language model that starts from a sentence vector (Kiros et al. 2015)."""

import torch
from torch import Tensor, nn

END, UNKNOWN, START = 0, 1, -1


class StoryDecoder(nn.Module):
    """Writes passages word by word; the sentence vector enters as the first state and nowhere else (SPEC section 9).

    Args:
        dim_context: S, width of a sentence vector.
        dim_word: W, width of a word vector.
        dim: H, width of the state.
        n_words: V, size of the vocabulary; id 0 ends a passage, id 1 is the unknown word.
        deep_output: put a tanh layer of width W between state and logits.
    """

    def __init__(self, dim_context: int, dim_word: int, dim: int, n_words: int, deep_output: bool) -> None:
        super().__init__()
        self.state = nn.Linear(dim_context, dim)
        self.word_vectors = nn.Embedding(n_words, dim_word)
        self.cell = nn.GRUCell(dim_word, dim)
        self.hidden = nn.Linear(dim, dim_word) if deep_output else None
        self.logits = nn.Linear(dim_word if deep_output else dim, n_words)

    def initial_state(self, context: Tensor) -> Tensor:
        """Returns the first state `[N, H]` from sentence vectors `[N, S]`."""
        return torch.tanh(self.state(context))  # [N, H]

    def output(self, state: Tensor) -> Tensor:
        """Returns logits `[..., V]` of the next word from states `[..., H]`."""
        logits: Tensor = self.logits(self.seen(state))  # [..., V]
        return logits

    def seen(self, state: Tensor) -> Tensor:
        """Returns the inputs `[..., H or W]` of the linear map to logits, from states `[..., H]`."""
        return state if self.hidden is None else torch.tanh(self.hidden(state))  # [..., H or W]

    def embed(self, words: Tensor) -> Tensor:
        """Returns word vectors `[..., W]` of ids `[...]`; the start, -1, is a vector of zeros."""
        vectors: Tensor = self.word_vectors(words.clamp(min=0))  # [..., W]
        return vectors * (words >= 0).unsqueeze(-1)  # [..., W]

    def step(self, words: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits `[N, V]` of the next words and the new states `[N, H]`, in the type of the states before.

        The type of the products does not matter.

        Args:
            words: ids of the previous words `[N]`, -1 at the start.
            state: `[N, H]`.
        """
        after = self.cell(self.embed(words), state).to(state.dtype)  # [N, H]
        return self.output(after).to(state.dtype), after

    def forward(self, context: Tensor, words: Tensor) -> Tensor:
        """Returns logits `[N, T, V]` for each word of the passages `[N, T]`, each after the true words before it."""
        start = torch.full_like(words[:, :1], START)  # [N, 1]
        inputs = self.embed(torch.cat([start, words[:, :-1]], dim=1))  # [N, T, W]
        states = self.run(inputs, self.initial_state(context))  # [N, T, H]
        return self.output(states)  # [N, T, V]

    def run(self, inputs: Tensor, state: Tensor) -> Tensor:
        """Returns the states `[N, T, H]` over word vectors `[N, T, W]` from the first state `[N, H]`."""
        cell = self.cell
        gru = torch._VF.gru  # one fused call over all steps with the cell's own weights
        weights = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
        states, _ = gru(inputs, state[None], weights, True, 1, 0.0, self.training, False, True)  # [N, T, H]
        return states
