"""Measures how well a decoder predicts passages of unseen books from their own vectors, and from wrong ones."""

from argparse import Namespace
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from tqdm import tqdm

from configs.schema import ConfigError
from model_handlers.families.gru_decoder import GruDecoder
from model_handlers.nets.story_decoder import UNKNOWN, StoryDecoder
from model_handlers.stories import StoryHandler
from model_handlers.words import PackVocabulary
from pipelines.corpora.texts import padded
from pipelines.evaluation.book_texts import Book, read_books
from pipelines.evaluation.own_vectors import Decoding, open_decoding
from pipelines.evaluation.task import EvaluationTask, Figures, gather
from pipelines.evaluation.task_options import TASK_OPTIONS

_CELLS = 1024  # words of a piece, padding included; their logits over 28,000 words take 115 MB


def run(flags: Namespace) -> Figures:
    """Returns the perplexity per token with the passages' own vectors and with wrong ones, and the amounts of text.

    Tokens are those of the tokeniser (SPEC section 7) and the end of each passage. All words that the decoder does not
    know are one class; `unk_rate` is their share among the tokens without ends. `left_out` is the share of the books'
    tokens in sentences that are too long for a passage.

    Raises:
        ConfigError: the pack, the decoder or the texts are wrong.
    """
    decoding, books = gather(lambda: open_decoding(flags), lambda: read_books(flags))
    passages = draw_passages(books, flags.limit)
    if len(passages) < 2:
        raise ConfigError(["--texts: fewer than two passages; a wrong vector must come from another passage"])
    decoder = StoryHandler(decoding.placement, decoding.decoder, 1).load_model().get()
    assert isinstance(decoder, GruDecoder)  # see open_decoding
    ids = [encode(decoder.vocabulary, decoding, passage) for passage in passages]
    vectors = decoding.encoder().encode(passages, batch_size=flags.batch_size)  # [N, S]
    wrong = vectors[other_places(len(vectors))]  # [N, S]
    tokens = sum(map(len, ids))
    own_cost, wrong_cost = (text_costs(decoder.net, part, ids).sum() for part in (vectors, wrong))
    return {
        "perplexity": float(np.exp(own_cost / tokens)),
        "perplexity_wrong_vector": float(np.exp(wrong_cost / tokens)),
        "unk_rate": sum(text.count(UNKNOWN) for text in ids) / (tokens - len(ids)),
        "case": decoding.case,
        "decoder": decoding.decoder,
        "tokens": tokens,
        "passages": len(passages),
        "books": len(books),
        "left_out": left_out(books),
    }


def draw_passages(books: Sequence[Book], limit: int) -> list[str]:
    """Returns passages drawn evenly from all books until they hold `limit` tokens, ends included."""
    passages = [passage for book in books for passage in book.passages()]
    order = np.random.default_rng(0).permutation(len(passages))
    sizes = np.cumsum([len(passages[place]) + 1 for place in order])
    return [" ".join(passages[place]) for place in order[: int(np.searchsorted(sizes, limit)) + 1]]


def left_out(books: Sequence[Book]) -> float:
    """Returns the share of the books' tokens that are in no passage."""
    whole = sum(len(words) for book in books for part in book.paragraphs for words in part)
    return 1 - sum(len(passage) for book in books for passage in book.passages()) / whole


def encode(vocabulary: PackVocabulary, decoding: Decoding, passage: str) -> list[int]:
    """Returns the ids of a passage's tokens and of its end."""
    return vocabulary.encode(" ".join(decoding.tokens(passage)))


def other_places(count: int) -> np.ndarray:
    """Returns a random permutation of `count` places that moves every one of them."""
    order = np.random.default_rng(1).permutation(count)
    others = np.empty(count, np.int64)
    others[order] = np.roll(order, 1)
    return others


@torch.inference_mode()
def text_costs(net: StoryDecoder, vectors: np.ndarray, texts: Sequence[Sequence[int]]) -> np.ndarray:
    """Returns the summed negative log likelihood `[N]` of each text, given its vector.

    Args:
        net: story decoder.
        vectors: sentence vectors `[N, S]`.
        texts: ids of each text, its end included.
    """
    device = net.logits.weight.device
    costs = np.zeros(len(texts))  # [N]
    pieces = list(pieces_by_length([len(text) for text in texts]))
    for places in tqdm(pieces, desc="passages", unit="piece", leave=False):
        words, lengths = padded([np.asarray(texts[place]) for place in places], closing=False)  # [n, T], [n]
        ids = torch.from_numpy(words).to(device)  # [n, T]
        logits = net(torch.from_numpy(vectors[places]).to(device), ids)  # [n, T, V]
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none")  # [nT]
        inside = np.arange(words.shape[1]) < lengths[:, None]  # [n, T]
        costs[places] = (losses.view_as(ids).double().cpu().numpy() * inside).sum(axis=1)  # [n]
    return costs


def pieces_by_length(lengths: Sequence[int], cells: int = _CELLS) -> Iterator[np.ndarray]:
    """Yields places of texts of similar length, together at most `cells` words, padding included."""
    order = np.argsort(lengths, kind="stable")[::-1]  # [N]
    first = 0
    while first < len(order):
        wide = max(1, cells // lengths[order[first]])
        yield order[first : first + wide]
        first += wide


TASK = EvaluationTask(*TASK_OPTIONS["decoder"], run)
