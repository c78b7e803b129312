"""Which pieces make a shard, and texts as ids with their neighbours."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipelines.corpora.preparation.corpus_graph import hold_out
from pipelines.corpora.preparation.corpus_records import Kept, Piece, Rules
from pipelines.corpora.preparation.pieces import PieceTexts, cut_into_pieces, write_pieces
from pipelines.corpora.preparation.shards import encode, next_ones, other_ones, plan_shards, write_shard

NONE = np.zeros(0, np.int32)


def test_shards_are_pieces_in_a_row() -> None:
    sizes = [("0-a-3", "a", 50), ("0-a-1", "a", 60), ("0-a-2", "a", 40), ("1-b-1", "b", 500), ("1-b-2", "b", 0)]
    found = [Piece(name, kind, "", 1, words, 0) for name, kind, words in sizes]
    assert plan_shards(found, 100) == {"0-a-1": 0, "0-a-2": 0, "0-a-3": 1, "1-b-1": 0, "1-b-2": 1}
    assert plan_shards(found[::-1], 100) == plan_shards(found, 100)


def test_next_ones_follow_at_once_in_their_group() -> None:
    groups, places = np.asarray([4, 4, 4, 5, 6, 6]), np.asarray([0, 1, 3, 4, 5, 6])
    assert next_ones(groups, places).tolist() == [1, -1, -1, -1, 5, -1]
    assert next_ones(groups[:0], places[:0]).tolist() == []


def test_other_ones_make_rings() -> None:
    assert other_ones(np.asarray([0, 0, 0, 1, 2, 2])).tolist() == [1, 2, 0, -1, 5, 4]
    assert other_ones(np.asarray([7])).tolist() == [-1] and other_ones(np.zeros(0, int)).tolist() == []


def piece(*texts: str, groups: list[int] | None = None) -> PieceTexts:
    numbers = groups or [0] * len(texts)
    (found,) = cut_into_pieces(zip(numbers, (text.split() for text in texts), strict=True))
    return found


@pytest.mark.parametrize(
    ("share", "wanted", "unknown"),
    [(0.0, ["a b"], 2), (0.25, ["a b", "a a a x"], 1), (1.0, ["a b", "a a a x", "x y"], 0)],
)
def test_texts_with_too_many_unknown_words_are_left_out(share: float, wanted: list[str], unknown: int) -> None:
    ids = {"a": 2, "b": 3}
    found = encode(piece("a b", "a a a x", "x y", "b b"), np.asarray([3]), ids, share, is_book=True)
    assert found.ids.tolist() == [ids.get(word, 1) for text in wanted for word in text.split()]
    assert found.lengths.tolist() == [len(text.split()) for text in wanted] and found.unknown == unknown


def test_a_text_that_is_left_out_is_no_neighbour() -> None:
    ids = {"a": 2, "b": 3}
    for is_book, wanted in ((True, [-1, 2, -1]), (False, [1, 2, 0])):
        found = encode(piece("a", "x", "b", "a b"), NONE, ids, 0.0, is_book)
        assert found.neighbours.tolist() == wanted


def test_a_shard_holds_its_pieces_in_order(tmp_path: Path) -> None:
    rules, kept = Rules(("books",), ()), []
    for name, texts in (
        ("b", [(0, ["b"]), (0, ["a"])]),
        ("a", [(0, ["a", "b"]), (0, ["b", "a"]), (1, ["a"])]),
        ("c", []),
    ):
        ((made, _),) = write_pieces(texts, Counter(), name, "books", str(tmp_path))
        kept.append(Kept(made, NONE))
    shard = write_shard(("books/00007", kept), ["a", "b"], rules, str(tmp_path))
    assert (shard.kind, shard.number, shard.texts, shard.words, shard.unknown) == ("books", 7, 5, 7, 0)
    ids, starts, neighbours = (np.load(tmp_path / file.path) for file in shard.files)
    assert ids.tolist() == [2, 3, 3, 2, 2, 3, 2] and ids.dtype == np.int32
    assert starts.tolist() == [0, 2, 4, 5, 6, 7] and starts.dtype == np.int64
    assert neighbours.tolist() == [1, -1, -1, 4, -1] and neighbours.dtype == np.int64


def test_a_shard_can_be_empty_and_is_still_mapped(tmp_path: Path) -> None:
    ((made, _),) = write_pieces([(0, ["x"])], Counter(), "a", "books", str(tmp_path))
    shard = write_shard(("books/00000", [Kept(made, NONE)]), ["a"], Rules(("books",), ()), str(tmp_path))
    assert (shard.texts, shard.unknown) == (0, 1)
    ids, starts, _ = (np.load(tmp_path / file.path, mmap_mode="r") for file in shard.files)
    assert len(ids) == 0 and starts.tolist() == [0]


def test_books_are_held_out_by_their_digests() -> None:
    digests = [f"{number:x}" + "0" * 63 for number in (3, 15, 0, 8, 3)]
    assert hold_out(digests, 2) == {digests[2], digests[0]}
    assert hold_out(digests, 9) == {digests[2], digests[0], digests[3]}
    assert hold_out(digests, 0.5) == {digests[2], digests[0]} and hold_out(digests[3:4], 0.5) == frozenset()
    assert hold_out(digests, 0) == hold_out(digests, 0.0) == hold_out([], 3) == frozenset()
