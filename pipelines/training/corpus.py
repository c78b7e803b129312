"""The training data on disk, prepared once: photos' features and captions, caption texts, and the books' paragraphs."""

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipelines.training.features import extract_features
from pipelines.training.texts import PhotoCaptions, read_captions, read_photo_captions, tokenise_books

_CAPTION_FILES = ("flickr30k_train", "coco_sample", "romantic")


@dataclass(frozen=True)
class Corpus:
    """The data folder `data` and what was made of it in `prepared`; each part is made when it is first asked for.

    `data` holds flickr8k/images and flickr8k/captions.tsv, captions/*.txt (one caption a line) and novels/*.txt.
    """

    data: Path
    prepared: Path
    held_out_books: int = 6

    @cached_property
    def photos(self) -> list[PhotoCaptions]:
        """The photos with their captions, all splits."""
        path = self.prepared / "flickr8k.json"
        if not path.exists():
            photos = read_photo_captions(self.data / "flickr8k" / "captions.tsv")
            self.prepared.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps([[photo.image, photo.split, photo.captions] for photo in photos]))
        return [PhotoCaptions(image, split, tuple(texts)) for image, split, texts in json.loads(path.read_text())]

    @cached_property
    def features(self) -> np.ndarray:
        """Feature vectors `[N, F]` of `photos`."""
        folder = self.data / "flickr8k" / "images"
        return extract_features([folder / photo.image for photo in self.photos], self.prepared / "features.npy")

    def photos_of(self, *splits: str) -> list[int]:
        """Places in `photos` of the photos of some splits."""
        return [place for place, photo in enumerate(self.photos) if photo.split in splits]

    def captions(self, name: str) -> list[str]:
        """The normalised captions of captions/NAME.txt without those of the held-out photos."""
        path = self.prepared / f"{name}.txt"
        if not path.exists():
            self.prepared.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{text}\n" for text in read_captions(self.data / "captions" / f"{name}.txt")))
        return [text for text in path.read_text().splitlines() if text not in self._held_out_captions]

    @cached_property
    def _held_out_captions(self) -> frozenset[str]:
        return frozenset(text for place in self.photos_of("dev") for text in self.photos[place].captions)

    @cached_property
    def all_captions(self) -> frozenset[str]:
        """Every normalised caption of the data, of all splits."""
        texts = {text for photo in self.photos for text in photo.captions}
        return frozenset(texts.union(*(self.captions(name) for name in _CAPTION_FILES)))

    @cached_property
    def books(self) -> list[list[str]]:
        """The books' paragraphs as cased tokens joined by spaces, the held-out books last."""
        path = self.prepared / "novels.tok"
        tokenise_books(sorted((self.data / "novels").glob("*.txt")), path, processes=2)
        books = [book.splitlines() for book in path.read_text(encoding="utf-8").split("\n\n") if book.strip()]
        every = max(2, len(books) // max(1, self.held_out_books))
        held = [book for place, book in enumerate(books) if place % every == every - 1]
        return [book for place, book in enumerate(books) if place % every != every - 1] + held

    def caption_counts(self) -> Counter[str]:
        """Words of all captions but the held-out ones."""
        counts: Counter[str] = Counter()
        for place in self.photos_of("train", "extra"):
            for text in self.photos[place].captions:
                counts.update(text.split())
        for name in _CAPTION_FILES:
            for text in self.captions(name):
                counts.update(text.split())
        return counts
