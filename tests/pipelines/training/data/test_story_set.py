"""Stories to learn from: openings with passages that suit them, and contexts as the main job makes them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_handlers.nets.story_decoder import StoryDecoder
from pipelines.corpora.texts import Tokens
from pipelines.training.data.passages import Source
from pipelines.training.data.story_set import PROTAGONIST_ID, StorySet
from pipelines.training.recipes.decoder import DecoderConfig, DecoderTask, passage_shares, seldom_weights

BOTH_STYLES = np.asarray([[10, 0], [0, 10]], np.float32)  # [styles, S]
PASSAGES = np.asarray([[40, 0], [0, 40], [80, 80], [160, 0]], np.float16)  # [P, S]
CAPTION_STYLE = np.asarray([0, 1], np.float32)  # [S]


@pytest.fixture
def stories() -> StorySet:
    """Returns two openings and four passages, three of them in two styles, among three captions of a bank."""
    return StorySet(
        bank=np.asarray([[1, 0], [3, 0], [0, 6]], np.float16),
        near=np.asarray([[0, 1], [2, 0]], np.int32),
        openings=Tokens.of([[5, 6], [7]]),
        captions=Tokens.of([[8], [9, 9]]),
        names=Tokens.of([[20], [21, 22]]),
        protagonists=np.asarray([[0, 1], [1, 0]], np.int32),
        passages=Tokens.of([[PROTAGONIST_ID, 10], [11, PROTAGONIST_ID, 12, PROTAGONIST_ID], [13], [14]]),
        women=np.asarray([False, True, False, False]),
        vectors=PASSAGES,
        rows=np.asarray([[[0], [1]], [[2], [0]]]),
        styles=BOTH_STYLES,
        source=CAPTION_STYLE,
    )


@pytest.mark.parametrize(
    ("query", "place", "story"),
    [
        (0, 0, [5, 6, 20, 10]),  # a man: the first of the opening's two names
        (1, 1, [7, 11, 20, 12, 20]),  # a woman, twice: the second
        (0, 2, [5, 6, 13]),  # nobody
        (1, 0, [7, 21, 22, 10]),  # a name of two words
    ],
)
def test_a_story_is_an_opening_and_a_passage_about_the_same_person(
    stories: StorySet, query: int, place: int, story: list[int]
) -> None:
    assert stories.compose(query, place).tolist() == story


@pytest.mark.parametrize(
    ("query", "count", "context"), [(0, 1, [1, 0]), (0, 2, [2, 0]), (1, 1, [0, 6]), (1, 2, [0.5, 3])]
)
def test_a_context_is_the_mean_of_the_nearest_captions(
    stories: StorySet, query: int, count: int, context: list[float]
) -> None:
    found = stories.context(query, count)
    assert found.tolist() == context and found.dtype == np.float32


def test_stories_survive_the_disk(stories: StorySet, tmp_path: Path) -> None:
    stories.save(tmp_path / "stories.npz")
    again = StorySet.load(tmp_path / "stories.npz")
    for name, value in vars(stories).items():
        found = getattr(again, name)
        if isinstance(value, Tokens):
            assert [text.tolist() for text in found] == [text.tolist() for text in value], name
        else:
            assert np.array_equal(found, value) and found.dtype == value.dtype, name
    assert [file.name for file in tmp_path.iterdir()] == ["stories.npz"]


class Lengths(nn.Module):
    """A sentence encoder whose vectors say how long a text is."""

    def encode(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Returns vectors `[N, 2]` of ids `[N, T]`."""
        return torch.stack([lengths, -lengths], dim=1).float()  # [N, 2]


def test_a_file_of_an_earlier_version_is_read(stories: StorySet, tmp_path: Path) -> None:
    stories.save(tmp_path / "stories.npz")
    with np.load(tmp_path / "stories.npz") as arrays:
        before = {name.replace("protagonists", "heroes"): value for name, value in arrays.items()}
    np.savez(tmp_path / "before.npz", **before)
    assert "heroes" in before
    assert np.array_equal(StorySet.load(tmp_path / "before.npz").protagonists, stories.protagonists)


def make_task(told: StorySet, **changes: Any) -> DecoderTask:
    """Returns a decoder's task over some stories and one source of texts, without noise."""
    config = DecoderConfig(tokens=64, noise=0.0, word_dropout=0.0, **changes)
    source = Source(Tokens.of([[5] * length for length in range(1, 9)]), np.full(8, -1))
    held_out = {"dev_books": Tokens.of([[5, 6], [7]])}
    model = StoryDecoder(2, 3, 4, 30, deep_output=True)
    return DecoderTask(config, Lengths(), model, {"books": source}, {"books": 1.0}, told, held_out)  # type: ignore[arg-type]


@pytest.fixture
def many(stories: StorySet) -> StorySet:
    """Returns the two openings 60 times each."""
    rows = np.arange(120) % 2  # [Q]
    changes = {
        "near": stories.near[rows],
        "openings": Tokens.of(stories.openings[row] for row in rows),
        "captions": Tokens.of(stories.captions[row] for row in rows),
        "protagonists": stories.protagonists[rows],
        "rows": stories.rows[:, rows],
    }
    return StorySet(**(vars(stories) | changes))


MEANS = {5: [[1, 0], [2, 0]], 7: [[0, 6], [0.5, 3]]}  # of the nearest caption, and of both, by the opening's first word
TAILS = {(5, 10): 0, (5, 13): 2, (7, 20): 1, (7, 10): 0}  # the passages near to each opening, by the story's ends


def drawn(task: DecoderTask) -> list[tuple[tuple[int, int], list[float]]]:
    """Returns the ends and the contexts of the stories of some batches."""
    found = []
    for seed in range(8):
        kind, texts, contexts = task._draw(np.random.default_rng(seed))
        assert kind == "story" and len(texts) == len(contexts)
        found += [((int(t[0]), int(t[-1])), c) for t, c in zip(texts, contexts.tolist(), strict=True)]
    return found


def test_stories_have_the_mean_of_some_captions_shifted_to_a_near_passage(many: StorySet) -> None:
    task = make_task(many, stories=1.0, plain=0.0, own=0.0, near=1.0, vague=0.0, least_strength=1.0)
    seen = set()
    for ends, context in drawn(task):
        before = (np.asarray(context) - PASSAGES[TAILS[ends]] + CAPTION_STYLE).tolist()
        seen.add((ends, MEANS[ends[0]].index(before)))
    assert len(seen) == 8, "four passages of openings, one caption or both"


def test_some_stories_have_only_the_style_and_some_any_passage(many: StorySet) -> None:
    task = make_task(many, stories=1.0, plain=0.0, own=0.0, near=0.0, vague=1.0, least_strength=1.0)
    for ends, context in drawn(task):
        style = {(5, 10): 0, (5, 13): 1, (7, 20): 0, (7, 10): 1}[ends]
        assert (np.asarray(context) - BOTH_STYLES[style] + CAPTION_STYLE).tolist() in MEANS[ends[0]]
    task = make_task(many, stories=1.0, plain=0.0, own=0.0, near=0.0, vague=0.0, least_strength=1.0)
    far = [(ends, context) for ends, context in drawn(task) if ends[1] == 14]  # near to no opening
    assert {ends[0] for ends, _ in far} == {5, 7}
    assert all((np.asarray(c) - PASSAGES[3] + CAPTION_STYLE).tolist() in MEANS[ends[0]] for ends, c in far)


def test_each_passage_comes_as_often_and_with_openings_by_their_weights() -> None:
    rows, weights = np.asarray([[0, 1], [0, 2], [1, 0]]), np.asarray([1.0, 3.0, 1.0])
    chances = np.diff(passage_shares(rows, weights), prepend=0).reshape(rows.shape)  # [Q, passages]
    expected = np.asarray([[0.2, 0.5], [0.6, 1.0], [0.5, 0.2]]) / 3
    assert np.allclose(chances, expected)


def test_a_text_weighs_by_its_most_seldom_word() -> None:
    texts = [[5]] * 56 + [[5, 6, 6]] * 40 + [[6, 5, 7]] * 4  # 5 is in 100 texts, 6 in 44, and 7 in 4, which are as 20
    weights = seldom_weights(Tokens.of(texts), 0.5)
    assert np.allclose(weights, [100**-0.5] * 56 + [44**-0.5] * 40 + [20**-0.5] * 4)
    assert seldom_weights(Tokens.of(texts), 0).tolist() == [1] * 100


@pytest.mark.parametrize("near", [0.0, 1.0])
def test_openings_with_rare_words_are_used_more_often(many: StorySet, near: float) -> None:
    openings = Tokens.of([[5], [5, 6], [7], [5, 6]][row % 4] for row in range(120))  # 5 in 90 of them, 7 in 30
    seldom = replace(many, openings=openings)
    told = {}
    for power in (0.0, 2.0):
        task = make_task(seldom, stories=1.0, plain=0.0, own=0.0, near=near, vague=0.0, seldom=power)
        told[power] = np.mean([ends[0] == 7 for ends, _ in drawn(task)])
    assert 1.5 * told[0.0] < told[2.0] < 1


def test_the_shift_lies_around_its_full_strength(many: StorySet) -> None:
    task = make_task(many, stories=1.0, plain=0.0, own=0.0, near=0.0, vague=1.0, least_strength=0.8)
    task.contexts = lambda queries, draw: torch.zeros(len(queries), 2)  # type: ignore[method-assign]
    shifts = [task._draw(np.random.default_rng(seed))[2].sum(dim=1) / 9 for seed in range(30)]
    strengths = torch.cat(shifts)  # [N]
    assert 0.8 <= strengths.min() < 0.85 and 1.15 < strengths.max() <= 1.2


def test_captions_have_the_mean_as_it_is_and_other_texts_their_own_vector(many: StorySet) -> None:
    kind, texts, contexts = make_task(many, stories=0.0, plain=1.0, own=0.0)._draw(np.random.default_rng(0))
    assert kind == "plain"
    for text, context in zip(texts, contexts.tolist(), strict=True):
        assert context in ([[1, 0], [2, 0]] if text.tolist() == [8] else [[0, 6], [0.5, 3]])
    kind, texts, contexts = make_task(many, stories=0.0, plain=0.0, own=1.0)._draw(np.random.default_rng(0))
    assert kind == "books" and contexts.tolist() == [[len(text), -len(text)] for text in texts]


def test_a_batch_holds_texts_of_like_length(many: StorySet) -> None:
    task, lengths = make_task(many), [9, 1, 5, 2, 8, 3] * 4
    wide = 64 // 5  # tokens of a batch, by the mean length with its closing 0
    runs = [sorted(lengths)[first : first + wide] for first in range(len(lengths) - wide + 1)]
    for seed in range(9):
        rows = task._of_one_length([np.zeros(length, int) for length in lengths], np.random.default_rng(seed))
        assert [lengths[row] for row in rows] in runs


def test_some_openings_judge_and_are_never_learned(stories: StorySet, many: StorySet) -> None:
    for some, held in ((many, 2), (stories, 1)):
        task = make_task(some)
        assert len(task.dev) == held and sorted([*task.dev, *task.train]) == list(range(len(some.openings)))
        with torch.inference_mode():
            figures, again = task.evaluate(), task.evaluate()
        assert figures.keys() == {"dev_stories_nll", "dev_books_nll", "score"}
        assert figures["score"] == -figures["dev_stories_nll"] - figures["dev_books_nll"]
        assert figures == again


def test_the_loss_of_a_batch_changes_only_the_decoder(many: StorySet) -> None:
    task = make_task(many)
    loss = task.loss(0, np.random.default_rng(1))
    loss.value.backward()
    assert loss.tokens > 0 and all(weight.grad is not None for weight in task.model.parameters())
