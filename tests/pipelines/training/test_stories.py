"""Stories to learn from: clusters of contexts, openings without unknown words, and no early ends."""

import numpy as np
import torch

from model_handlers.nets.story_decoder import StoryDecoder
from pipelines.training.decoder import early_end_loss, sentence_starts
from pipelines.training.story_material import _known, clusters, long_enough
from pipelines.training.texts import Tokens


def test_contexts_that_lie_together_form_a_cluster() -> None:
    draw = np.random.default_rng(0)
    centres = np.asarray([[5, 0], [0, 5], [-5, -5]], np.float32)  # [3, 2]
    contexts = np.concatenate([centre + draw.normal(0, 0.1, (20, 2)).astype(np.float32) for centre in centres])
    found = clusters(contexts[draw.permutation(60)], 3), clusters(contexts, 3)[::20]
    assert len(set(found[1].tolist())) == len(set(found[0].tolist()))
    assert all(len(set(clusters(contexts, 3)[start : start + 20].tolist())) == 1 for start in (0, 20, 40))


def test_openings_with_unknown_words_give_way_to_the_own_caption() -> None:
    openings = Tokens.of([[5, 1], [6], [7], [8]])
    rows = np.asarray([[0, 1], [0, -1]])  # [2, 2]: the last two openings are the queries' own
    assert _known(rows, openings).tolist() == [[-1, 1], [3, -1]]


def test_a_sentence_starts_after_a_mark_but_not_at_the_end() -> None:
    ids, lengths = torch.tensor([[5, 2, 6, 2, 0], [5, 6, 2, 0, 0]]), torch.tensor([5, 4])  # [2, 5], [2]
    assert sentence_starts(ids, lengths, torch.tensor([2])).nonzero().tolist() == [[0, 2]]


def test_the_margin_before_an_early_end_counts_where_a_sentence_starts() -> None:
    decoder = StoryDecoder(2, 3, 4, 8, deep_output=True)
    torch.nn.init.zeros_(decoder.logits.weight)
    decoder.logits.bias.data = torch.tensor([1.0, 0, 0, 0, 0, 0, 6.0, 9.0])  # [8]
    ids, states = torch.tensor([[5, 2, 6, 7, 0]]), torch.randn(1, 5, 3)  # [1, 5], [1, 5, 3]
    starts = torch.tensor([[False, False, True, True, False]])  # [1, 5]
    assert early_end_loss(decoder, states, ids, starts, margin=7.0).item() == 1.0  # (7 - 5 + 0) / 2
    assert early_end_loss(decoder, states, ids, starts & False, margin=7.0).item() == 0.0


def test_short_passages_give_way_to_the_longest_of_their_cluster() -> None:
    rows, lengths = np.asarray([[0, 1, 2], [0, 3, 0]]), np.asarray([4, 20, 30, 9])  # [2, 3], [4]
    assert long_enough(rows, lengths, 16).tolist() == [[2, 1, 2], [3, 3, 3]]
