"""Captions and book passages of similar length, and a probe that learns to tell them apart."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from configs.schema import ConfigError
from pipelines.evaluation.scores import plain
from pipelines.evaluation.task import Figures
from transforms.average_texts import read_passages

MOST = 2000  # texts of each kind
FEWEST = 10
IN_A_BLOCK = 3  # consecutive captions, about 35 words
SHORTEST, LONGEST = 40, 100  # words of a passage
PENALTY = 1e-5  # factor of the squared weights, added to the mean loss per text

Item = TypeVar("Item")
Probe = Callable[[Sequence[str]], list[bool]]
"""Returns whether each text is of the first kind."""


def fit_probe(first: Sequence[str], second: Sequence[str]) -> Probe:
    """Returns a probe fitted to separate the texts of the first kind from those of the second.

    It is a logistic regression over the words and pairs of consecutive words that are in two texts or more. Words are
    separated by spaces. Each text is scaled to length 1, so that long texts weigh no more than short ones.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(lowercase=False, token_pattern=r"\S+", ngram_range=(1, 2), min_df=2, use_idf=False)
    texts, kinds = [*first, *second], [True] * len(first) + [False] * len(second)
    regression = LogisticRegression(C=1 / (2 * PENALTY * len(texts)), max_iter=1000)
    model = make_pipeline(words, regression).fit(texts, kinds)
    return lambda unseen: model.predict(unseen).tolist() if unseen else []


def caption_blocks(captions: Sequence[str]) -> list[str]:
    """Returns blocks of three consecutive captions as plain words; at most MOST blocks."""
    starts = range(0, len(captions) - IN_A_BLOCK + 1, IN_A_BLOCK)
    return [plain(" ".join(captions[start : start + IN_A_BLOCK])) for start in thin(starts, MOST)]


def book_passages(books: Sequence[str]) -> list[str]:
    """Returns passages of 40 to 100 plain words, evenly from all books; each starts at a paragraph.

    Args:
        books: URIs of UTF-8 text files.
    """
    lengths = np.random.default_rng(0)
    passages = []
    for book in books:
        for passage in thin(list(read_passages(book, SHORTEST)), -(-MOST // len(books))):
            passages.append(plain(" ".join(passage.split()[: lengths.integers(SHORTEST, LONGEST + 1)])))
    return thin(passages, MOST)


def thin(items: Sequence[Item], count: int) -> list[Item]:
    """Returns up to `count` of the items, evenly spaced."""
    places = np.linspace(0, len(items) - 1, count).round().astype(int) if len(items) > count else range(len(items))
    return [items[place] for place in places]


def learn(captions: Sequence[str], books: Sequence[str]) -> tuple[Probe, Figures]:
    """Returns a probe that classifies texts as novel (true) or caption, and its figures.

    It learns on four fifths of the passages of books and of as many blocks of captions. `accuracy` is the percentage
    of right answers on the last fifth of both: captions and parts of the books that it has not seen.

    Raises:
        ConfigError: there are too few captions or passages.
    """
    blocks, passages = caption_blocks(captions), book_passages(books)
    count = min(len(blocks), len(passages))
    if count < FEWEST:
        found = f"{len(blocks)} blocks of captions and {len(passages)} passages of books"
        raise ConfigError([f"--texts: {found} are too few for a probe, which needs {FEWEST} of each"])
    blocks, passages = thin(blocks, count), thin(passages, count)
    kept = count - count // 5
    probe = fit_probe(passages[:kept], blocks[:kept])
    right = [*probe(passages[kept:]), *(not novel for novel in probe(blocks[kept:]))]
    return probe, {"accuracy": 100 * float(np.mean(right)), "learned_on": 2 * kept, "judged_on": len(right)}
