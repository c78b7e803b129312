"""Prepared corpora are read from disk as batches ask for them."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.preparation.command import main
from pipelines.training.passages import Source
from pipelines.training.prepared import ShardedTokens, read_prepared
from pipelines.training.settings import ConfigError
from pipelines.training.texts import Tokens
from pipelines.training.thoughts import Batches

LISTS = [[2, 3], [4], [5, 6, 7], [8], [9, 9]]


@pytest.fixture
def sharded() -> ShardedTokens:
    """Returns LISTS in three shards and an empty one."""
    parts = [Tokens.of(texts) for texts in (LISTS[:2], [], LISTS[2:3], LISTS[3:])]
    return ShardedTokens([(part.ids, part.starts) for part in parts])


def test_shards_read_like_one(sharded: ShardedTokens) -> None:
    whole = Tokens.of(LISTS)
    assert len(sharded) == 5 and [text.tolist() for text in sharded] == LISTS
    assert sharded[np.int64(2)].tolist() == [5, 6, 7]
    for name in ("ids", "starts", "lengths"):
        assert np.array_equal(getattr(sharded, name), getattr(whole, name)), name
    neighbours = np.full(5, -1)
    assert np.array_equal(Source(sharded, neighbours).by_length, Source(whole, neighbours).by_length)
    assert repr(sharded) == "ShardedTokens(5 texts in 4 shards)"


def test_no_shards_are_no_texts() -> None:
    empty = ShardedTokens([])
    assert len(empty) == len(empty.ids) == len(empty.lengths) == 0


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a corpus of two books, in shards of a book, and of captions."""
    root = tmp_path_factory.mktemp("corpus")
    for name in "ab":
        lines = [f"The {name} dog ran {number} times. It sat by the {name} sea, and it slept." for number in range(30)]
        (root / f"{name}.txt").write_text("\n\n".join(lines))
    rows = [f"{number // 3}.jpg\ta dog number {number}" for number in range(12)]
    (root / "some.tsv").write_text("\n".join(["image\tcaption", *rows]))
    flags = [f"--books={root}/?.txt", f"--captions={root}/some.tsv", "--held-out=0", "--unit=sentence", "--unknown=0.5"]
    assert main([*flags, "--shard-words=300", f"--output={root}/out"]) == 0
    return root / "out"


def test_words_are_mapped_not_read(corpus: Path) -> None:
    vocabulary, sources = read_prepared(corpus)
    texts = sources["books"].texts
    assert isinstance(texts, ShardedTokens) and "in 2 shards" in repr(texts)
    for place in (0, len(texts) - 1):
        assert isinstance(texts[place], np.memmap) and not texts[place].flags.writeable
    assert vocabulary.decode(texts[0]).startswith("the ") and texts.ids.max() < vocabulary.size


def test_neighbours_lie_in_their_own_shard(corpus: Path) -> None:
    vocabulary, sources = read_prepared(corpus)
    books = sources["books"]
    pairs = [(place, other) for place, other in enumerate(books.neighbours) if other >= 0]
    assert len(pairs) == 4 and {place < 31 for place, _ in pairs} == {True, False}
    for place, other in pairs:
        first, second = (vocabulary.decode(books.texts[one]) for one in (place, other))
        assert "dog ran" in first and "it sat by the" in second and first.split()[1] in second


def test_batches_are_drawn_from_mapped_texts(corpus: Path) -> None:
    _, sources = read_prepared(corpus)
    batches, draw = Batches(sources, {"books": 1.0, "captions": 1.0}, tokens=40), np.random.default_rng(0)
    drawn = [batches.draw(draw) for _ in range(40)]
    assert {name for name, _ in drawn} == {"books", "captions"}
    for name, places in drawn:
        lengths = [len(sources[name].texts[place]) for place in places]
        assert 0 < sum(lengths) <= 40 and max(lengths) - min(lengths) <= 3


def test_a_corpus_that_is_not_whole_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no manifest.json; make a corpus with python -m pipelines.prepare_texts"):
        read_prepared(tmp_path)
    manifest = json.loads((corpus / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "vocabulary.json").write_text("[]")
    with pytest.raises(ConfigError, match="vocabulary.json, books/00000.ids.npy"):
        read_prepared(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(ConfigError, match="has the format 99, this program reads 1"):
        read_prepared(tmp_path)
