"""Photos with people's captions, books, and the command run in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.evaluate import main

CAPTIONS = (
    "a dog runs on the grass .",
    "two men ride horses",
    "a woman at the beach",
    "children play ball",
    "a red bus",
)


@dataclass(frozen=True)
class PhotoData:
    """A folder of photos and the table of their captions."""

    photos: str
    captions: str

    @property
    def flags(self) -> list[str]:
        return [f"--photos={self.photos}", f"--captions={self.captions}"]


@pytest.fixture
def photo_data(tmp_path: Path, make_photo: Any) -> Callable[..., PhotoData]:
    """Returns a function that writes photos, some of each split, and a table with two captions for each."""

    def write(**splits: int) -> PhotoData:
        folder = tmp_path / "photos"
        folder.mkdir(exist_ok=True)
        lines, number = ["image\tsplit\tcaption"], 0
        for split, count in splits.items():
            for _ in range(count):
                photo = make_photo(19 * number)  # each 19th is a plain JPEG
                name = f"{number:03}.{photo.ending}"
                (folder / name).write_bytes(photo.data)
                lines += [f"{name}\t{split}\t{CAPTIONS[(number + more) % len(CAPTIONS)]}" for more in (0, 1)]
                number += 1
        (tmp_path / "captions.tsv").write_text("\n".join(lines) + "\n")
        return PhotoData(str(folder), str(tmp_path / "captions.tsv"))

    return write


@pytest.fixture
def evaluate(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Returns a function that runs the command with --json and returns the one object that it prints."""

    def run(*argv: str) -> dict[str, Any]:
        capsys.readouterr()
        code = main([*argv, "--json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        found: dict[str, Any] = json.loads(printed.out)
        return found

    return run


NOUNS = ("dog", "train", "street", "pizza", "woman", "man", "child", "laptop", "elephant", "horse")


@pytest.fixture
def books(tmp_path: Path) -> Callable[..., str]:
    """Returns a function that writes books of random sentences in words of the golden pack; it returns their glob."""

    def write(count: int = 2, paragraphs: int = 40) -> str:
        draw = np.random.default_rng(7)
        (tmp_path / "books").mkdir()
        for number in range(count):
            parts = []
            for _ in range(paragraphs):
                lengths = draw.integers(1, 9, 4)
                sentences = ["A " + " and the ".join(draw.choice(NOUNS, length)) for length in lengths]
                marks = draw.choice([".", "?", "!"], 4)
                parts.append(" ".join(f"{text}{mark}" for text, mark in zip(sentences, marks, strict=True)))
            (tmp_path / "books" / f"{number}.txt").write_text("CHAPTER\n\n" + "\n\n".join(parts) + "\n")
        return f"--texts={tmp_path}/books/*.txt"

    return write
