"""Measures how well a decoder reproduces a sentence from the sentence's own vector, without a style shift."""

from argparse import Namespace
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from configs.schema import ConfigError, check_config
from model_handlers.stories import Passage, StoryHandler
from pipelines.evaluation.book_texts import Book, read_books, some
from pipelines.evaluation.content_words import shared_content
from pipelines.evaluation.own_vectors import Decoding, open_decoding
from pipelines.evaluation.photos import read_table, select
from pipelines.evaluation.task import EvaluationTask, Figures, check_extra, gather
from pipelines.evaluation.task_options import TASK_OPTIONS
from pipelines.telling.settings import choose

LEAST, MOST = 5, 15  # words in a sentence of a book


def run(flags: Namespace) -> Figures:
    """Returns BLEU-4 and the share of reproduced content words, in percent, of sentences of books and of captions.

    Texts are tokenised (SPEC section 7), with punctuation marks and in the decoder's case. A word that the decoder
    does not know counts as not reproduced. The search is that of the main job without its rules for stories.

    Raises:
        ConfigError: the pack, the decoder, the texts or the captions are wrong.
    """
    decoding, books, photos, _ = gather(
        lambda: open_decoding(flags),
        lambda: read_books(flags),
        lambda: select(read_table(flags.captions), flags) if flags.captions else [],
        lambda: check_extra("sacrebleu"),
    )
    beam_width = choose(decoding.pack, check_config({"beam_width": flags.beam_width})).beam_width
    texts = {"books": book_sentences(books, flags.limit)}
    if photos:
        texts["captions"] = some([caption for photo in photos for caption in photo.captions], flags.limit)
    handler = StoryHandler(decoding.placement, decoding.decoder, beam_width, batch_size=flags.batch_size)
    figures: Figures = {name: judge(part, decoding, handler) for name, part in texts.items()}
    counts = {f"{name}_texts": len(part) for name, part in texts.items()}
    return figures | {"case": decoding.case, "decoder": decoding.decoder, "beam_width": beam_width} | counts


def book_sentences(books: Sequence[Book], count: int) -> list[str]:
    """Returns sentences of the books, drawn evenly from all of them.

    Raises:
        ConfigError: no sentence has the right length.
    """
    sentences = [" ".join(words) for book in books for words in book.sentences(LEAST, MOST)]
    if not sentences:
        raise ConfigError([f"--texts: no sentence of {LEAST} to {MOST} words in {len(books)} books"])
    return some(sentences, count)


def judge(texts: Sequence[str], decoding: Decoding, handler: StoryHandler) -> dict[str, float]:
    """Returns BLEU-4 and the share of reproduced content words, in percent, of texts decoded from their own vectors."""
    vectors = decoding.encoder().encode(texts, batch_size=handler.batch_size)  # [N, S]
    wanted = [decoding.tokens(text) for text in texts]
    found = decode(vectors, [len(words) for words in wanted], handler)
    hits, content = np.sum([shared_content(*both) for both in zip(wanted, found, strict=True)], axis=0)
    return {"bleu": bleu(wanted, found), "content": float(100 * hits / max(1, content))}


def decode(vectors: np.ndarray, lengths: Sequence[int], handler: StoryHandler) -> list[list[str]]:
    """Returns the words that the decoder writes from each vector `[N, S]`; no words if its search finds nothing.

    Args:
        vectors: sentence vectors of texts.
        lengths: numbers of words in the texts; texts of similar length are searched together.
        handler: handler of the decoder.
    """
    found: list[list[str]] = [[] for _ in lengths]
    order = np.argsort(lengths, kind="stable")
    for first in tqdm(range(0, len(order), handler.batch_size), desc="texts", unit="batch", leave=False):
        places = order[first : first + handler.batch_size]
        passages = handler.run_inference(list(vectors[places]), handler.load_model())
        for place, passage in zip(places, passages, strict=True):
            found[place] = passage.passage.split() if isinstance(passage, Passage) else []
    return found


def bleu(wanted: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> float:
    """Returns the unsmoothed BLEU-4 of a corpus with one reference per text, in percent (Papineni et al. 2002)."""
    from sacrebleu import corpus_bleu

    texts, references = ([" ".join(words) for words in side] for side in (found, wanted))
    return float(corpus_bleu(texts, [references], smooth_method="none", tokenize="none", force=True).score)


TASK = EvaluationTask(*TASK_OPTIONS["reconstruction"], run)
