"""Measures what sentence vectors hold: the next sentence, the length, whether it is a question, the photo of a caption.

The first three are linear models, fitted on one half of the books and judged on the other half. Each figure comes with
the same one for the mean of the encoder's own word vectors.
"""

from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from model_handlers.families.entry import of_family
from model_handlers.families.protocols import SentenceEncoder
from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEncoder, SkipThoughtsEntry
from model_handlers.pack import Pack
from model_handlers.sentences import SentenceHandler
from pipelines.evaluation.book_texts import read_books
from pipelines.evaluation.linear import Labelled, probe
from pipelines.evaluation.photos import CaptionedPhoto, read_table, select
from pipelines.evaluation.readings import draw_pairs, draw_questions, halves, length_labels, next_sentence, same_photo
from pipelines.evaluation.task import EvaluationTask, Figures, check_extra, gather, open_for
from pipelines.evaluation.task_options import TASK_OPTIONS

Encode = Callable[[Sequence[str]], np.ndarray]
"""Returns vectors `[N, S]` of texts."""


def run(flags: Namespace) -> Figures:
    """Returns accuracies in percent, each with `mean_of_words` for comparison, and the recall of captions if given.

    Raises:
        ConfigError: the pack, the captions or the texts are wrong, or there are too few texts.
    """
    opened, books, photos, _ = gather(
        lambda: open_for(flags, ["sentence_encoder"]),
        lambda: read_books(flags),
        lambda: select(read_table(flags.captions), flags) if flags.captions else [],
        lambda: check_extra("sklearn"),
    )
    encoder = SentenceHandler(opened[1]).load_model().get()
    readers: dict[str, Encode] = {
        "accuracy": partial(encoder.encode, batch_size=flags.batch_size),
        "mean_of_words": WordMeans(opened[0], encoder),
    }
    pairs = [draw_pairs(half, flags.limit // 2) for half in halves(books)]
    marked = [draw_questions(half, flags.limit // 2) for half in halves(books)]
    lengths = length_labels(pairs)
    figures: Figures = {"next_sentence": {}, "length": {}, "question": {}}
    for name, encode in readers.items():
        vectors = [encode(half.texts) for half in pairs]  # each [U, S]
        figures["next_sentence"][name] = next_sentence(pairs, vectors)
        figures["next_sentence"][f"{name}_canonical"] = next_sentence(pairs, vectors, canonical=True)
        figures["length"][name] = probe(*map(Labelled, vectors, lengths))
        figures["question"][name] = probe(*(Labelled(encode(half.texts), half.labels) for half in marked))
    if photos:
        figures["same_photo"] = _same_photo(photos, readers["accuracy"])
        of_words = _same_photo(photos, readers["mean_of_words"])
        figures["same_photo"] |= {f"mean_of_words_{name}": value for name, value in of_words.items()}
    return figures


def _same_photo(photos: Sequence[CaptionedPhoto], encode: Encode) -> dict[str, float]:
    groups = np.repeat(np.arange(len(photos)), [len(photo.captions) for photo in photos])  # [K]
    return same_photo(groups, encode([caption for photo in photos for caption in photo.captions]))


class WordMeans:
    """Means of the encoder's own word vectors, in place of its sentence vectors."""

    def __init__(self, pack: Pack, encoder: SentenceEncoder) -> None:
        entry = of_family(pack.sentence_encoder, SkipThoughtsEntry, pack.location, "this task")
        self._tables = [pack.array(file) for file in entry.tables()]
        assert isinstance(encoder, SkipThoughtsEncoder)
        self._encoder = encoder

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Returns vectors `[N, W]` of texts, or `[N, 2W]` if the encoder has two tables."""
        rows = [self._encoder.rows(text) for text in texts]
        means = [[table[row].mean(axis=0, dtype=np.float32) for row in rows] for table in self._tables]
        return np.concatenate([np.stack(part) for part in means], axis=1)  # [N, W or 2W]


TASK = EvaluationTask(*TASK_OPTIONS["sentences"], run)
