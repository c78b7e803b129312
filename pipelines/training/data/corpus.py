"""The training data on disk, prepared once: feature vectors and captions of photos, caption texts, and books."""

import errno
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import TypeVar

import numpy as np

from configs.schema import ConfigError
from pipelines.corpora.texts import PhotoCaptions, read_captions, read_photo_captions, tokenise_books
from pipelines.training.data.photo_features import extract_features
from pipelines.training.engine.whole_files import put_whole

Item = TypeVar("Item")

_CAPTION_FILES = ("flickr30k_train", "coco_sample", "romantic")


@dataclass(frozen=True)
class Corpus:
    """The data folder `data` and the files made from it in `prepared`; each part is made when it is first needed.

    `data` holds flickr8k/images and flickr8k/captions.tsv, captions/*.txt (one caption per line) and novels/*.txt;
    missing parts count as empty. One novel in thirty is held out, and at least one if there are two.

    `texts` is a corpus of `pipelines.prepare_texts`; if it is given, skip_thoughts and decoder learn from its texts.
    """

    data: Path
    prepared: Path
    texts: Path | None = None

    @cached_property
    def photos(self) -> list[PhotoCaptions]:
        """The photos of all splits with their captions."""
        path = self.prepared / "flickr8k.json"
        if not (self.data / "flickr8k" / "captions.tsv").exists():
            return []
        if not path.exists():
            photos = read_photo_captions(self.data / "flickr8k" / "captions.tsv")
            self.prepared.mkdir(parents=True, exist_ok=True)
            text = json.dumps([[photo.image, photo.split, photo.captions] for photo in photos])
            put_whole(path, lambda part: part.write_text(text))
        return [PhotoCaptions(image, split, tuple(texts)) for image, split, texts in json.loads(path.read_text())]

    @cached_property
    def features(self) -> np.ndarray:
        """Feature vectors `[N, F]` of `photos`."""
        return self.view(0)

    def view(self, number: int) -> np.ndarray:
        """Feature vectors `[N, F]` of a view of `photos`; view 0 is of the whole photos, the others are of crops.

        Raises:
            FileNotFoundError: there are no photos.
        """
        if not self.photos:
            raise FileNotFoundError(errno.ENOENT, "no photos", str(self.data / "flickr8k" / "captions.tsv"))
        folder, name = self.data / "flickr8k" / "images", f"features_{number}.npy" if number else "features.npy"
        return extract_features([folder / photo.image for photo in self.photos], self.prepared / name, number)

    def photos_of(self, *splits: str) -> list[int]:
        """Places in `photos` of the photos of the given splits."""
        return [place for place, photo in enumerate(self.photos) if photo.split in splits]

    def captions(self, name: str) -> list[str]:
        """The normalised captions of captions/NAME.txt without those of the held-out photos."""
        path = self.prepared / f"{name}.txt"
        if not (self.data / "captions" / f"{name}.txt").exists():
            return []
        if not path.exists():
            self.prepared.mkdir(parents=True, exist_ok=True)
            lines = [f"{text}\n" for text in read_captions(self.data / "captions" / f"{name}.txt")]
            put_whole(path, lambda part: part.write_text("".join(lines)))
        return [text for text in path.read_text().splitlines() if text not in self._held_out_captions]

    @cached_property
    def _held_out_captions(self) -> frozenset[str]:
        return frozenset(text for place in self.photos_of("dev") for text in self.photos[place].captions)

    @cached_property
    def all_captions(self) -> frozenset[str]:
        """All normalised captions of the data, of all splits."""
        texts = {text for photo in self.photos for text in photo.captions}
        return frozenset(texts.union(*(self.captions(name) for name in _CAPTION_FILES)))

    @cached_property
    def _books(self) -> list[list[str]]:
        """The paragraphs of the books, sorted by file name, as cased tokens joined by spaces.

        Raises:
            ConfigError: the prepared file has another number of books.
        """
        path, files = self.prepared / "novels.tok", self._book_files
        if not files:
            return []
        tokenise_books(files, path, processes=2)
        books: list[list[str]] = [[]]
        for line in path.read_text(encoding="utf-8").splitlines():
            if line:
                books[-1].append(line)
            else:
                books.append([])
        if len(books) != len(files) + 1:
            raise ConfigError(f"{path}: has {len(books) - 1} books, but there are {len(files)} novels; remove the file")
        return books[:-1]

    def _split_off(self, items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
        """Returns the items of the books to learn from, and those of the held-out books."""
        every = max(2, len(items) // max(1, len(items) // 30))
        held = [place % every == every - 1 for place in range(len(items))]
        return [item for item, out in zip(items, held, strict=True) if not out], list(compress(items, held))

    @property
    def books(self) -> list[list[str]]:
        """The paragraphs of the books to learn from."""
        return self._split_off(self._books)[0]

    @property
    def held_out_books(self) -> list[list[str]]:
        """The paragraphs of the held-out books."""
        return self._split_off(self._books)[1]

    @property
    def book_names(self) -> list[str]:
        """The names of the files of `books`."""
        return [path.stem for path in self.book_files]

    @property
    def book_files(self) -> list[Path]:
        """The files of `books`."""
        return self._split_off(self._book_files)[0]

    @property
    def held_out_files(self) -> list[Path]:
        """The files of `held_out_books`."""
        return self._split_off(self._book_files)[1]

    @property
    def _book_files(self) -> list[Path]:
        return sorted((self.data / "novels").glob("*.txt"))

    def caption_counts(self) -> Counter[str]:
        """Counts of the words in all captions but the held-out ones."""
        counts: Counter[str] = Counter()
        for place in self.photos_of("train", "extra"):
            for text in self.photos[place].captions:
                counts.update(text.split())
        for name in _CAPTION_FILES:
            for text in self.captions(name):
                counts.update(text.split())
        return counts
