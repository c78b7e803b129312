"""Pieces of texts, the search for repeated ones, and counts of words."""

from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from pipelines.corpora.preparation import pieces
from pipelines.corpora.preparation.corpus_records import Kept, Piece, Rules
from pipelines.corpora.preparation.pieces import (
    PieceTexts,
    cut_into_pieces,
    find_repeated,
    lots_of,
    text_hash,
    write_pieces,
)
from pipelines.corpora.preparation.word_counts import SumCounts, choose_words, count_words

RULES = Rules(("books",), ("captions",))
TEXTS = [(0, ["a", "b"]), (0, ["b", "c"]), (0, ["d"]), (1, ["a"]), (2, ["e", "a", "e"])]


def words_of(piece: PieceTexts) -> list[list[str]]:
    bounds = zip(piece.starts[:-1], piece.starts[1:], strict=True)
    return [[piece.words[number] for number in piece.ids[start:stop]] for start, stop in bounds]


def test_pieces_are_cut_between_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 3)
    found = list(cut_into_pieces(TEXTS))
    assert [words_of(piece) for piece in found] == [[["a", "b"], ["b", "c"], ["d"]], [["a"], ["e", "a", "e"]]]
    assert [piece.groups.tolist() for piece in found] == [[0, 0, 0], [1, 2]]
    assert found[0].hashes.tolist() == [text_hash(text) for text in ("a b", "b c", "d")]


def test_pieces_survive_the_disk_with_what_was_left_out(tmp_path: Path) -> None:
    left_out = Counter({"scraps": 2})
    ((piece, hashes),) = write_pieces(TEXTS, left_out, "name", "books", str(tmp_path))
    again = PieceTexts.load(piece.uri)
    assert piece == Piece("name-00000", "books", f"{tmp_path}/name-00000.npz", 5, 9, 2)
    assert words_of(again) == [words for _, words in TEXTS] and np.array_equal(again.hashes, hashes)
    ((empty, _),) = write_pieces([], Counter(), "empty", "books", str(tmp_path))
    assert (empty.texts, empty.words, words_of(PieceTexts.load(empty.uri))) == (0, 0, [])


def repeated(hashes: dict[str, list[int]], order: tuple[str, ...], shards: int) -> dict[str, list[int]]:
    """Returns the places that are found again in pieces of these hashes, which arrive in `order`."""
    lots: dict[int, list[pieces.Lot]] = {}
    for name in order:
        for shard, lot in lots_of(name, np.asarray(hashes[name], np.uint64), shards):
            lots.setdefault(shard, []).append(lot)
    found: dict[str, list[int]] = {}
    for element in lots.items():
        for name, places in find_repeated(element):
            found.setdefault(name, []).extend(places.tolist())
    return {name: sorted(places) for name, places in sorted(found.items())}


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_the_first_by_name_and_place_keeps_a_text(shards: int) -> None:
    hashes = {"a": [2**63 + 5, 7, 9, 7], "b": [1, 9, 2**63 + 5], "c": [1, 1, 3]}
    for order in permutations(hashes):
        assert repeated(hashes, order, shards) == {"a": [3], "b": [1, 2], "c": [0, 1]}


def test_hashes_stand_for_texts() -> None:
    assert text_hash("a dog") == text_hash("a dog") != text_hash("a dog ")
    assert 2**60 < max(text_hash(str(number)) for number in range(99)) < 2**64


def kept(tmp_path: Path, kind: str, texts: list[tuple[int, list[str]]], repeated: list[int]) -> Kept:
    ((piece, _),) = write_pieces(texts, Counter(), f"{kind}{len(texts)}", kind, str(tmp_path))
    return Kept(piece, np.asarray(repeated, np.int32))


def test_words_of_kept_texts_count(tmp_path: Path) -> None:
    assert count_words(kept(tmp_path, "books", TEXTS, [1]), RULES) == (Counter("abdaeae"), Counter())
    assert count_words(kept(tmp_path, "captions", TEXTS, []), RULES) == (Counter(), Counter("abbcdaeae"))
    assert count_words(kept(tmp_path, "dev_books", TEXTS, []), RULES) == (Counter(), Counter())


def test_counts_are_summed_in_any_order() -> None:
    combine = SumCounts()
    first, second = combine.create_accumulator(), combine.create_accumulator()
    first = combine.add_input(first, (Counter("aab"), Counter("c")))
    second = combine.add_input(combine.add_input(second, (Counter("b"), Counter())), (Counter(), Counter("cd")))
    total = combine.extract_output(combine.merge_accumulators([second, first, combine.create_accumulator()]))
    assert total == (Counter("aabb"), Counter("ccd"))


@pytest.mark.parametrize(
    ("weight", "wanted"),
    [(0.0, ["a", "b", "c"]), (1.0, ["a", "b", "c"]), (1.5, ["c", "a", "b"]), (0.4, ["a", "b", "c"])],
)
def test_the_most_frequent_words_are_chosen(weight: float, wanted: list[str]) -> None:
    rules = Rules(("books",), ("captions",), vocabulary=5, caption_weight=weight)
    assert choose_words((Counter("aabbc"), Counter("cd")), rules) == wanted
