"""Records that travel between the steps that prepare texts, and names of their outputs."""

from dataclasses import dataclass

import numpy as np

DEV = "dev_"  # prefix of the kinds of held-out texts
FORMAT = 1
MANIFEST, VOCABULARY = "manifest.json", "vocabulary.json"
ARRAYS = ("ids", "starts", "neighbours")  # files of a shard


@dataclass(frozen=True)
class Rules:
    """Rules: everything except the inputs that can change a corpus.

    Attributes:
        books: names of the kinds of books.
        captions: names of the kinds of captions; a text of several kinds is kept in the first, books before captions.
        vocabulary: number of ids V: the words and two more.
        words: pack or file that the words are from; empty if they are counted in the texts.
        caption_weight: weight of a word in captions for the vocabulary; a word in books has weight 1.
        least: minimum words of a passage.
        most: maximum words of any text.
        unknown: maximum share of unknown words in a text.
        held_out: number of books that are held out, or their share as a float.
        unit: `passage` cuts books into runs of sentences of random lengths, `sentence` into the shortest runs.
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
        """All kinds; a text of several kinds is kept in the first of them."""
        learned = (*self.books, *self.captions)
        return (*(DEV + kind for kind in learned), *learned)

    def is_book(self, kind: str) -> bool:
        """Returns whether a kind, held out or not, is one of books."""
        return kind.removeprefix(DEV) in self.books

    def piece_name(self, kind: str, source: str) -> str:
        """Returns the prefix of a source's pieces; the piece whose name sorts first keeps a repeated text."""
        return f"{self.kinds.index(kind):02d}-{kind}-{source}"


@dataclass(frozen=True)
class TextFile:
    """An input file, and the facts found by reading it in full.

    Attributes:
        uri: location of the file.
        kind: kind of its texts, unless they are held out.
        digest: sha256 of its unpacked bytes, in hex.
        size: number of its unpacked bytes.
        cuts: positions in these bytes, at ends of lines, where the parts after the first start.
        columns: columns of a table; empty for plain text.
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
    """The unpacked bytes of a file from `start` to `stop`."""

    file: TextFile
    number: int
    start: int
    stop: int


@dataclass(frozen=True)
class Row:
    """A caption of a table; `image` is empty if the table names none."""

    digest: str
    image: str
    part: int
    line: int
    caption: str


@dataclass(frozen=True)
class Piece:
    """A file of cut texts of one kind.

    Attributes:
        name: name of the piece; the corpus is in the order of the names.
        kind: kind of the texts.
        uri: location of the file, see `PieceTexts`.
        texts: number of texts.
        words: number of words.
        scraps: number of paragraphs or captions that were left out.
    """

    name: str
    kind: str
    uri: str
    texts: int
    words: int
    scraps: int


@dataclass(frozen=True, eq=False)
class Lot:
    """Hashes `[n]` (uint64) of some texts of a piece, and their places in it `[n]`."""

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
    """A file written in OUTPUT."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Shard:
    """The files of one shard, in the order of ARRAYS; `unknown` counts texts left out for their unknown words."""

    kind: str
    number: int
    texts: int
    words: int
    unknown: int
    files: tuple[Written, ...]
