"""Progress for people: the progress line, counts in words, and the summary's stories."""

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.progress import Progress, describe_counts, summary
from transforms.rows import Row
from transforms.write import write_shard


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_the_line_counts_photos_stories_and_dead_letters(stream: io.StringIO) -> None:
    progress = Progress(1500, stream)
    progress.advance(500, {"story": 990, "dead_letter": 10, "unchanged": 3})
    progress.advance(500, {"story": 1000})
    progress.close()
    last = stream.getvalue().split("\r")[-1]
    assert "1000/1500" in last and "photo/s" in last
    assert "1,990 stories, 10 dead letters" in last


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({}, "nothing was listed"),
        ({"story": 1}, "1 story"),
        ({"dead_letter": 1, "story": 1234}, "1 dead letter, 1,234 stories"),
        ({"dead_letter": 2, "ignored": 1, "unchanged": 5}, "2 dead letters, 1 ignored, 5 unchanged"),
    ],
)
def test_counts_in_words(counts: dict[str, int], text: str) -> None:
    assert describe_counts(counts) == text


def story(uri: str, style: str) -> Row:
    row = dict.fromkeys(["photo_id", "passage", "decoder", "pack", "pack_digest", "settings_digest"], "x")
    captions = [{"caption": f"nearest of {uri}", "similarity": 0.5}, {"caption": "second", "similarity": 0.25}]
    sizes: dict[str, Any] = {"width": 1, "height": 1, "cost": 1.0, "words": 1}
    return {"uri": uri, "style": style, "story": f"{style} of {uri}", "captions": captions, **row, **sizes}


def manifest_of(output: str, *shards: list[Row]) -> dict[str, Any]:
    files = [
        write_shard((place, rows), output, "runs/night/", "stories", len(shards)) for place, rows in enumerate(shards)
    ]
    return {"run_id": "night", "number": 7, "counts": {"story": 5}, "files": [asdict(file) for file in files]}


def test_the_summary_shows_stories_of_three_photos(tmp_path: Path) -> None:
    names = [f"gs://b/photo {place}.jpg" for place in range(5)]
    first = [story(names[0], "romance"), story(names[0], "swift"), story(names[1], "romance")]
    rest = [story(name, "romance") for name in names[2:]]
    text = summary(str(tmp_path), manifest_of(str(tmp_path), first, rest))
    assert text.startswith("Run night: 5 stories.\n")
    assert f"stories: {tmp_path}/runs/night/stories" in text
    assert f"manifest: {tmp_path}/manifests/00000007.json" in text
    for place, name in enumerate(names):
        assert (f"photo {place}.jpg (romance; nearest caption: nearest of {name})" in text) == (place < 3)
    assert f"romance of {names[2]}" in text and "swift" not in text


def test_the_summary_of_nothing(tmp_path: Path) -> None:
    text = summary(str(tmp_path), {"run_id": "night", "number": 1, "counts": {}, "files": []})
    assert text.splitlines() == ["Run night: nothing was listed.", f"  manifest: {tmp_path}/manifests/00000001.json"]
