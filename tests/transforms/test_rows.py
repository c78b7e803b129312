"""Rows: the values of each record in its table, with text that Parquet can hold."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from transforms.records import CaptionMatch, DeadLetter, Outcome, Photo, StoryRequest
from transforms.rows import DEAD_LETTERS, LEDGER, SCHEMAS, STORIES, dead_letter_row, ledger_row, plain_text, story_row

TOLD_BY = {"decoder": "novels", "pack": "pocket", "pack_digest": "d1", "settings_digest": "d2"}


@dataclass
class Told:
    passage: str = "it wo n't rain"
    story: str = "It won't rain"
    cost: float = 2.5
    words: int = 4


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("", ""),
        ("é 写 #[x]", "é 写 #[x]"),
        ("caf\udce9", "caf\\xe9"),
        ("\udcff\udcfe", "\\xff\\xfe"),
        ("a\\xe9", "a\\xe9"),
    ],
)
def test_plain_text(text: str, plain: str) -> None:
    assert plain_text(text) == plain
    plain.encode()


def test_a_story_row() -> None:
    photo = Photo("caf\udce9.jpg", "7", "sha", 640, 480, ("romance",))
    captions = (CaptionMatch("a caf\udce9", 0.75), CaptionMatch("a dog", 0.5))
    row = story_row((StoryRequest(photo, captions, "romance"), Told()), TOLD_BY)
    assert row == {
        "uri": "caf\\xe9.jpg", "photo_id": "sha", "width": 640, "height": 480,
        "captions": [{"caption": "a caf\\xe9", "similarity": 0.75}, {"caption": "a dog", "similarity": 0.5}],
        "style": "romance", "story": "It won't rain", "passage": "it wo n't rain", "cost": 2.5, "words": 4,
        "decoder": "novels", "pack": "pocket", "pack_digest": "d1", "settings_digest": "d2",
    }  # fmt: skip
    assert list(row) == STORIES.names


def test_a_feature_vectors_row_has_no_size() -> None:
    row = story_row((StoryRequest(Photo("a", "sha", "sha", None, None), (), "romance"), Told()), TOLD_BY)
    assert row["width"] is None and row["height"] is None and row["captions"] == []
    assert pa.Table.from_pylist([row], schema=STORIES).to_pylist() == [row]


def test_a_dead_letter_row() -> None:
    letter = DeadLetter("caf\udce9", "7", None, "read", "MissingFile", "caf\udce9 is gone", True, "romance")
    row = dead_letter_row(letter)
    assert row == {
        "uri": "caf\\xe9", "version": "7", "photo_id": None, "stage": "read", "error": "MissingFile",
        "message": "caf\\xe9 is gone", "retryable": True,
    }  # fmt: skip
    assert list(row) == DEAD_LETTERS.names


def test_a_ledger_row() -> None:
    row = ledger_row(Outcome("caf\udce9", "7", None, "romance", "ignored"), "d1", "d2")
    assert list(row.values()) == ["caf\\xe9", "7", None, "romance", "ignored", "d1", "d2"]
    assert list(row) == LEDGER.names


def test_no_table_has_a_clock_or_a_run() -> None:
    names: set[Any] = {name for schema in SCHEMAS.values() for name in schema.names}
    assert not {name for name in names if any(word in name for word in ("time", "date", "run", "created"))}
