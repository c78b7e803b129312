"""Rows of the tables that a run writes, and their Parquet schemas."""

from typing import Any

import pyarrow as pa

from transforms.metrics import count, count_dead_letter, measure
from transforms.records import DeadLetter, Outcome, StoryRequest
from transforms.redaction import without_secrets

STORIES = pa.schema(
    [
        ("uri", pa.string()),
        ("photo_id", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("captions", pa.list_(pa.struct([("caption", pa.string()), ("similarity", pa.float32())]))),
        ("style", pa.string()),
        ("story", pa.string()),
        ("passage", pa.string()),
        ("cost", pa.float32()),
        ("words", pa.int32()),
        ("decoder", pa.string()),
        ("pack", pa.string()),
        ("pack_digest", pa.string()),
        ("settings_digest", pa.string()),
    ]
)
DEAD_LETTERS = pa.schema(
    [
        ("uri", pa.string()),
        ("version", pa.string()),
        ("photo_id", pa.string()),
        ("stage", pa.string()),
        ("error", pa.string()),
        ("message", pa.string()),
        ("retryable", pa.bool_()),
    ]
)
LEDGER = pa.schema(
    [
        ("uri", pa.string()),
        ("version", pa.string()),
        ("photo_id", pa.string()),
        ("style", pa.string()),
        ("outcome", pa.string()),
        ("pack_digest", pa.string()),
        ("settings_digest", pa.string()),
    ]
)
FEATURES = pa.schema(
    [
        ("uri", pa.string()),
        ("version", pa.string()),
        ("photo_id", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("features_digest", pa.string()),
        ("captions_digest", pa.string()),
        ("feature", pa.list_(pa.float32())),
        ("captions", pa.list_(pa.struct([("caption", pa.binary()), ("similarity", pa.float32())]))),
    ]
)
SCHEMAS = {"stories": STORIES, "dead_letters": DEAD_LETTERS, "ledger": LEDGER, "features": FEATURES}

Row = dict[str, Any]


def plain_text(text: str) -> str:
    """Returns text that Parquet can store: bytes that are not UTF-8 become visible escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def story_row(element: tuple[StoryRequest, Any], provenance: Row) -> Row:
    """Returns the row of a story.

    Args:
        element: request, and its passage object with passage, story, cost and words.
        provenance: decoder, pack, pack_digest and settings_digest.
    """
    request, result = element
    photo = request.photo
    measure("story_words", result.words)
    measure("story_cost_thousandths", 1000 * result.cost)
    captions = [{"caption": plain_text(match.caption), "similarity": match.similarity} for match in request.captions]
    return {
        "uri": plain_text(photo.uri),
        "photo_id": photo.photo_id,
        "width": photo.width,
        "height": photo.height,
        "captions": captions,
        "style": request.style,
        "story": plain_text(result.story),
        "passage": plain_text(result.passage),
        "cost": result.cost,
        "words": result.words,
        **provenance,
    }


def dead_letter_row(letter: DeadLetter) -> Row:
    """Returns the row of a dead letter."""
    count_dead_letter(letter.stage, letter.error)
    row = {name: getattr(letter, name) for name in DEAD_LETTERS.names}
    return row | {"uri": plain_text(letter.uri), "message": plain_text(without_secrets(letter.message))}


def ledger_row(outcome: Outcome, pack_digest: str, settings_digest: str) -> Row:
    """Returns the ledger row of an outcome."""
    count(f"outcomes_{outcome.outcome}")
    return {
        "uri": plain_text(outcome.uri),
        "version": outcome.version,
        "photo_id": outcome.photo_id,
        "style": outcome.style,
        "outcome": outcome.outcome,
        "pack_digest": pack_digest,
        "settings_digest": settings_digest,
    }
