"""Prepared corpora are read from disk as batches ask for them."""

import json
from pathlib import Path

import numpy as np
import pytest

from configs.schema import ConfigError
from pipelines.corpora.texts import Tokens, Vocabulary
from pipelines.prepare_texts import main
from pipelines.training.data.corpus import Corpus
from pipelines.training.data.passages import Source
from pipelines.training.data.prepared import ShardedPlaces, ShardedTokens, read_prepared, read_to_learn
from pipelines.training.recipe_2015.skip_thoughts_2015 import Sentences
from pipelines.training.recipes.decoder import DecoderConfig
from pipelines.training.recipes.networks import sources_to_tell
from pipelines.training.recipes.thoughts import Batches

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


def test_places_of_shards_lie_behind_those_before() -> None:
    places = ShardedPlaces([np.asarray(part, np.int64) for part in ([1, -1], [], [-1, 2, 0])])
    assert [places[np.int64(place)] for place in range(len(places))] == [1, -1, -1, 4, 2]
    assert np.asarray(places).tolist() == [1, -1, -1, 4, 2]


def test_no_shards_are_no_texts() -> None:
    empty = ShardedTokens([])
    assert len(empty) == len(empty.ids) == len(empty.lengths) == len(ShardedPlaces([])) == 0
    assert len(np.asarray(ShardedPlaces([]))) == 0


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
    assert len(pairs) == 2 and {place < 31 for place, _ in pairs} == {True, False}
    for place, other in pairs:
        first, second = (vocabulary.decode(books.texts[one]) for one in (place, other))
        assert "dog ran" in first and "it sat by the" in second and first.split()[1] in second


def test_batches_are_drawn_from_mapped_texts(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, sources = read_prepared(corpus)
    monkeypatch.delattr(ShardedTokens, "ids")
    monkeypatch.delattr(ShardedPlaces, "__array__")
    batches, draw = Batches(sources, {"books": 1.0, "captions": 1.0}, tokens=40), np.random.default_rng(0)
    drawn = [batches.draw(draw) for _ in range(40)]
    assert {name for name, _ in drawn} == {"books", "captions"}
    for name, places in drawn:
        lengths = [len(sources[name].texts[place]) for place in places]
        assert 0 < sum(lengths) <= 40 and max(lengths) - min(lengths) <= 4


def test_a_corpus_that_is_not_whole_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no manifest.json; make a corpus with python -m pipelines.prepare_texts"):
        read_prepared(tmp_path)
    manifest = json.loads((corpus / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "vocabulary.json").write_text("[]")
    with pytest.raises(ConfigError, match="vocabulary.json, books/00000.ids.npy"):
        read_prepared(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(ConfigError, match="has the format 99, but this program reads 1"):
        read_prepared(tmp_path)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"books": 1.0, "romantic": 1.0, "dev_books": 1.0}, "no texts of romantic, dev_books; .* kinds books, cap"),
        ({}, "shares: must say how often each kind is learned; .* has the kinds books, captions"),
        ({"books": 1.0}, "has no held-out texts to evaluate on; it has books, captions. Prepare it with"),
    ],
)
def test_a_corpus_without_what_is_learned_is_refused(corpus: Path, shares: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_to_learn(corpus, shares)


def test_a_decoder_wants_the_words_of_its_pack(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "some.tsv").write_text("image\tsplit\tcaption\na.jpg\ttrain\ta dog ran\nb.jpg\tdev\ta dog sat\n")
    (tmp_path / "words.json").write_text('["a", "dog", "ran", "."]')
    flags = [f"--captions={tmp_path}/some.tsv", f"--words={tmp_path}/words.json", f"--output={tmp_path}/out"]
    assert main([*flags, "--unknown=0.5"]) == 0
    data, settings = Corpus(tmp_path, tmp_path, tmp_path / "out"), {"shares": {"captions": 1.0}}
    words = Vocabulary(["a", "dog", "ran", "."])
    shares, sources = sources_to_tell(settings, data, DecoderConfig(pack="PACK"), words, tmp_path)
    assert shares == {"captions": 1.0} and [words.decode(text) for text in sources["captions"].texts] == ["a dog ran ."]
    assert words.decode(sources["dev_captions"].texts[0]) == "a dog UNK ."
    with pytest.raises(ConfigError, match="not those of the sentence encoder of PACK; prepare it with --words PACK"):
        sources_to_tell(settings, data, DecoderConfig(pack="PACK"), Vocabulary(["a", "dog", "."]), tmp_path)


def test_sentences_in_a_row_are_of_one_paragraph() -> None:
    """Texts 0 to 3 are a paragraph with a long one, 4 to 6 another, 7 to 9 a third that lost a sentence."""
    lengths = [2, 5, 2, 2, 1, 2, 3, 1, 1, 1]
    neighbours = [1, 2, 3, -1, 5, 6, -1, 8, -1, -1]
    texts = Tokens.of([[2] * length for length in lengths])
    assert Sentences.of_source(Source(texts, np.asarray(neighbours)), maxlen=5).places.tolist() == [5]
    assert Sentences.of_source(Source(texts, np.asarray(neighbours)), maxlen=6).places.tolist() == [1, 2, 5]
