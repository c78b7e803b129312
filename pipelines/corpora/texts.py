"""Training texts: captions, novels and their words, tokenised as the sentence encoder's input is at inference."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from model_handlers.nets.tokeniser import tokenise

END, UNKNOWN = 0, 1
_BLANK_LINES = re.compile(r"\n\s*\n")
_SPACE = re.compile(r"\s+")
_SENTENCE_ENDS = (".", "?", "!")
_CLOSING = ("''", "'", ")")


@dataclass(frozen=True)
class PhotoCaptions:
    """The captions of one photo of a training set."""

    image: str
    split: str
    captions: tuple[str, ...]


def normalise_caption(text: str, lower: bool = True) -> str:
    """Returns a caption in normal form: (lower-case) tokens with a full stop as the last token."""
    tokens = tokenise(" ".join((text.lower() if lower else text).split()).rstrip(" .") + ".")
    return " ".join(token for token in tokens if token not in ("``", "''"))


def read_photo_captions(path: Path) -> list[PhotoCaptions]:
    """Returns the photos of a tab-separated file with columns image, split and caption, in the file's order."""
    captions: dict[tuple[str, str], list[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            captions.setdefault((row["image"], row["split"]), []).append(normalise_caption(row["caption"]))
    return [PhotoCaptions(image, split, tuple(texts)) for (image, split), texts in captions.items()]


def read_captions(path: Path) -> list[str]:
    """Returns the normalised captions of a file with one caption a line, without empty ones."""
    with path.open(encoding="utf-8") as file:
        captions = [normalise_caption(line) for line in file if line.strip(" .\n")]
    return [caption for caption in captions if caption != "."]


def book_paragraphs(text: str, least: int = 40) -> Iterator[str]:
    """Yields the paragraphs of a book as cased tokens joined by spaces; headings and scraps are left out.

    Args:
        text: the book, its paragraphs parted by blank lines.
        least: characters of a paragraph.
    """
    for paragraph in _BLANK_LINES.split(text):
        line = _SPACE.sub(" ", paragraph.replace("_", "")).strip()
        if len(line) < least or line.upper() == line or not line.rstrip("\"')").endswith(_SENTENCE_ENDS):
            continue
        yield " ".join(tokenise(line))


def _tokenise_book(path: Path) -> list[str]:
    return list(book_paragraphs(path.read_text(encoding="utf-8", errors="replace")))


def tokenise_books(paths: Sequence[Path], output: Path, processes: int = 1) -> None:
    """Writes the paragraphs of the books to `output`, one a line, each book closed by an empty line.

    A file that is there already is left as it is.
    """
    if output.exists():
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    scratch = output.with_suffix(".part")
    with ProcessPoolExecutor(processes) as pool, scratch.open("w", encoding="utf-8") as file:
        for paragraphs in tqdm(pool.map(_tokenise_book, paths), total=len(paths), desc="books", unit="book"):
            file.writelines(f"{paragraph}\n" for paragraph in paragraphs)
            file.write("\n")
    scratch.rename(output)


def split_sentences(tokens: Sequence[str]) -> list[list[str]]:
    """Returns the sentences of a tokenised paragraph; each keeps its end mark and the quotes that close it."""
    sentences: list[list[str]] = []
    current: list[str] = []
    ended = False
    for token in tokens:
        if ended and token not in _CLOSING and token not in _SENTENCE_ENDS:
            sentences.append(current)
            current, ended = [], False
        current.append(token)
        ended = ended or token in _SENTENCE_ENDS
    return [*sentences, current] if current else sentences


def passages_of(
    paragraph: Sequence[str], least: int, most: int, share: np.random.Generator | None
) -> Iterator[list[str]]:
    """Yields runs of whole consecutive sentences of one paragraph, `least` to `most` words each.

    Args:
        paragraph: its tokens.
        least: words of a run.
        most: words of a run.
        share: draws the length that each run is to reach; None for the shortest runs, mostly single sentences.
    """
    current: list[str] = []
    wanted = _wanted(least, most, share)
    for sentence in split_sentences(paragraph):
        if len(current) + len(sentence) > most:
            if len(current) >= least:
                yield current
            current = []
        current = [*current, *sentence] if len(sentence) <= most else []
        if len(current) >= wanted:
            yield current
            current, wanted = [], _wanted(least, most, share)
    if len(current) >= least:
        yield current


def _wanted(least: int, most: int, share: np.random.Generator | None) -> int:
    return least if share is None else int(share.integers(least, most + 1))


class Vocabulary:
    """Words by id, from 2; 0 ends a text and 1 is the unknown word."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.ids = {word: place for place, word in enumerate(self.words, start=2)}

    @property
    def size(self) -> int:
        """Number of ids, V."""
        return len(self.words) + 2

    @classmethod
    def of_counts(cls, counts: Counter[str], size: int, least: float = 1) -> "Vocabulary":
        """Returns the vocabulary of the `size - 2` most frequent words that are counted `least` times or more."""
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return cls([word for word, count in ranked[: size - 2] if count >= least])

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a tokenised text, without the closing 0."""
        return [self.ids.get(word, UNKNOWN) for word in text.split()]

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the words of ids joined by spaces, up to the first 0."""
        words = []
        for place in ids:
            if place == END:
                break
            words.append("UNK" if place == UNKNOWN else self.words[place - 2])
        return " ".join(words)

    def pairs(self) -> list[list[object]]:
        """Returns `[word, id]` pairs as a model pack stores them."""
        return [[word, place] for word, place in self.ids.items()]


@dataclass(frozen=True)
class Tokens:
    """Many texts as one array of ids: text i is `ids[starts[i]:starts[i + 1]]`, without a closing 0."""

    ids: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[Sequence[int] | np.ndarray]) -> "Tokens":
        """Returns the ids of texts, packed."""
        lists = [np.asarray(text, np.int32) for text in texts]
        starts = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
        return cls(np.concatenate(lists) if lists else np.zeros(0, np.int32), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, place: int | np.integer) -> np.ndarray:
        return self.ids[self.starts[place] : self.starts[place + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[place] for place in range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """Words of each text."""
        return np.diff(self.starts)

    def save(self, path: Path) -> None:
        """Writes the two arrays to one file."""
        np.savez(path, ids=self.ids, starts=self.starts)

    @classmethod
    def load(cls, path: Path) -> "Tokens":
        """Returns what `save` wrote."""
        with np.load(path) as arrays:
            return cls(arrays["ids"], arrays["starts"])


def padded(texts: Sequence[np.ndarray], closing: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Returns ids `[N, T]` int64 padded with 0, and lengths `[N]`; `closing` counts each text's own 0 as a word."""
    lengths = np.asarray([len(text) + closing for text in texts], np.int64)  # [N]
    ids = np.zeros((len(texts), int(lengths.max())), np.int64)  # [N, T]
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    return ids, lengths
