"""The skip-thought sentence encoder of Kiros et al. (2015): uni-skip, bi-skip, or both side by side."""

import torch
from torch import Tensor, nn

from model_handlers.nets.gru import last_state, reverse_sequences


def sentence_width(uni: int, bi: int) -> int:
    """Returns S, the width of a sentence vector, from the state widths of the two parts; 0 leaves a part out."""
    return uni + 2 * bi


class SkipThoughts(nn.Module):
    """Turns the word vectors of sentences into skip-thought vectors (SPEC section 7).

    Args:
        dim_word: W, width of a word vector.
        uni: state width of the forward encoder; 0 leaves it out.
        bi: state width of each of the two encoders of the bidirectional part; 0 leaves it out.

    Raises:
        ValueError: both parts are left out.
    """

    def __init__(self, dim_word: int, uni: int = 0, bi: int = 0) -> None:
        super().__init__()
        if not uni and not bi:
            raise ValueError("a skip-thought encoder needs a uni part, a bi part or both")
        self.dim = sentence_width(uni, bi)
        self.uni = nn.GRU(dim_word, uni, batch_first=True) if uni else None
        self.bi_forward = nn.GRU(dim_word, bi, batch_first=True) if bi else None
        self.bi_reverse = nn.GRU(dim_word, bi, batch_first=True) if bi else None

    def forward(
        self, uni_words: Tensor | None, bi_words: Tensor | None, lengths: Tensor, normalise: bool = True
    ) -> Tensor:
        """Returns sentence vectors `[N, S]`, S = uni + 2 bi.

        Args:
            uni_words: word vectors of the uni part `[N, T, W]`, padded at the end; None without that part.
            bi_words: word vectors of the bi part `[N, T, W]`; None without that part.
            lengths: words of each sentence `[N]`, at least 1.
            normalise: divide the uni part and the bi part each by its own L2 norm.
        """
        parts = []
        if self.uni is not None and uni_words is not None:
            parts.append(last_state(self.uni, uni_words, lengths))  # [N, uni]
        if self.bi_forward is not None and self.bi_reverse is not None and bi_words is not None:
            forward = last_state(self.bi_forward, bi_words, lengths)  # [N, bi]
            reverse = last_state(self.bi_reverse, reverse_sequences(bi_words, lengths), lengths)  # [N, bi]
            parts.append(torch.cat([forward, reverse], dim=1))  # [N, 2bi]
        if normalise:
            parts = [part / part.norm(dim=1, keepdim=True) for part in parts]  # each [N, its width]
        return torch.cat(parts, dim=1)  # [N, S]
