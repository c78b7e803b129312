"""Records that travel between the steps that prepare texts, and names of their outputs."""

from dataclasses import dataclass

import numpy as np

DEV = "dev_"  # begins the kinds of texts that are held out
FORMAT = 1
MANIFEST, VOCABULARY = "manifest.json", "vocabulary.json"
ARRAYS = ("ids", "starts", "neighbours")  # files of a shard


@dataclass(frozen=True)
class Rules:
    """Rules: everything except the inputs that can change a corpus.

    Attributes:
        books: kinds of books, by name.
        captions: kinds of captions, by name; where a text is of several kinds, the first keeps it, books before these.
        vocabulary: ids, V: the words' and two more.
        words: the pack or file that gave the words; empty where they were counted in the texts.
        caption_weight: how often a caption's word counts for the vocabulary, against a book's.
        least: words of a passage.
        most: words of any text.
        unknown: largest share of unknown words in a text.
        held_out: how many books are kept apart, or as a float which share of them.
        unit: `passage` cuts books into runs of sentences of random lengths, `sentence` into the shortest.
        lower: whether words are in lower case.
    """

    books: tuple[str, ...]
    captions: tuple[str, ...]
    vocabulary: int = 28000
    words: str = ""
    caption_weight: float = 2.0
    least: int = 5
    most: int = 64
    unknown: float = 0.1
    held_out: int | float = 0.05
    unit: str = "passage"
    lower: bool = True

    @property
    def kinds(self) -> tuple[str, ...]:
        """All kinds, from the first to the last that keeps a text which is of several kinds."""
        learned = (*self.books, *self.captions)
        return (*(DEV + kind for kind in learned), *learned)

    def is_book(self, kind: str) -> bool:
        """Returns whether a kind, held out or not, is one of books."""
        return kind.removeprefix(DEV) in self.books

    def piece_name(self, kind: str, source: str) -> str:
        """Returns what starts the names of a source's pieces; names sort by who keeps a text that is there twice."""
        return f"{self.kinds.index(kind):02d}-{kind}-{source}"


@dataclass(frozen=True)
class TextFile:
    """An input file, and the facts found by reading it in full.

    Attributes:
        uri: where it lies.
        kind: of its texts, unless they are held out.
        digest: sha256 of its bytes, unpacked, in hex.
        size: number of these bytes.
        cuts: places in them, at the ends of lines, where the parts after the first begin.
        columns: of a table; none for plain text.
        copies: other files with the same bytes.
    """

    uri: str
    kind: str
    digest: str = ""
    size: int = 0
    cuts: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """A file that cannot be used, and the reason."""

    uri: str
    reason: str


@dataclass(frozen=True)
class Part:
    """The bytes of a file, unpacked, from `start` to `stop`."""

    file: TextFile
    number: int
    start: int
    stop: int


@dataclass(frozen=True)
class Row:
    """A caption of a table; `image` is empty where the table names none."""

    digest: str
    image: str
    part: int
    line: int
    caption: str


@dataclass(frozen=True)
class Piece:
    """Some cut texts of one kind, in one file.

    Attributes:
        name: sorts pieces in the corpus' order.
        kind: of the texts.
        uri: of the file, see `PieceTexts`.
        texts: in it.
        words: in them.
        scraps: paragraphs or captions that were left out on the way.
    """

    name: str
    kind: str
    uri: str
    texts: int
    words: int
    scraps: int


@dataclass(frozen=True, eq=False)
class Lot:
    """Hashes `[n]` uint64 of some texts of a piece, and their places there `[n]`."""

    name: str
    places: np.ndarray
    hashes: np.ndarray


@dataclass(frozen=True, eq=False)
class Kept:
    """A piece, and the indices of its repeated texts."""

    piece: Piece
    repeated: np.ndarray


@dataclass(frozen=True)
class Written:
    """A written file below OUTPUT."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Shard:
    """The files of one shard, in the order of ARRAYS; `unknown` texts were left out for their unknown words."""

    kind: str
    number: int
    texts: int
    words: int
    unknown: int
    files: tuple[Written, ...]
