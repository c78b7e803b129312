"""Searches over a step function: the original's beam search for many photos at once, greedy search and sampling."""

from collections.abc import Callable

import torch
from torch import Tensor

from model_handlers.nets.beams import Beams, Step
from model_handlers.nets.front import Hypothesis
from model_handlers.nets.story_decoder import END, START, UNKNOWN


def beam_search(
    step: Step,
    states: Tensor,
    beam_width: int,
    max_words: int = 1000,
    allow_unknown: bool = False,
    whole: bool = True,
) -> list[list[Hypothesis]]:
    """Returns each photo's hypotheses in the order in which they finished (SPEC section 10).

    Every finished hypothesis narrows its photo's beam by one, and the photo leaves the batch when all have finished.
    Hypotheses that are alive after `max_words` steps follow in the order of the beam, without a closing 0.

    Args:
        step: the decoder.
        states: first state of each photo `[N, H]`.
        beam_width: number of finished and live hypotheses of a photo, at least 1.
        max_words: number of steps after which the search stops.
        allow_unknown: let hypotheses hold the unknown word.
        whole: continue when the winner is known, as the original does; otherwise the winner is the same, but
            hypotheses that would finish later are missing.

    Raises:
        ValueError: the beam width is below 1.
    """
    return Beams(step, states, beam_width, max_words, whole, allow_unknown).run()


def best_hypothesis(hypotheses: list[Hypothesis]) -> Hypothesis | None:
    """Returns the least costly hypothesis, the first of equals; an empty one counts only where it did not finish first.

    If a search gave scores, they decide instead of costs. None if nothing is left (beam width 1 and an immediate end);
    the original raises a ValueError then.
    """
    return next(iter(rank_hypotheses(hypotheses)), None)


def rank_hypotheses(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
    """Returns the hypotheses that count, the least costly first; see `best_hypothesis`."""
    if hypotheses and hypotheses[0].words == (END,):
        hypotheses = hypotheses[1:]
    return sorted(hypotheses, key=_rank)


def _rank(hypothesis: Hypothesis) -> float:
    return hypothesis.cost if hypothesis.score is None else hypothesis.score


def greedy_search(step: Step, states: Tensor, max_words: int = 1000, allow_unknown: bool = False) -> list[Hypothesis]:
    """Returns the sequence of likeliest words for each photo, from first states `[N, H]`."""

    def choose(probabilities: Tensor, photos: list[int]) -> Tensor:
        return probabilities.argmax(dim=1)  # [R]

    return _follow(step, states, choose, max_words, allow_unknown)


def sample(
    step: Step,
    states: Tensor,
    seeds: list[int],
    max_words: int = 1000,
    temperature: float = 1.0,
    allow_unknown: bool = False,
) -> list[Hypothesis]:
    """Returns one sequence drawn from the decoder for each photo; it depends on the seed, not on the batch.

    Args:
        step: the decoder.
        states: first states `[N, H]`.
        seeds: seed of each photo.
        max_words: number of steps after which a sequence is cut.
        temperature: above 1 flattens the distribution, below 1 sharpens it.
        allow_unknown: let sequences hold the unknown word.

    Raises:
        ValueError: the temperature is not above 0, or seeds and states differ in number.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, not {temperature}; greedy search is the limit at 0")
    if len(seeds) != len(states):
        raise ValueError(f"{len(seeds)} seeds for {len(states)} photos")
    draws = [torch.Generator().manual_seed(seed) for seed in seeds]

    def choose(probabilities: Tensor, photos: list[int]) -> Tensor:
        scaled = probabilities.double() / probabilities.amax(dim=1, keepdim=True)  # [R, V], 1 at most: no underflow
        mass = scaled.pow(1 / temperature).cumsum(dim=1)  # [R, V]
        points = torch.stack([torch.rand((), generator=draws[photo], dtype=torch.float64) for photo in photos])  # [R]
        return torch.searchsorted(mass, points.to(mass.device)[:, None] * mass[:, -1:], right=True).squeeze(1)  # [R]

    return _follow(step, states, choose, max_words, allow_unknown)


def _follow(
    step: Step,
    states: Tensor,
    choose: Callable[[Tensor, list[int]], Tensor],
    max_words: int,
    allow_unknown: bool,
) -> list[Hypothesis]:
    """Returns one sequence a photo, each next word by `choose(probabilities [R, V], photos) -> words [R]`."""
    with torch.inference_mode():
        sequences: list[list[int]] = [[] for _ in range(len(states))]
        costs = [0.0] * len(states)
        photos = list(range(len(states)))
        words = torch.full((len(states),), START, device=states.device)  # [R]
        for _ in range(max_words):
            if not photos:
                break
            logits, states = step(words, states)  # [R, V], [R, H]
            probabilities = logits.softmax(dim=1)  # [R, V]
            if not allow_unknown:
                probabilities[:, UNKNOWN] = 0  # [R]
            words = choose(probabilities, photos)  # [R]
            losses = -probabilities.gather(1, words[:, None]).squeeze(1).log()  # [R]
            for photo, word, loss in zip(photos, words.tolist(), losses.tolist(), strict=True):
                sequences[photo].append(word)
                costs[photo] += loss
            going = words != END  # [R]
            photos = [photo for photo, goes in zip(photos, going.tolist(), strict=True) if goes]
            words, states = words[going], states[going]  # [R], [R, H]
    return [Hypothesis(tuple(sequence), cost) for sequence, cost in zip(sequences, costs, strict=True)]
