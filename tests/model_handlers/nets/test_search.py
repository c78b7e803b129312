"""Searches over hand-written transition matrices, with expected beams read off them."""

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from model_handlers.nets import beams
from model_handlers.nets.front import Hypothesis
from model_handlers.nets.search import beam_search, best_hypothesis, greedy_search, sample
from model_handlers.nets.story_decoder import StoryDecoder

# Probabilities of the next word, one row for each word before it; the last row, -1, is the start.
MATRICES = torch.tensor(
    [
        [  # photo 0
            [0.0, 0.0, 0.0, 0.0, 0.0],  # 0, the end: nothing follows
            [0.0, 1.0, 0.0, 0.0, 0.0],  # 1, unknown
            [0.2, 0.0, 0.0, 0.8, 0.0],  # 2
            [0.5, 0.1, 0.1, 0.1, 0.2],  # 3
            [0.9, 0.0, 0.1, 0.0, 0.0],  # 4
            [0.1, 0.3, 0.4, 0.2, 0.0],  # start
        ],
        [  # photo 1 ends early
            [0.0, 0.0, 0.0, 0.0, 0.0],
            [0.6, 0.1, 0.3, 0.0, 0.0],
            [1.0, 0.0, 0.0, 0.0, 0.0],
            [0.5, 0.5, 0.0, 0.0, 0.0],
            [0.5, 0.5, 0.0, 0.0, 0.0],
            [0.3, 0.4, 0.2, 0.1, 0.0],
        ],
        [  # photo 2 never ends
            [0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 1.0],
            [0.0, 0.0, 0.0, 1.0, 0.0],
            [0.0, 0.0, 0.8, 0.0, 0.2],
            [0.0, 0.0, 0.0, 1.0, 0.0],
            [0.0, 0.1, 0.7, 0.2, 0.0],
        ],
    ]
)  # [3, 6, 5]


class Steps:
    """A step function whose state `[R, 1]` is the photo's number; it counts the rows it is given."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, words: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        self.rows.append(len(words))
        return MATRICES[states[:, 0].long(), words].log(), states


def photos(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)[:, None]  # [N, 1]


def expected(*pairs: tuple[tuple[int, ...], float]) -> list[tuple[tuple[int, ...], object]]:
    """Returns words with the costs of their probabilities."""
    return [(words, pytest.approx(-math.log(chance), abs=1e-5)) for words, chance in pairs]


def found(hypotheses: list[Hypothesis]) -> list[tuple[tuple[int, ...], float]]:
    return [(hypothesis.words, hypothesis.cost) for hypothesis in hypotheses]


@pytest.mark.parametrize(
    ("width", "beams"),
    [
        (1, [((2, 3, 0), 0.4 * 0.8 * 0.5)]),
        (2, [((3, 0), 0.2 * 0.5), ((2, 3, 0), 0.4 * 0.8 * 0.5)]),
        (3, [((0,), 0.1), ((3, 0), 0.2 * 0.5), ((2, 3, 0), 0.4 * 0.8 * 0.5)]),
    ],
)
def test_beams_narrow_as_hypotheses_finish(width: int, beams: list[tuple[tuple[int, ...], float]]) -> None:
    (hypotheses,) = beam_search(Steps(), photos(0), width)
    assert found(hypotheses) == expected(*beams)


def test_the_search_goes_on_after_the_best_has_finished() -> None:
    """The original has no early stop: all of the beam must finish (SPEC section 10)."""
    (hypotheses,) = beam_search(Steps(), photos(1), 3)
    assert found(hypotheses) == expected(((0,), 0.3), ((2, 0), 0.2), ((3, 0), 0.1 * 0.5))


def test_photos_that_have_finished_leave_the_batch() -> None:
    steps = Steps()
    searches = beam_search(steps, photos(0, 1), 2)
    assert found(searches[0]) == expected(((3, 0), 0.2 * 0.5), ((2, 3, 0), 0.4 * 0.8 * 0.5))
    assert found(searches[1]) == expected(((0,), 0.3), ((2, 0), 0.2))
    assert steps.rows == [2, 2 + 1, 1]  # both; two and one alive; photo 0 alone


def test_what_is_alive_at_the_last_step_has_no_end() -> None:
    steps = Steps()
    searches = beam_search(steps, photos(2, 1), 2, max_words=3)
    assert found(searches[0]) == expected(((2, 3, 2), 0.7 * 1.0 * 0.8), ((3, 2, 3), 0.2 * 0.8 * 1.0))
    assert found(searches[1]) == expected(((0,), 0.3), ((2, 0), 0.2))
    assert steps.rows == [2, 3, 2]


def test_more_hypotheses_than_words() -> None:
    """The unknown word is forbidden at 1e20, but it can come; a word of probability 0 never does."""
    (hypotheses,) = beam_search(Steps(), photos(0), 8, max_words=1)
    assert [hypothesis.words for hypothesis in hypotheses] == [(0,), (2,), (3,), (1,)]
    assert hypotheses[3].cost == pytest.approx(1e20)


def test_a_search_may_end_where_the_winner_is_known() -> None:
    """Of five, 2 3 0 is the fourth that finishes; 2 3 4, which lives, can but cost more."""
    steps, all_steps = Steps(), Steps()
    (some,) = beam_search(steps, photos(0), 5, whole=False)
    (whole,) = beam_search(all_steps, photos(0), 5)
    assert found(whole) == expected(
        ((0,), 0.1), ((3, 0), 0.2 * 0.5), ((2, 0), 0.4 * 0.2), ((2, 3, 0), 0.16), ((2, 3, 4, 0), 0.16 * 0.2 / 0.5 * 0.9)
    )
    assert some == whole[:4] and (len(steps.rows), len(all_steps.rows)) == (3, 4)
    (empty,) = beam_search(Steps(), photos(0), 3, whole=False)  # one without words does not count, however likely
    assert [one.words for one in empty] == [(0,), (3, 0), (2, 3, 0)]


def test_the_unknown_word_where_it_is_allowed() -> None:
    (hypotheses,) = beam_search(Steps(), photos(1), 2, allow_unknown=True)
    assert found(hypotheses) == expected(((0,), 0.3), ((1, 0), 0.4 * 0.6))
    (hypotheses,) = beam_search(Steps(), photos(1), 1)
    assert found(hypotheses) == expected(((0,), 0.3))


def test_no_photos_and_no_steps() -> None:
    assert beam_search(Steps(), photos(), 3) == []
    assert beam_search(Steps(), photos(0, 1), 3, max_words=0) == [[Hypothesis((), 0.0)]] * 2


def test_a_beam_without_width_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        beam_search(Steps(), photos(0), 0)


def test_photos_that_wait_take_the_lanes_of_those_that_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photo 2 never ends, photo 0 takes three steps and photo 1 two; two lanes are never empty while one waits."""
    monkeypatch.setitem(beams.ROWS, "cpu", 5)
    order = [2, 1, 0, 1, 0, 0]
    steps = Steps()
    searches = beam_search(steps, photos(*order), 2, max_words=9)
    for number, hypotheses in zip(order, searches, strict=True):
        assert hypotheses == beam_search(Steps(), photos(number), 2, max_words=9)[0]
    assert steps.rows == [2, 3, 3, 4, 3, 3, 3, 3, 4, 2, 2, 1]


@pytest.mark.parametrize("width", [1, 3, 7])
@torch.inference_mode()
def test_any_batch_in_any_order_gives_each_photo_what_it_gets_alone(width: int) -> None:
    torch.manual_seed(2)
    net = StoryDecoder(6, 4, 8, 15, deep_output=True)
    net.logits.weight.mul_(4)
    net.logits.bias[0] = 1.5
    states = net.initial_state(3 * torch.randn(8, 6))  # [8, 8]
    alone = [beam_search(net.step, state[None], width, max_words=40)[0] for state in states]
    assert len({len(hypotheses[-1].words) for hypotheses in alone}) > 1
    for order in (list(range(8)), [5, 2, 7, 0, 1, 6, 4, 3], [3, 3, 1]):
        for place, hypotheses in zip(order, beam_search(net.step, states[order], width, max_words=40), strict=True):
            assert [one.words for one in hypotheses] == [one.words for one in alone[place]]
            costs = [one.cost for one in alone[place]]
            assert [one.cost for one in hypotheses] == pytest.approx(costs, rel=1e-5)


@pytest.mark.parametrize(
    ("hypotheses", "best"),
    [
        ([((0,), 0.1), ((2, 0), 3.0), ((3, 0), 2.0)], (3, 0)),  # an empty one that finished first is dropped
        ([((2, 0), 3.0), ((0,), 0.1)], (0,)),  # and only there
        ([((2, 0), 1.0), ((3, 0), 1.0)], (2, 0)),  # the first of equals
        ([((2, 3), 0.5), ((3, 0), 1.0)], (2, 3)),  # one without an end counts too
        ([((0,), 0.1)], None),
        ([], None),
    ],
)
def test_the_best_hypothesis(hypotheses: list[tuple[tuple[int, ...], float]], best: tuple[int, ...] | None) -> None:
    chosen = best_hypothesis([Hypothesis(words, cost) for words, cost in hypotheses])
    assert (chosen.words if chosen else None) == best


def test_greedy_search_takes_the_likeliest_word() -> None:
    steps = Steps()
    searches = greedy_search(steps, photos(0, 1, 2), max_words=3)
    wanted = [((2, 3, 0), 0.4 * 0.8 * 0.5), ((0,), 0.3), ((2, 3, 2), 0.7 * 0.8)]
    assert found(searches) == expected(*wanted)
    assert steps.rows == [3, 2, 2]
    (unknown,) = greedy_search(Steps(), photos(1), allow_unknown=True)
    assert found([unknown]) == expected(((1, 0), 0.4 * 0.6))


def test_samples_depend_on_their_seed_alone() -> None:
    seeds, numbers = [3, 11, 4, 3, 20], [0, 1, 0, 0, 2]
    alone = [sample(Steps(), photos(number), [seed], 20)[0] for seed, number in zip(seeds, numbers, strict=True)]
    assert sample(Steps(), photos(*numbers), seeds, 20) == alone
    assert sample(Steps(), photos(*numbers[::-1]), seeds[::-1], 20) == alone[::-1]
    assert alone[0] == alone[3]
    assert len({hypothesis.words for hypothesis in sample(Steps(), photos(*[0] * 30), list(range(30)))}) > 3


@pytest.mark.parametrize(
    ("choices", "shares"),
    [
        ({}, [1 / 7, 0, 4 / 7, 2 / 7]),  # 0.1, 0.4 and 0.2 without the unknown word's 0.3
        ({"temperature": 0.5}, [1 / 21, 0, 16 / 21, 4 / 21]),  # squares
        ({"allow_unknown": True}, [0.1, 0.3, 0.4, 0.2]),
        ({"temperature": 1e-4}, [0, 0, 1, 0]),  # greedy in the limit, however small the powers
    ],
)
def test_words_are_drawn_by_their_probabilities(choices: dict[str, float], shares: list[float]) -> None:
    count = 1500
    drawn = Counter(one.words[0] for one in sample(Steps(), photos(*[0] * count), list(range(count)), 1, **choices))
    for word, share in enumerate(shares):
        assert drawn[word] / count == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / count))


def test_a_samples_cost_is_that_of_its_words() -> None:
    chances = {(0,): 0.1, (2, 0): 0.4 * 0.2, (3, 0): 0.2 * 0.5, (2, 3, 0): 0.4 * 0.8 * 0.5}
    samples = [one for one in sample(Steps(), photos(*[0] * 99), list(range(99))) if one.words in chances]
    assert {one.words for one in samples} == set(chances)
    assert found(samples) == expected(*[(one.words, chances[one.words]) for one in samples])


def test_wrong_temperatures_and_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="temperature must be above 0, not 0"):
        sample(Steps(), photos(0), [1], temperature=0)
    with pytest.raises(ValueError, match="2 seeds for 1 photos"):
        sample(Steps(), photos(0), [1, 2])
