"""Passages of books with which a story can continue; a style keeps them for the shift `nearest`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import fsspec
import numpy as np
from tqdm import tqdm

from model_handlers.covariances import apart_from_mean
from model_handlers.nets.tokeniser import tokenise
from pipelines.corpora.lexicon import HER
from pipelines.corpora.protagonists import PROTAGONIST, with_protagonist
from pipelines.corpora.texts import book_paragraphs, split_sentences

SHORTEST, LONGEST = 32, 60  # words of a passage
CONSIDERED = 30_000  # passages of a style that are encoded, at most
VOTES = 2  # passages that a photo calls near
FEW = 100  # where fewer passages stand alone, all that have the length are taken


@dataclass(frozen=True)
class StoryPassage:
    """A passage of a book.

    Attributes:
        words: in lower case, with PROTAGONIST for the one person whom it names.
        book: the place of its book.
    """

    words: tuple[str, ...]
    book: int

    @property
    def about_a_woman(self) -> bool:
        """Whether PROTAGONIST is a woman."""
        return not HER.isdisjoint(self.words)

    def said(self) -> str:
        """Returns the passage as it is encoded, with a man or a woman for PROTAGONIST."""
        protagonist = "the woman" if self.about_a_woman else "the man"
        return " ".join(protagonist if word == PROTAGONIST else word for word in self.words)


def proper_names(books: Sequence[Sequence[str]]) -> frozenset[str]:
    """Returns the words, in lower case, that books write with a capital more than twice as often as without."""
    capital: Counter[str] = Counter()
    plain: Counter[str] = Counter()
    for book in books:
        for paragraph in book:
            for word in paragraph.split()[1:]:
                (plain if word[:1].islower() else capital)[word.lower()] += 1
    return frozenset(word for word, count in capital.items() if word[:1].isalpha() and count > 2 * plain[word])


def cut_passages(books: Sequence[Sequence[str]]) -> list[StoryPassage]:
    """Returns the passages of books that make sense by themselves, each once.

    Args:
        books: paragraphs of cased tokens joined by spaces.
    """
    names = proper_names(books)
    found: dict[tuple[str, ...], int] = {}
    for place, book in enumerate(tqdm(books, desc="passages", unit="book", mininterval=2)):
        for paragraph in book:
            for words in _standing_alone(split_sentences(paragraph.split()), names):
                found.setdefault(tuple(words), place)
    return [StoryPassage(words, place) for words, place in found.items()]


def _standing_alone(sentences: Sequence[Sequence[str]], names: frozenset[str]) -> Iterator[list[str]]:
    """Yields runs of whole sentences of a paragraph that stand alone; none shares a sentence with another."""
    first = 0
    while first < len(sentences):
        last = _run(sentences, first)
        told = (
            with_protagonist([word for sentence in sentences[first:last] for word in sentence], names) if last else None
        )
        if told:
            yield told
        first = last if told and last else first + 1


def _run(sentences: Sequence[Sequence[str]], first: int) -> int | None:
    """Returns where a run of sentences ends that is long enough; None where there is none."""
    words = 0
    for place in range(first, len(sentences)):
        words += len(sentences[place])
        if words >= SHORTEST:
            return place + 1 if words <= LONGEST else None
    return None


def read_books(files: Sequence[str], by_line: bool) -> list[list[str]]:
    """Returns the paragraphs of text files as cased tokens joined by spaces.

    Args:
        files: URIs of UTF-8 texts.
        by_line: each line is a paragraph; otherwise blank lines part them.
    """
    books = []
    for uri in tqdm(files, desc="books", unit="book", mininterval=2):
        with fsspec.open(uri, "rb") as file:
            text = file.read().decode("utf-8-sig", "replace").replace("\r\n", "\n")
        lines = (" ".join(tokenise(line)) for line in text.splitlines() if line.strip())
        books.append(list(lines if by_line else book_paragraphs(text)))
    return books


def passages_to_keep(books: Sequence[Sequence[str]]) -> list[str]:
    """Returns the passages of books from which a style's are chosen, evenly over the books where they are many.

    Where next to none stands alone (poems, speech, diaries), all texts of up to LONGEST words stand in.
    """
    passages = [passage.said() for passage in cut_passages(books)]
    if len(passages) < FEW:
        passages += [" ".join(words) for book in books for words in _any_runs(book)]
    passages = list(dict.fromkeys(passages))
    places = np.linspace(0, len(passages) - 1, min(CONSIDERED, len(passages)), dtype=int)
    return [passages[place] for place in places]


def _any_runs(book: Sequence[str]) -> Iterator[list[str]]:
    for paragraph in book:
        words = paragraph.lower().split()
        yield from (words[first : first + LONGEST] for first in range(0, len(words), LONGEST))


def choose(vectors: np.ndarray, photos: np.ndarray, count: int) -> np.ndarray:
    """Returns the places of up to `count` passages, those that are among the nearest to most photos.

    Args:
        vectors: of passages `[P, S]`.
        photos: what photos' mean vectors differ from the caption style `[N, S]`.
        count: passages wanted.
    """
    few = min(VOTES, len(vectors))
    nearest = np.argpartition(-(photos @ apart_from_mean(vectors).T), few - 1, axis=1)[:, :few]  # [N, few]
    votes = np.bincount(nearest.reshape(-1), minlength=len(vectors))  # [P]
    return np.sort(np.argsort(-votes, kind="stable")[:count])
