"""Stories to learn from: openings with passages that suit them, and contexts as the main job makes them."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_handlers.nets.story_decoder import StoryDecoder
from pipelines.training.corpus import Corpus
from pipelines.training.decoder import DecoderConfig, DecoderTask
from pipelines.training.passages import Source
from pipelines.training.settings import ConfigError
from pipelines.training.stories import HERO_ID, StorySet, match_passages, proper_names, topics
from pipelines.training.story_material import StoriesConfig, _is_moving, books_of_styles
from pipelines.training.texts import Tokens

BOTH_STYLES = np.asarray([[10, 0], [0, 10]], np.float32)  # [styles, S]


@pytest.fixture
def stories() -> StorySet:
    """Returns two openings and three passages in two styles, among three captions of a bank."""
    return StorySet(
        bank=np.asarray([[1, 0], [3, 0], [0, 6]], np.float16),
        near=np.asarray([[0, 1], [2, 0]], np.int32),
        openings=Tokens.of([[5, 6], [7]]),
        captions=Tokens.of([[8], [9, 9]]),
        names=Tokens.of([[20], [21, 22]]),
        heroes=np.asarray([[0, 1], [1, 0]], np.int32),
        passages=Tokens.of([[HERO_ID, 10], [11, HERO_ID, 12, HERO_ID], [13]]),
        women=np.asarray([False, True, False]),
        rows=np.asarray([[[0], [1]], [[2], [0]]]),
        styles=BOTH_STYLES,
    )


@pytest.mark.parametrize(
    ("style", "query", "story"),
    [
        (0, 0, [5, 6, 20, 10]),  # a man: the first of the opening's two names
        (0, 1, [7, 11, 20, 12, 20]),  # a woman, twice: the second
        (1, 0, [5, 6, 13]),  # nobody
        (1, 1, [7, 21, 22, 10]),  # a name of two words
    ],
)
def test_a_story_is_an_opening_and_a_passage_about_the_same_person(
    stories: StorySet, style: int, query: int, story: list[int]
) -> None:
    assert stories.compose(style, query, np.random.default_rng(0)).tolist() == story


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


def test_names_are_written_with_a_capital() -> None:
    books = [["The old Henry saw Henry and May .", "In May the Sea was calm , the sea and the sea ."]]
    assert proper_names(books) == {"henry", "may"}
    assert proper_names([["Henry saw . Henry may", "Henry may go , may he ?"]]) == {"henry"}


def test_topics_are_mean_word_vectors_in_which_rare_words_count_more() -> None:
    vectors = np.asarray([[9, 9], [9, 9], [1, 0], [0, 1]], np.float32)  # [V, W]
    rarity = np.asarray([0, 0, 3, 4])  # [V]
    texts = Tokens.of([[2, 3], [HERO_ID, 3, HERO_ID], [1, HERO_ID], [], [2, 2]])
    wanted = [[0.6, 0.8], [0, 1], [0, 0], [0, 0], [1, 0]]
    for batch_size in (1, 2, 99):
        np.testing.assert_allclose(topics(texts, vectors, rarity, batch_size), wanted, atol=1e-6)


SEA_AND_DOG = np.asarray([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)  # [4, W]
HE_AND_SHE = np.asarray([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32)  # [4, 2]


def test_passages_match_by_topic_and_by_person() -> None:
    found = match_passages(SEA_AND_DOG, HE_AND_SHE, SEA_AND_DOG, HE_AND_SHE, 2, 9)
    assert found.tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]


def test_a_passage_gives_way_when_many_stories_have_it() -> None:
    same = np.zeros(6, int)
    for most, wanted in ((6, {0: 6}), (4, {0: 4, 1: 2}), (2, {0: 2, 1: 2, 2: 2})):
        found = match_passages(SEA_AND_DOG[same], HE_AND_SHE[same], SEA_AND_DOG, HE_AND_SHE, 1, most)
        assert Counter(found.ravel().tolist()) == wanted


def test_a_passage_that_is_near_to_everything_gives_way() -> None:
    queries, nobody = np.eye(2, dtype=np.float32), np.zeros((2, 2), np.float32)  # [Q, W], [Q, 2]
    passages = np.asarray([[0.7, 0.7], [0.6, 0]], np.float32)  # [P, W]
    found = match_passages(queries, nobody, passages, nobody, 1, 9)
    assert found.tolist() == [[1], [0]]  # 0.7 - 0.35 is less than 0.6 - 0.15


@pytest.mark.parametrize(
    ("passage", "moving"),
    [
        ("her heart was glad", True),  # a feeling
        ("he walked home", True),  # a scene
        ("he counted the spoons", False),
        ("her eyes were soft", True),
        ("her eyes and lips were soft", False),  # faces
    ],
)
def test_passages_tell_of_feelings_or_scenes_and_not_of_faces(passage: str, moving: bool) -> None:
    assert _is_moving(set(passage.split())) == moving


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Returns a corpus of four books, the last of which is held out."""
    (tmp_path / "novels").mkdir()
    for name in ("Bower_Hills", "Bower_Range", "Grimm_Tales", "Zola_Nana"):
        (tmp_path / "novels" / f"{name}.txt").write_text("A short book.\n")
    return Corpus(tmp_path, tmp_path / "prepared")


def test_styles_are_the_beginnings_of_book_names(corpus: Corpus) -> None:
    wanted = {"western": ["Bower"], "tale": ["Grimm", "Andersen"], "any": [""]}
    found = books_of_styles(StoriesConfig(styles=wanted), corpus, ["western", "tale", "any"])
    assert found == {"western": [0, 1], "tale": [2], "any": [0, 1, 2]}
    assert books_of_styles(StoriesConfig(), corpus, ["one", "two"]) == {"one": [0, 1, 2], "two": [0, 1, 2]}


def test_unknown_styles_and_styles_without_books_are_named_at_once(corpus: Corpus) -> None:
    wanted = {"western": ["Bower"], "naturalist": ["Zola"]}  # Zola's is held out
    with pytest.raises(ConfigError) as error:
        books_of_styles(StoriesConfig(styles=wanted), corpus, ["naturalist"])
    assert "stories.styles.western: the pack has naturalist" in str(error.value)
    assert "stories.styles.naturalist: no book's name begins so" in str(error.value)


class Lengths(nn.Module):
    """A sentence encoder whose vectors say how long a text is."""

    def encode(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Returns vectors `[N, 2]` of ids `[N, T]`."""
        return torch.stack([lengths, -lengths], dim=1).float()  # [N, 2]


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
        "heroes": stories.heroes[rows],
        "rows": stories.rows[:, rows],
    }
    return StorySet(**(vars(stories) | changes))


def test_stories_have_the_mean_of_some_captions_shifted_to_their_style(many: StorySet) -> None:
    task = make_task(many, stories=1.0, plain=0.0, own=0.0, least_strength=1.0)
    tails = {(5, 10): 0, (5, 13): 1, (7, 20): 0, (7, 10): 1}  # style by first and last word
    means = {5: [[1, 0], [2, 0]], 7: [[0, 6], [0.5, 3]]}  # of the nearest caption, and of both, by the first word
    seen = set()
    for seed in range(8):
        kind, texts, contexts = task._draw(np.random.default_rng(seed))
        assert kind == "story" and len(texts) == len(contexts)
        for text, context in zip(texts, contexts, strict=True):
            style = tails[int(text[0]), int(text[-1])]
            before = (context.numpy() - BOTH_STYLES[style]).tolist()
            seen.add((style, int(text[0]), means[int(text[0])].index(before)))
    assert len(seen) == 8, "two styles, two openings, one caption or both"


def test_the_shift_lies_around_its_full_strength(many: StorySet) -> None:
    task = make_task(many, stories=1.0, plain=0.0, own=0.0, least_strength=0.8)
    task.contexts = lambda queries, draw: torch.zeros(len(queries), 2)  # type: ignore[method-assign]
    shifts = [task._draw(np.random.default_rng(seed))[2].sum(dim=1) / 10 for seed in range(30)]
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


def test_the_loss_of_a_batch_falls_on_the_decoder_alone(many: StorySet) -> None:
    task = make_task(many)
    loss = task.loss(0, np.random.default_rng(1))
    loss.value.backward()
    assert loss.tokens > 0 and all(weight.grad is not None for weight in task.model.parameters())
