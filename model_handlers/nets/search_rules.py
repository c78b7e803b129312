"""A beam search with rules on lengths, whole sentences, repetitions and common phrases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from model_handlers.nets.beams import Beams, Step
from model_handlers.nets.front import Choice, Front, Hypothesis, appended, as_long, finished, of_parents
from model_handlers.nets.story_decoder import END, UNKNOWN

PLAUSIBLE = 0.1  # share of the likeliest word's probability: less likely words are never chosen, however uncommon


@dataclass(frozen=True)
class SearchRules:
    """Rules of a search; by default it may write everything that the original search may.

    Attributes:
        min_words: minimum number of words; above 0, a sequence ends only after a whole sentence.
        max_words: maximum number of words; if nothing has ended by then, the best is cut after its last whole sentence.
        no_repeat: number of words that never occur twice in the same order; 0 for no limit.
        contrast: penalty of words that are as likely without the photo, from 0 to 1.
    """

    min_words: int = 0
    max_words: int = 1000
    no_repeat: int = 0
    contrast: float = 0.0

    @property
    def neutral(self) -> bool:
        """Returns whether the original search keeps these rules."""
        return self == NO_RULES


NO_RULES = SearchRules()


@lru_cache(maxsize=16)
def _on_device(ids: frozenset[int], device: torch.device) -> Tensor:
    """Returns ids `[n]`; they are made once, since each copy to a GPU waits for it."""
    return torch.tensor(sorted(ids), dtype=torch.long, device=device)  # [n]


@dataclass(frozen=True)
class Marks:
    """Ids of the words that end a sentence, and of the quotes that may follow them."""

    ends: frozenset[int]
    quotes: frozenset[int]

    def whole(self, words: Tensor, before: Tensor) -> Tensor:
        """Returns whether a sentence has ended `[R]` after the next `words` `[R]`, from whether it had `before`."""
        ends, quotes = (_on_device(ids, words.device) for ids in (self.ends, self.quotes))
        return torch.isin(words, ends) | (torch.isin(words, quotes) & before)  # [R]


def repeated_words(words: Tensor, lengths: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns earlier words `[R, M]`, and which of them would now repeat `count` words in the same order.

    Args:
        words: `[R, T]`.
        lengths: number of words of each row `[R]`; values behind them are ignored.
        count: number of words, at least 1.
    """
    if words.shape[1] < count:
        return words[:, :0], torch.zeros_like(words[:, :0], dtype=torch.bool)  # [R, 0], [R, 0]
    windows = words.unfold(1, count, 1)  # [R, M, count]
    places = lengths[:, None] + torch.arange(1 - count, 0, device=words.device)  # [R, count - 1]
    last = words.gather(1, places.clamp(min=0))  # [R, count - 1]
    same = (windows[:, :, :-1] == last[:, None]).all(dim=2)  # [R, M]
    said = torch.arange(count, words.shape[1] + 1, device=words.device) <= lengths[:, None]  # [R, M]
    return windows[:, :, -1], same & said


def contrasted(losses: Tensor, style: Tensor, contrast: float) -> Tensor:
    """Returns -log of p(w | photo) / p(w | style)^contrast `[R, V]` for plausible words, infinite for the others.

    The probabilities of the plausible words sum to 1.

    Args:
        losses: -log p(w | photo) `[R, V]`; infinite for barred words.
        style: p(w | style) `[R, V]`; it is overwritten.
        contrast: 0 leaves the photo's own distribution over its plausible words.
    """
    most = losses.amin(dim=1, keepdim=True) - math.log(PLAUSIBLE)  # [R, 1]
    plausible = (losses <= most) & losses.isfinite()  # [R, V]
    punished = style.clamp_(min=torch.finfo(style.dtype).tiny).log_().mul_(contrast).add_(losses)  # [R, V]
    punished.masked_fill_(~plausible, math.inf)  # [R, V]
    total = (-punished).logsumexp(dim=1, keepdim=True)  # [R, 1]
    return torch.where(plausible, punished + total, math.inf)  # [R, V]


def cut_back(words: Sequence[int], costs: Sequence[float], marks: Marks) -> Hypothesis:
    """Returns the longest prefix of whole sentences, or all words if no sentence has ended.

    A closing 0 without cost is added.

    Args:
        words: the T words of one hypothesis.
        costs: costs of its first 0 to T words.
        marks: marks that end a sentence.
    """
    kept, whole = 0, False
    for length, word in enumerate(words, 1):
        whole = word in marks.ends or (whole and word in marks.quotes)
        kept = length if whole else kept
    kept = kept or len(words)
    return Hypothesis((*words[:kept], END), costs[kept])


class RuledBeams(Beams):
    """A search with rules: barred words are not chosen, and contrast ranks hypotheses by a score instead of their cost.

    Slots have besides `sums` `[N, B, T + 1]`, the costs of the first 0 to T words, `ended` `[N, B]`, whether a sentence
    ends with the last word or a quote after it, and with contrast `style_states` `[N, B, H]`. Lanes have `last_words`
    `[N, 1, T]`, `last_sums` and `last_length` `[N]`: the best of the hypotheses that lived last.

    Args:
        step: the decoder.
        states: first state of each photo `[N, H]`.
        width: B, finished and live hypotheses of a photo.
        rules: rules of the search.
        marks: marks that end a sentence.
        style_states: first states from each photo's style `[N, H]`, without the photo; only contrast needs them.
        whole: continue when the winner is known.
    """

    def __init__(
        self,
        step: Step,
        states: Tensor,
        width: int,
        rules: SearchRules,
        marks: Marks,
        style_states: Tensor | None,
        whole: bool,
    ) -> None:
        super().__init__(step, states, width, rules.max_words + 1, whole, allow_unknown=True)  # barred otherwise
        self.rules = rules
        self.marks = marks
        self.style_states = style_states

    def first(self, photos: Tensor) -> dict[str, Tensor]:
        """Returns the slots of photos `[N]` that start."""
        slots = super().first(photos)
        slots["sums"] = torch.zeros_like(slots["scores"])[..., None]  # [N, B, 1]
        slots["ended"] = torch.zeros_like(slots["scores"], dtype=torch.bool)  # [N, B]
        if self.style_states is not None:
            slots["style_states"] = self.style_states[photos][:, None].expand(-1, self.width, -1)  # [N, B, H]
        return slots

    def begin(self, slots: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the lanes of photos that start, from their slots."""
        lanes = super().begin(slots)
        last = {"last_words": slots["words"][:, :1], "last_sums": slots["sums"][:, :1]}  # [N, 1, 0], [N, 1, 1]
        return lanes | last | {"last_length": torch.zeros_like(lanes["live"])}  # [N]

    def move(self, front: Front, rows: Tensor, words: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns logits of the next words and the new states; with contrast those of photos, then those of styles."""
        if self.style_states is None:
            return super().move(front, rows, words)
        states = [front.slots[name].flatten(0, 1)[rows] for name in ("states", "style_states")]  # 2 x [R, H]
        logits, moved = self.step(words.repeat(2), torch.cat(states))  # [2R, V], [2R, H]
        photo, style = moved.chunk(2)  # [R, H], [R, H]
        return logits, {"states": photo, "style_states": style}

    def rate(self, front: Front, rows: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the probabilities `[R, V]` that rank the next words, and those of `costs`."""
        torch.softmax(logits, dim=1, out=logits)  # [R, V], with contrast [2R, V]
        chances, style = logits[: len(rows)], logits[len(rows) :]  # [R, V], [0 or R, V]
        self._bar(front, rows, chances)
        if self.style_states is None:
            return chances, chances
        return contrasted(-chances.log(), style, self.rules.contrast).neg_().exp_(), chances

    def _bar(self, front: Front, rows: Tensor, chances: Tensor) -> None:
        """Sets the probabilities `[R, V]` of words to 0 that the rules bar as next words."""
        rules, slots = self.rules, front.slots
        lengths = front.lanes["lengths"].repeat_interleave(self.width)[rows]  # [R]
        chances[:, UNKNOWN] = 0  # [R]
        early = lengths < max(rules.min_words, 1)  # [R]
        if rules.min_words:
            early |= ~slots["ended"].flatten()[rows]  # [R]
        chances[:, END].masked_fill_(early, 0)  # [R]
        if max(front.lengths) >= rules.max_words:
            chances[:, END + 1 :].masked_fill_((lengths >= rules.max_words)[:, None], 0)  # [R, V - 1]
        if rules.no_repeat:
            words, again = repeated_words(slots["words"].flatten(0, 1)[rows], lengths, rules.no_repeat)  # 2 x [R, M]
            most = torch.where(again, 0.0, torch.inf)  # [R, M]
            chances.scatter_reduce_(1, words, most, "amin")  # [R, V]

    def costs(self, front: Front, choice: Choice, chances: Tensor) -> Tensor:
        """Returns the costs `[N, B]` of the chosen continuations; contrast only changes their ranks."""
        if self.style_states is None:
            return choice.scores
        lengths = front.lanes["lengths"][:, None, None].expand(*choice.parents.shape, 1)  # [N, B, 1]
        before = of_parents(front.slots["sums"], choice.parents).gather(2, lengths).squeeze(2)  # [N, B]
        return before - chances[choice.rows, choice.words].log()

    def finish(self, front: Front, choice: Choice, costs: Tensor, ends: Tensor) -> dict[str, Tensor]:
        """Returns the lanes after hypotheses that end `[N, B]` have finished, with the best of the live ones kept."""
        lanes = super().finish(front, choice, costs, ends)
        lives = lanes["live"] > 0  # [N]
        for name in ("words", "sums"):
            before, best = as_long(lanes[f"last_{name}"], front.slots[name][:, :1])  # [N, 1, T], [N, 1, T]
            lanes[f"last_{name}"] = torch.where(lives[:, None, None], best, before)  # [N, 1, T]
        lanes["last_length"] = torch.where(lives, lanes["lengths"], lanes["last_length"])  # [N]
        return lanes

    def follow(self, front: Front, choice: Choice, costs: Tensor) -> dict[str, Tensor]:
        """Returns the slots of the hypotheses that continue, without their states."""
        slots = super().follow(front, choice, costs)
        sums = of_parents(front.slots["sums"], choice.parents)  # [N, B, T + 1]
        slots["sums"] = appended(sums, front.lanes["lengths"] + 1, max(front.lengths) + 1, costs)  # [N, B, T + 2]
        before = of_parents(front.slots["ended"], choice.parents)  # [N, B]
        slots["ended"] = self.marks.whole(choice.words, before)  # [N, B]
        return slots

    def leave(self, front: Front, lane: int) -> list[Hypothesis]:
        """Returns a photo's hypotheses: the finished ones, otherwise the best live one, cut after its last sentence."""
        if found := finished(front, lane, scored=True):
            return found
        length = int(front.lanes["last_length"][lane])
        words, sums = (front.lanes[f"last_{name}"][lane, 0].tolist() for name in ("words", "sums"))
        return [cut_back(words[:length], sums[: length + 1], self.marks)]


def ruled_search(
    step: Step,
    states: Tensor,
    beam_width: int,
    rules: SearchRules,
    marks: Marks,
    style_states: Tensor | None = None,
    whole: bool = False,
) -> list[list[Hypothesis]]:
    """Returns each photo's finished hypotheses of a beam search with rules; at least one, none empty.

    They are ranked by `score`: the cost, or with contrast the sum of contrasted losses, where the `cost` stays the
    likelihood under the photo's own distribution. A photo leaves the batch when no live hypothesis can win any more,
    since scores never fall.

    Args:
        step: the decoder.
        states: first state of each photo `[N, H]`.
        beam_width: finished and live hypotheses of a photo, at least 1.
        rules: rules of the search.
        marks: marks that end a sentence.
        style_states: first states from each photo's style `[N, H]`, without the photo; only contrast needs them.
        whole: continue until as many have finished as the beam is wide; the winner is the same.

    Raises:
        ValueError: the beam width is below 1, or contrast lacks the style's states.
    """
    if rules.contrast and style_states is None:
        raise ValueError("contrast needs the states of the style without the photo")
    styles = style_states if rules.contrast else None
    return RuledBeams(step, states, beam_width, rules, marks, styles, whole).run()
