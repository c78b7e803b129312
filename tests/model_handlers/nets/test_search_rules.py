"""A search with rules over hand-written transition matrices: each rule, read off them, and contrast by hand."""

import math

import pytest
import torch
from torch import Tensor

from model_handlers.nets.front import Hypothesis
from model_handlers.nets.search import beam_search, best_hypothesis
from model_handlers.nets.search_rules import NO_RULES, Marks, SearchRules, contrasted, cut_back, repeated_words
from model_handlers.nets.search_rules import ruled_search as search
from model_handlers.nets.story_decoder import StoryDecoder

# Words: 0 the end, 1 unknown, 2 and 3 words, 4 a full stop, 5 a closing quote. Rows: the word before; the last: start.
STOP, QUOTE = 4, 5
MARKS = Marks(frozenset([STOP]), frozenset([QUOTE]))
MATRICES = torch.tensor(
    [
        [  # photo 0 would end at once, or after one word
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            [0.6, 0.0, 0.0, 0.3, 0.1, 0.0],  # 2
            [0.2, 0.0, 0.3, 0.0, 0.5, 0.0],  # 3
            [0.5, 0.0, 0.3, 0.0, 0.0, 0.2],  # full stop
            [0.9, 0.0, 0.0, 0.1, 0.0, 0.0],  # quote
            [0.4, 0.2, 0.3, 0.1, 0.0, 0.0],  # start
        ],
        [  # photo 1 says 2 3 2 3 ... and never ends
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.9, 0.1, 0.0],
            [0.0, 0.0, 0.8, 0.1, 0.1, 0.0],
            [0.0, 0.0, 0.6, 0.3, 0.0, 0.1],
            [0.0, 0.0, 0.5, 0.5, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        ],
        [  # photo 2 is what a style says of no photo at all
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            [0.5, 0.1, 0.1, 0.1, 0.1, 0.1],
            [0.1, 0.1, 0.1, 0.1, 0.5, 0.1],
            [0.2, 0.1, 0.3, 0.2, 0.1, 0.1],
            [0.2, 0.1, 0.3, 0.2, 0.1, 0.1],
            [0.1, 0.1, 0.7, 0.1, 0.0, 0.0],
        ],
    ]
)  # [3, 7, 6]


class Steps:
    """A step function whose state `[R, 1]` is the photo's number; it counts the rows it is given."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, words: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        self.rows.append(len(words))
        return MATRICES[states[:, 0].long(), words].log(), states


def photos(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)[:, None]  # [N, 1]


def best(photo: int, width: int = 4, style: int | None = None, **rules: float) -> Hypothesis:
    styles = None if style is None else photos(style)
    (hypotheses,) = search(Steps(), photos(photo), width, SearchRules(**rules), MARKS, styles)  # type: ignore[arg-type]
    chosen = best_hypothesis(hypotheses)
    assert chosen is not None
    return chosen


def cost(*chances: float) -> object:
    return pytest.approx(-sum(math.log(chance) for chance in chances), abs=1e-5)


def test_the_rules_of_the_original_are_neutral() -> None:
    assert NO_RULES.neutral and SearchRules(0, 1000, 0, 0.0).neutral
    changed = [{"min_words": 1}, {"max_words": 999}, {"no_repeat": 4}, {"contrast": 0.1}]
    assert not any(SearchRules(**change).neutral for change in changed)  # type: ignore[arg-type]


def test_least_words_end_where_a_sentence_ends() -> None:
    assert best(0).words == (2, 0)
    told = best(0, min_words=1)
    assert (told.words, told.cost) == ((3, STOP, 0), cost(0.1, 0.5, 0.5))
    assert told.score == pytest.approx(told.cost)
    longer = best(0, min_words=4)
    assert (longer.words, longer.cost) == ((2, 3, STOP, QUOTE, 0), cost(0.3, 0.3, 0.5, 0.2, 0.9))


def test_a_quote_ends_a_sentence_only_after_its_mark() -> None:
    before = torch.tensor([True, False, False, True])  # [4]
    whole = MARKS.whole(torch.tensor([QUOTE, QUOTE, STOP, 3]), before)  # [4]
    assert whole.tolist() == [True, False, True, False]
    assert not Marks(frozenset(), frozenset()).whole(torch.tensor([STOP]), torch.tensor([True])).any()


def test_most_words_leave_whole_sentences() -> None:
    told = best(1, max_words=6, width=1)
    assert (told.words, told.cost) == ((2, 3, 2, 3, 2, 3, 0), cost(0.9, 0.8, 0.9, 0.8, 0.9))  # no sentence ended
    told = best(1, max_words=6, no_repeat=2, width=1)
    assert (told.words, told.cost) == ((2, 3, 2, STOP, 0), cost(0.9, 0.8, 0.1))  # 2 3 2 4 2, and nothing new after 2


def test_what_ends_in_time_is_not_cut() -> None:
    assert best(0, max_words=1).words == (2, 0)
    assert best(0, max_words=3, min_words=3).words == (2, 3, STOP, 0)
    assert len(best(0, max_words=2, min_words=2).words) == 3


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ([2, STOP, 3, STOP, 2], 4),
        ([2, STOP, QUOTE, QUOTE, 3], 4),
        ([2, QUOTE, 3], 3),  # no sentence ended: all stays
        ([STOP, 2, QUOTE], 1),
        ([], 0),
    ],
)
def test_cut_back_to_the_last_whole_sentence(words: list[int], kept: int) -> None:
    costs = [0.5 * place for place in range(len(words) + 1)]
    assert cut_back(words, costs, MARKS) == Hypothesis((*words[:kept], 0), 0.5 * kept)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, {(0, 2), (0, 3), (1, 2), (1, 3), (1, 4)}),
        (2, {(0, 2), (0, 3), (1, 4)}),  # row 0: 2 3 and 2 2 were said; row 1: 3 4
        (3, {(0, 2)}),  # row 0: 3 2 2 was said
        (4, {(0, 2)}),  # row 0: 2 3 2 2
        (5, set()),
        (6, set()),
        (7, set()),
    ],
)
def test_words_that_would_repeat_by_hand(count: int, expected: set[tuple[int, int]]) -> None:
    words = torch.tensor([[2, 3, 2, 2, 3, 2, 9], [2, 3, 4, 2, 4, 3, 3]])  # [2, 7], the last words of which are not said
    found, again = repeated_words(words, torch.tensor([6, 6]), count)  # [2, M], [2, M]
    rows, places = again.nonzero(as_tuple=True)
    assert set(zip(rows.tolist(), found[rows, places].tolist(), strict=True)) == expected


def test_rows_of_other_lengths_repeat_their_own_words() -> None:
    words = torch.tensor([[2, 3, 2, 3, 2], [2, 3, 2, 9, 9], [2, 2, 2, 2, 2]])  # [3, 5]
    found, again = repeated_words(words, torch.tensor([5, 3, 1]), 2)  # [3, 4], [3, 4]
    assert [sorted(set(row[said].tolist())) for row, said in zip(found, again, strict=True)] == [[3], [3], []]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_nothing_is_said_twice(count: int) -> None:
    torch.manual_seed(4)
    net = StoryDecoder(6, 4, 8, 9, deep_output=False)
    net.logits.bias.data[0] = -9.0
    states = net.initial_state(torch.randn(5, 6)).detach()  # [5, 8]
    for hypotheses in search(net.step, states, 3, SearchRules(max_words=25, no_repeat=count), MARKS):
        for one in hypotheses:
            said = one.words[:-1]
            grams = [said[place : place + count] for place in range(len(said) - count + 1)]
            assert len(grams) == len(set(grams)) and len(said) > count and 1 not in said


def test_a_photo_that_cannot_go_on_keeps_what_it_said() -> None:
    told = best(1, no_repeat=1, max_words=50)
    assert (told.words, told.cost) == ((2, 3, STOP, QUOTE, 0), cost(0.9, 0.1, 0.1))


def test_contrast_by_hand() -> None:
    chances = torch.tensor([[0.5, 0.3, 0.04, 0.16, 0.0]])  # [1, 5]; 0.04 is less than a tenth of 0.5
    style = torch.tensor([[0.8, 0.1, 0.0, 0.0, 0.1]])  # [1, 5]
    found = contrasted(-chances.log(), style.clone(), 0.5).exp().reciprocal()[0]  # [5]
    tiny = torch.finfo(torch.float32).tiny
    weights = [0.5 / 0.8**0.5, 0.3 / 0.1**0.5, 0.16 / tiny**0.5]
    expected = [weights[0], weights[1], 0, weights[2], 0]
    torch.testing.assert_close(found, torch.tensor(expected) / sum(expected), rtol=1e-4, atol=0)
    plain = contrasted(-chances.log(), style.clone(), 0.0).exp().reciprocal()[0]  # [5]
    torch.testing.assert_close(plain, torch.tensor([0.5, 0.3, 0, 0.16, 0]) / 0.96)
    barred = torch.full((1, 5), math.inf)  # [1, 5]
    assert contrasted(barred, style, 0.5).isposinf().all()


def test_common_phrases_are_punished() -> None:
    """The style would say 2 without a photo as well, so that what the photo adds, 3, wins; the cost is the photo's."""
    assert best(0, width=1).words == (2, 0)
    first, second = {2: 0.3 / 0.7, 3: 0.1 / 0.1}, {0: 0.2 / 0.1, 2: 0.3 / 0.1, STOP: 0.5 / 0.5}
    shares = [first[3] / sum(first.values()), second[2] / sum(second.values())]
    told = best(0, style=2, contrast=1.0, width=1, max_words=2)
    assert (told.words, told.cost) == ((3, 2, 0), cost(0.1, 0.3, 0.6))
    assert told.score == cost(*shares)  # at the last word the end is the one choice, and free
    told = best(0, style=2, contrast=1.0, width=1, max_words=2, min_words=2)
    assert (told.words, told.cost) == ((3, 2, 0), cost(0.1, 0.3))  # no sentence ended: cut off


def test_contrast_needs_the_style() -> None:
    with pytest.raises(ValueError, match="contrast needs the states of the style without the photo"):
        search(Steps(), photos(0), 2, SearchRules(contrast=0.5), MARKS)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        search(Steps(), photos(0), 0, SearchRules(min_words=3), MARKS)


def test_photos_leave_when_nothing_can_win_any_more() -> None:
    steps = Steps()
    first, second = search(steps, photos(0, 1), 3, SearchRules(max_words=5), MARKS)
    assert [one.words for one in first] == [(2, 0)] and len(second[0].words) == 6
    assert steps.rows[:3] == [2, 2 + 1, 2] and len(steps.rows) == 6  # photo 0 is gone after two steps
    assert search(steps, photos(), 3, SearchRules(min_words=3), MARKS) == []


@pytest.fixture
def net() -> StoryDecoder:
    torch.manual_seed(2)
    net = StoryDecoder(6, 4, 8, 15, deep_output=True)
    with torch.no_grad():
        net.logits.weight.mul_(4)
        net.logits.bias[0] = 1.5
    return net


def test_rules_that_bind_nothing_find_what_the_original_finds(net: StoryDecoder) -> None:
    states = net.initial_state(3 * torch.randn(8, 6)).detach()  # [8, 8]
    rules = SearchRules(max_words=999)
    for plain, ruled in zip(beam_search(net.step, states, 5), search(net.step, states, 5, rules, MARKS), strict=True):
        wanted, found = best_hypothesis(plain), best_hypothesis(ruled)
        assert found is not None and wanted is not None and found.words == wanted.words
        assert found.cost == pytest.approx(wanted.cost, rel=1e-5) == pytest.approx(found.score, rel=1e-5)


@pytest.mark.parametrize("width", [1, 5])
@pytest.mark.parametrize(
    "rules",
    [
        SearchRules(min_words=8, max_words=20),
        SearchRules(min_words=6, max_words=15, no_repeat=2),
        SearchRules(min_words=3, max_words=30, no_repeat=3, contrast=0.5),
    ],
)
def test_any_batch_in_any_order_gives_each_photo_what_it_gets_alone(
    net: StoryDecoder, width: int, rules: SearchRules
) -> None:
    states, styles = (net.initial_state(3 * torch.randn(8, 6)).detach() for _ in range(2))  # [8, 8], [8, 8]

    def run(order: list[int]) -> list[Hypothesis | None]:
        searches = search(net.step, states[order], width, rules, MARKS, styles[order])
        assert all(rules.max_words >= len(one.words) - 1 for one in sum(searches, []))
        return [best_hypothesis(hypotheses) for hypotheses in searches]

    alone = [run([place])[0] for place in range(8)]
    assert len({one.words for one in alone if one}) > 4
    for order in (list(range(8)), [5, 2, 7, 0, 1, 6, 4, 3], [3, 3, 1]):
        for place, found in zip(order, run(order), strict=True):
            wanted = alone[place]
            assert found is not None and wanted is not None and found.words == wanted.words
            assert found.cost == pytest.approx(wanted.cost, rel=1e-5)


@pytest.mark.parametrize("rules", [SearchRules(max_words=20), SearchRules(max_words=30, no_repeat=3, contrast=0.5)])
def test_a_whole_search_finds_the_same_winner_and_others(net: StoryDecoder, rules: SearchRules) -> None:
    states, styles = (net.initial_state(3 * torch.randn(8, 6)).detach() for _ in range(2))  # [8, 8], [8, 8]
    early, whole = (search(net.step, states, 5, rules, MARKS, styles, all_of) for all_of in (False, True))
    for some, found in zip(early, whole, strict=True):
        assert best_hypothesis(found) == best_hypothesis(some) and found[: len(some)] == some
        assert len(some) <= len(found) <= 5
    assert sum(map(len, whole)) > sum(map(len, early))
