"""Searches over a step function: the original's beam search for many photos at once, greedy search and sampling."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model_handlers.nets.story_decoder import END, START, UNKNOWN

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Maps words before `[R]` and states `[R, H]` to next-word probabilities `[R, V]` and new states `[R, H]`."""

Candidates = tuple[list[int], list[int], Tensor]
"""One photo's candidates: parent rows, counted from its first, words, and costs `[want]`."""

FORBIDDEN = 1e20


@dataclass(frozen=True)
class Hypothesis:
    """A decoded sequence.

    Attributes:
        words: ids, with the closing 0 where it ended.
        cost: summed negative log likelihood.
        score: what a search with rules ranked it by, lower is better; None where that is the cost.
    """

    words: tuple[int, ...]
    cost: float
    score: float | None = None


class _Beam:
    """One photo's search: how many hypotheses have finished, and the words of those alive."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.finished: list[Hypothesis] = []
        self.live: list[tuple[int, ...]] = [()]

    def advance(self, parents: list[int], words: list[int], costs: list[float]) -> list[int]:
        """Takes this step's kept candidates in rising order of cost; returns the places of those that live on."""
        live, places = [], []
        for place, (parent, word, cost) in enumerate(zip(parents, words, costs, strict=True)):
            sequence = (*self.live[parent], word)
            if word == END:
                self.finished.append(Hypothesis(sequence, cost))
            else:
                live.append(sequence)
                places.append(place)
        self.live = live
        return places

    @property
    def done(self) -> bool:
        return not self.live or len(self.finished) >= self.width


def candidates_of_photos(costs: Tensor, rows: list[int], kept: list[int]) -> list[Candidates]:
    """Returns for each photo its least candidates, in rising order of cost.

    Args:
        costs: `[R, V]`, the rows of one photo side by side.
        rows: live hypotheses of each photo, their sum is R.
        kept: how many candidates each photo wants.
    """
    n_words = costs.shape[1]
    wide = min(max(kept), n_words)
    best, words = costs.topk(wide, dim=1, largest=False)  # [R, wide], [R, wide]
    photos = []
    for photo_best, photo_words, want in zip(best.split(rows), words.split(rows), kept, strict=True):
        flat = photo_best.reshape(-1)  # [rows * wide]
        order = flat.sort(stable=True).indices[:want]  # [want]
        photos.append(((order // wide).tolist(), photo_words.reshape(-1)[order].tolist(), flat[order]))  # 3 x [want]
    return photos


@torch.inference_mode()
def beam_search(
    step: Step, states: Tensor, beam_width: int, max_words: int = 1000, allow_unknown: bool = False
) -> list[list[Hypothesis]]:
    """Returns each photo's hypotheses in the order in which they finished (SPEC section 10).

    Every finished hypothesis narrows its photo's beam by one, and the photo leaves the batch when all have finished.
    What is alive after `max_words` steps follows in the order of the beam, without a closing 0.

    Args:
        step: the decoder.
        states: first state of each photo `[N, H]`.
        beam_width: finished and live hypotheses of a photo, at least 1.
        max_words: steps after which the search stops.
        allow_unknown: let hypotheses hold the unknown word.

    Raises:
        ValueError: the beam width is below 1.
    """
    if beam_width < 1:
        raise ValueError(f"beam width must be at least 1, not {beam_width}")
    beams = [_Beam(beam_width) for _ in range(len(states))]
    active = list(beams)
    words = torch.full((len(states),), START, device=states.device)  # [R]
    costs = torch.zeros(len(states), device=states.device)  # [R]
    for _ in range(max_words):
        if not active:
            break
        probabilities, states = step(words, states)  # [R, V], [R, H]
        candidates = costs[:, None] - probabilities.log()  # [R, V]
        if not allow_unknown:
            candidates[:, UNKNOWN] = FORBIDDEN  # [R]
        active, words, costs, states = _advance(active, candidates, states)
    for beam, rest in zip(active, costs.split([len(beam.live) for beam in active]), strict=True):
        pairs = zip(beam.live, rest.tolist(), strict=True)
        beam.finished += [Hypothesis(sequence, cost) for sequence, cost in pairs]
    return [beam.finished for beam in beams]


def _advance(active: list[_Beam], candidates: Tensor, states: Tensor) -> tuple[list[_Beam], Tensor, Tensor, Tensor]:
    """Returns the photos still searching with their live rows' words `[R]`, costs `[R]` and states `[R, H]`."""
    rows = [len(beam.live) for beam in active]
    kept = [beam.width - len(beam.finished) for beam in active]
    words: list[int] = []
    origins: list[int] = []
    costs: list[Tensor] = []
    searching: list[_Beam] = []
    first = 0
    found = candidates_of_photos(candidates, rows, kept)
    for beam, count, (parents, chosen, scores) in zip(active, rows, found, strict=True):
        places = beam.advance(parents, chosen, scores.tolist())
        if not beam.done:
            searching.append(beam)
            words += [chosen[place] for place in places]
            origins += [first + parents[place] for place in places]
            costs.append(scores[places])  # [live]
        first += count
    device = states.device
    kept_costs = torch.cat(costs) if costs else torch.zeros(0, device=device)  # [R]
    return searching, torch.tensor(words, device=device, dtype=torch.long), kept_costs, states[origins]


def best_hypothesis(hypotheses: list[Hypothesis]) -> Hypothesis | None:
    """Returns the least costly hypothesis, the first of equals; an empty one counts only where it did not finish first.

    Where a search gave scores, they decide in place of costs. None where nothing is left (beam width 1 and an immediate
    end), which the original answers with a ValueError.
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
    """Returns for each photo the sequence of likeliest words, from first states `[N, H]`."""

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
    """Returns for each photo one sequence drawn from the decoder, the same for a seed whatever shares its batch.

    Args:
        step: the decoder.
        states: first states `[N, H]`.
        seeds: one for each photo.
        max_words: steps after which a sequence is cut.
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
            probabilities, states = step(words, states)  # [R, V], [R, H]
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
