"""A beam search with rules, beside the original one: lengths, whole sentences, repetitions, and common phrases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model_handlers.nets.search import Candidates, Hypothesis, Step, candidates_of_photos
from model_handlers.nets.story_decoder import END, START, UNKNOWN

PLAUSIBLE = 0.1  # of the likeliest word's probability: less likely words are never chosen for being uncommon


@dataclass(frozen=True)
class SearchRules:
    """What a search may write; by default everything that the original search may.

    Attributes:
        min_words: least words of a sequence; above 0, it ends only where a sentence has ended.
        max_words: most words; where nothing has ended by then, the best is cut after its last whole sentence.
        no_repeat: so many words never come twice in the same order; 0 lets them.
        contrast: how much to punish words that are as likely without the photo, from 0 to 1.
    """

    min_words: int = 0
    max_words: int = 1000
    no_repeat: int = 0
    contrast: float = 0.0

    @property
    def neutral(self) -> bool:
        """Tells whether the original search serves."""
        return self == NO_RULES


NO_RULES = SearchRules()


@dataclass(frozen=True)
class Marks:
    """Ids of the words that end a sentence, and of the quotes that may follow them."""

    ends: frozenset[int]
    quotes: frozenset[int]

    def whole(self, words: Tensor, before: Tensor) -> Tensor:
        """Returns where a sentence has ended `[R]` after the next `words` `[R]`, from where it had `before` `[R]`."""
        ends, quotes = (torch.tensor(sorted(ids), device=words.device) for ids in (self.ends, self.quotes))
        return torch.isin(words, ends) | (torch.isin(words, quotes) & before)  # [R]


@dataclass
class _Front:
    """The live hypotheses of all photos that are still searched, those of a photo side by side, best first.

    Attributes:
        words: `[R, T]`.
        costs: summed negative log likelihood of the first 0 to T words `[R, T + 1]`.
        scores: what they are ranked by `[R]`, lower is better.
        whole: where the last word, or a quote after it, ends a sentence `[R]`.
        states: the decoder's after all words but the last `[R, H]`.
        style_states: the same, started by the style alone; None without contrast.
    """

    words: Tensor
    costs: Tensor
    scores: Tensor
    whole: Tensor
    states: Tensor
    style_states: Tensor | None

    @classmethod
    def start(cls, states: Tensor, style_states: Tensor | None) -> "_Front":
        zeros = torch.zeros(len(states), 1, device=states.device)  # [N, 1]
        words = torch.zeros(len(states), 0, dtype=torch.long, device=states.device)  # [N, 0]
        return cls(words, zeros, zeros[:, 0], torch.zeros_like(zeros[:, 0], dtype=torch.bool), states, style_states)

    def step(self, step: Step) -> tuple[Tensor, Tensor | None]:
        """Moves the states on by the last word; returns next-word probabilities `[R, V]`, and the style's own."""
        count, length = self.words.shape
        start = torch.full((count,), START, device=self.words.device)  # [R]
        last = self.words[:, -1] if length else start  # [R]
        if self.style_states is None:
            probabilities, self.states = step(last, self.states)  # [R, V], [R, H]
            return probabilities, None
        both, states = step(last.repeat(2), torch.cat([self.states, self.style_states]))  # [2R, V], [2R, H]
        self.states, self.style_states = states[:count], states[count:]  # [R, H], [R, H]
        return both[:count], both[count:]

    def follow(self, rows: list[int], words: list[int], scores: Tensor, losses: Tensor, marks: Marks) -> "_Front":
        """Returns the hypotheses in `rows`, each with its next word and its score `[R]`."""
        origins = torch.tensor(rows, dtype=torch.long, device=self.words.device)  # [R]
        chosen = torch.tensor(words, dtype=torch.long, device=self.words.device)  # [R]
        costs = self.costs[origins, -1] + losses[origins, chosen]  # [R]
        return _Front(
            torch.cat([self.words[origins], chosen[:, None]], dim=1),  # [R, T + 1]
            torch.cat([self.costs[origins], costs[:, None]], dim=1),  # [R, T + 2]
            scores,
            marks.whole(chosen, self.whole[origins]),  # [R]
            self.states[origins],  # [R, H]
            None if self.style_states is None else self.style_states[origins],  # [R, H]
        )


def repeated_words(words: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns rows and words that would say `count` words of a row in the same order again, from `words` `[R, T]`."""
    length = words.shape[1]
    if length < count:
        nothing = words.new_zeros(0)  # [0]
        return nothing, nothing
    windows = words.unfold(1, count, 1)  # [R, T - count + 1, count]
    same = (windows[:, :, :-1] == words[:, None, length - count + 1 :]).all(dim=2)  # [R, T - count + 1]
    rows, places = same.nonzero(as_tuple=True)  # [M], [M]
    return rows, windows[rows, places, -1]


def contrasted(losses: Tensor, style: Tensor, contrast: float) -> Tensor:
    """Returns negative logs `[R, V]` of p(w | photo) / p(w | style alone)^contrast among plausible words, which sum to
    1; infinite for the others.

    Args:
        losses: -log p(w | photo) `[R, V]`; infinite where a word is barred.
        style: p(w | style alone) `[R, V]`; it is overwritten.
        contrast: 0 leaves the photo's own distribution over its plausible words.
    """
    most = losses.amin(dim=1, keepdim=True) - math.log(PLAUSIBLE)  # [R, 1]
    plausible = (losses <= most) & losses.isfinite()  # [R, V]
    punished = style.clamp_(min=torch.finfo(style.dtype).tiny).log_().mul_(contrast).add_(losses)  # [R, V]
    punished.masked_fill_(~plausible, math.inf)  # [R, V]
    total = (-punished).logsumexp(dim=1, keepdim=True)  # [R, 1]
    return torch.where(plausible, punished + total, math.inf)  # [R, V]


def cut_back(words: Sequence[int], costs: Sequence[float], marks: Marks) -> Hypothesis:
    """Returns the longest whole sentences that words start with, or all words where no sentence ended, with a 0 that
    costs nothing.

    Args:
        words: of one hypothesis, T.
        costs: of its first 0 to T words.
        marks: what ends a sentence.
    """
    kept, whole = 0, False
    for length, word in enumerate(words, 1):
        whole = word in marks.ends or (whole and word in marks.quotes)
        kept = length if whole else kept
    kept = kept or len(words)
    return Hypothesis((*words[:kept], END), costs[kept])


class _Photo:
    """One photo's search: its finished hypotheses, and how many rows of the front are its live ones."""

    def __init__(self, width: int, whole: bool) -> None:
        self.width = width
        self.whole = whole
        self.finished: list[Hypothesis] = []
        self.live = 1

    @property
    def kept(self) -> int:
        return self.width - len(self.finished)

    def take(self, front: _Front, losses: Tensor, first: int, candidates: Candidates, marks: Marks) -> list[int]:
        """Takes this step's candidates, best first; returns the places of those that live on, none where it is over.

        Args:
            front: the live hypotheses of all photos.
            losses: -log p of their next words `[R, V]`.
            first: this photo's first row.
            candidates: parent rows from there, words, and scores.
            marks: what ends a sentence.
        """
        parents, words, scores = candidates
        live = []
        for place, score in enumerate(scores.tolist()):
            if score == math.inf:
                break
            if words[place] != END:
                live.append(place)
                continue
            row = first + parents[place]
            cost = float(front.costs[row, -1] + losses[row, END])
            self.finished.append(Hypothesis((*front.words[row].tolist(), END), cost, score))
        if live and not self._won(float(scores[live[0]])):
            self.live = len(live)
            return live
        if not self.finished:
            self.finished.append(cut_back(front.words[first].tolist(), front.costs[first].tolist(), marks))
        return []

    def _won(self, best_live: float) -> bool:
        if self.whole:
            return False
        return any(one.score is not None and one.score <= best_live for one in self.finished)


@torch.inference_mode()
def ruled_search(
    step: Step,
    states: Tensor,
    beam_width: int,
    rules: SearchRules,
    marks: Marks,
    style_states: Tensor | None = None,
    whole: bool = False,
) -> list[list[Hypothesis]]:
    """Returns each photo's finished hypotheses by the original's beam search under rules; at least one, none empty.

    They are ranked by `score`: the cost, or with contrast the sum of contrasted losses, where the `cost` stays the
    likelihood under the photo's own distribution. A photo leaves the batch when no live hypothesis can win any more,
    which is known since scores never fall.

    Args:
        step: the decoder.
        states: first state of each photo `[N, H]`.
        beam_width: finished and live hypotheses of a photo, at least 1.
        rules: what may be written.
        marks: what ends a sentence.
        style_states: first states from each photo's style alone `[N, H]`; only contrast needs them.
        whole: go on until as many have finished as the beam is wide; the winner is the same.

    Raises:
        ValueError: the beam width is below 1, or contrast lacks the style's states.
    """
    if beam_width < 1:
        raise ValueError(f"beam width must be at least 1, not {beam_width}")
    if rules.contrast and style_states is None:
        raise ValueError("contrast needs the states of the style alone")
    photos = [_Photo(beam_width, whole) for _ in range(len(states))]
    searched = list(photos)
    front = _Front.start(states, style_states if rules.contrast else None)
    while searched:
        probabilities, style = front.step(step)  # [R, V], [R, V]
        bar(probabilities, front, rules)
        losses = probabilities.log_().neg_()  # [R, V]
        gains = losses if style is None else contrasted(losses, style, rules.contrast)  # [R, V]
        totals = front.scores[:, None] + gains  # [R, V]
        searched, front = _advance(searched, front, totals, losses, marks)
    return [photo.finished for photo in photos]


def bar(probabilities: Tensor, front: _Front, rules: SearchRules) -> None:
    """Takes away the probabilities `[R, V]` of words that the rules do not let come next."""
    length = front.words.shape[1]
    probabilities[:, UNKNOWN] = 0  # [R]
    if length < max(rules.min_words, 1):
        probabilities[:, END] = 0  # [R]
    elif rules.min_words:
        probabilities[:, END] *= front.whole  # [R]
    if length >= rules.max_words:
        probabilities[:, END + 1 :] = 0  # [R, V - 1]
    if rules.no_repeat:
        rows, words = repeated_words(front.words, rules.no_repeat)  # [M], [M]
        probabilities[rows, words] = 0  # [M]


def _advance(
    searched: list[_Photo], front: _Front, totals: Tensor, losses: Tensor, marks: Marks
) -> tuple[list[_Photo], _Front]:
    """Returns the photos that are searched on, and their live hypotheses one word longer.

    Args:
        searched: photos whose live hypotheses are the front's.
        front: these hypotheses.
        totals: their scores with each next word `[R, V]`.
        losses: -log p of each next word `[R, V]`.
        marks: what ends a sentence.
    """
    counts = [photo.live for photo in searched]
    found = candidates_of_photos(totals, counts, [photo.kept for photo in searched])
    rows: list[int] = []
    words: list[int] = []
    scores = [front.scores[:0]]  # [0]
    left = []
    first = 0
    for photo, count, candidates in zip(searched, counts, found, strict=True):
        parents, chosen, ranks = candidates
        if places := photo.take(front, losses, first, candidates, marks):
            left.append(photo)
            rows += [first + parents[place] for place in places]
            words += [chosen[place] for place in places]
            scores.append(ranks[places])  # [live]
        first += count
    return left, front.follow(rows, words, torch.cat(scores), losses, marks)
