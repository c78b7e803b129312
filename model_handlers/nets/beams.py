"""The beam search of 2015 (SPEC section 10) for many photos at once, as it extends a front of live hypotheses.

Photos are searched side by side in lanes. When a photo is done, the next waiting photo takes its lane, so that the
network always gets about the same number of rows: the live hypotheses on a CPU, all slots on a GPU.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor

from model_handlers.nets.blocks import block_count, block_maxima, block_values
from model_handlers.nets.front import Choice, Front, Hypothesis, appended, as_long, finished, of_parents
from model_handlers.nets.story_decoder import END, START, UNKNOWN

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Maps previous words `[R]` and states `[R, H]` to logits `[R, V]` of the next words and new states `[R, H]`.

The caller may overwrite the logits.
"""

FORBIDDEN = 1e20
ROWS = {"cpu": 640, "cuda": 8192}  # hypotheses that are extended at once
LOOKS = {"cpu": 1, "cuda": 8}  # steps between two checks of which photos are done; a check waits for the GPU


class Beams:
    """A search over all photos. Every finished hypothesis narrows its photo's beam by one.

    Args:
        step: the decoder.
        states: first state of each photo `[N, H]`.
        width: B, finished and live hypotheses of a photo, at least 1.
        max_words: steps after which the search of a photo stops.
        whole: continue until as many hypotheses have finished as the beam is wide. The winner is known earlier,
            since scores never fall.
        allow_unknown: let hypotheses hold the unknown word.

    Raises:
        ValueError: the beam width is below 1.
    """

    def __init__(
        self, step: Step, states: Tensor, width: int, max_words: int, whole: bool, allow_unknown: bool = False
    ) -> None:
        if width < 1:
            raise ValueError(f"beam width must be at least 1, not {width}")
        self.step = step
        self.states = states
        self.width = width
        self.max_words = max_words
        self.whole = whole
        self.allow_unknown = allow_unknown
        self._places = max(1, ROWS[states.device.type] // width)
        self._waiting = iter(range(len(states)))
        self._found: dict[int, list[Hypothesis]] = {}

    @torch.inference_mode()
    def run(self) -> list[list[Hypothesis]]:
        """Returns each photo's hypotheses, finished ones in the order in which they finished."""
        front = self._start(list(islice(self._waiting, self._places)))
        steps = 0
        while front.photos:
            look = steps % LOOKS[self.states.device.type] == 0 or max(front.lengths) >= self.max_words
            if look and (over := self._over(front)):
                front = self._replace(front, over)
            else:
                front = self.advance(front)
                steps += 1
        return [self._found[photo] for photo in range(len(self.states))]

    def _start(self, photos: list[int]) -> Front:
        chosen = torch.tensor(photos, dtype=torch.long, device=self.states.device)  # [N]
        slots = self.first(chosen)
        return Front(photos, [0] * len(photos), slots, self.begin(slots))

    def begin(self, slots: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the lanes of photos that start, from their slots."""
        words = slots["words"]  # [N, B, 0]
        count, places = len(words), self.width + 1
        none = words.new_zeros(count, places)  # [N, B + 1]
        nothing = torch.zeros_like(none, dtype=torch.float32)  # [N, B + 1]
        return {
            "lengths": words.new_zeros(count),  # [N]
            "live": words.new_ones(count),  # [N]
            "done": words.new_zeros(count),  # [N]
            "best": torch.full_like(nothing[:, 0], torch.inf),  # [N]
            "done_words": words.new_zeros(count, places, 0),  # [N, B + 1, 0]
            "done_lengths": none,
            "done_costs": nothing,
            "done_scores": nothing,
        }

    def first(self, photos: Tensor) -> dict[str, Tensor]:
        """Returns the slots of photos `[N]` that start."""
        count = len(photos)
        scores = torch.full((count, self.width), torch.inf, device=photos.device)  # [N, B]
        scores[:, 0] = 0  # [N]
        words = torch.zeros(count, self.width, 0, dtype=torch.long, device=photos.device)  # [N, B, 0]
        states = self.states[photos][:, None].expand(-1, self.width, -1)  # [N, B, H]
        return {"words": words, "scores": scores, "states": states}

    def _over(self, front: Front) -> list[int]:
        """Returns the lanes whose photos are done."""
        lanes = front.lanes
        over = (lanes["live"] == 0) | (lanes["done"] >= self.width)  # [N]
        if not self.whole:
            over |= lanes["best"] <= front.slots["scores"][:, 0]  # [N]
        found = over.tolist()
        return [lane for lane, length in enumerate(front.lengths) if found[lane] or length >= self.max_words]

    def _replace(self, front: Front, over: list[int]) -> Front:
        """Returns the front after waiting photos have taken the lanes of photos that are done."""
        ended = front.keep(over).on_host()
        for lane, photo in enumerate(ended.photos):
            self._found[photo] = self.leave(ended, lane)
        kept = front.keep([lane for lane in range(len(front.photos)) if lane not in set(over)])
        new = list(islice(self._waiting, len(over)))
        return kept.join(self._start(new)) if new else kept

    def leave(self, front: Front, lane: int) -> list[Hypothesis]:
        """Returns a photo's hypotheses: the finished ones, and those alive at the last step, without a 0."""
        live = int(front.lanes["live"][lane])
        words = front.slots["words"][lane, :live].tolist()
        scores = front.slots["scores"][lane, :live].tolist()
        length = front.lengths[lane]
        rest = [Hypothesis(tuple(some[:length]), score) for some, score in zip(words, scores, strict=True)]
        return finished(front, lane) + (rest if length >= self.max_words else [])

    def advance(self, front: Front) -> Front:
        """Returns the front after all live hypotheses have been extended by a word."""
        rows = self._rows(front)  # [R]
        last = self._last_words(front)[rows]  # [R]
        logits, states = self.move(front, rows, last)  # [R, V], {[R, ...]}
        chances, whole = self.rate(front, rows, logits)  # [R, V], [R, V]
        choice = self.choose(front, rows, chances)
        costs = self.costs(front, choice, whole)  # [N, B]
        ends = choice.scores.isfinite() & (choice.words == END)  # [N, B]
        lanes = self.finish(front, choice, costs, ends)
        lives = choice.scores.isfinite() & ~ends  # [N, B]
        order = lives.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices  # [N, B]
        lanes["live"] = lives.sum(dim=1)  # [N]
        lanes["lengths"] = lanes["lengths"] + 1  # [N]
        choice = replace(choice, scores=choice.scores.masked_fill(~lives, torch.inf)).ordered(order)
        slots = self.follow(front, choice, costs.gather(1, order))
        slots |= {name: value[choice.rows] for name, value in states.items()}  # [N, B, ...]
        return Front(front.photos, [length + 1 for length in front.lengths], slots, lanes)

    def _rows(self, front: Front) -> Tensor:
        """Returns which of the N x B slots are given to the network, `[R]`."""
        live = front.live.flatten()  # [N * B]
        if live.device.type == "cpu":
            return live.nonzero().squeeze(1)  # [R]
        return torch.arange(len(live), device=live.device)  # [N * B]; their number is known without waiting

    def _last_words(self, front: Front) -> Tensor:
        words = front.slots["words"].flatten(0, 1)  # [N * B, T]
        if words.shape[1] == 0:
            return torch.full((len(words),), START, device=words.device)  # [N * B]
        lengths = front.lanes["lengths"].repeat_interleave(self.width)  # [N * B]
        last = words.gather(1, (lengths - 1).clamp(min=0)[:, None]).squeeze(1)  # [N * B]
        return last.masked_fill(lengths == 0, START)  # [N * B]

    def move(self, front: Front, rows: Tensor, words: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns logits `[R, V]` of the next words and the new states by name, after the last `words` `[R]`."""
        logits, states = self.step(words, front.slots["states"].flatten(0, 1)[rows])  # [R, V], [R, H]
        return logits, {"states": states}

    def rate(self, front: Front, rows: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the probabilities `[R, V]` that rank the next words, 0 for barred words, and those for `costs`."""
        chances = torch.softmax(logits, dim=1, out=logits)  # [R, V]
        if not self.allow_unknown:
            chances[:, UNKNOWN] = 0  # [R]
        return chances, chances

    def choose(self, front: Front, rows: Tensor, chances: Tensor) -> Choice:
        """Returns each photo's best continuations, one for each free place, from probabilities of next words `[R, V]`.

        Logarithms are taken only of the maxima of blocks, and of the blocks that can hold the best.
        """
        before = front.slots["scores"]  # [N, B]
        count, width = before.shape
        blocks = block_count(chances.shape[1])
        maxima = chances.new_zeros(count * width, blocks)  # [N * B, blocks]
        maxima[rows] = block_maxima(chances)  # [R, blocks]
        worth = maxima.log_().view(count, width, blocks).sub_(before[..., None])  # [N, B, blocks]
        if not self.allow_unknown:
            forbidden = worth[..., UNKNOWN % blocks]  # [N, B]
            forbidden.copy_(torch.where(before.isfinite(), forbidden.clamp(min=-FORBIDDEN), forbidden))  # [N, B]
        highest, best = worth.flatten(1).topk(width, dim=1)  # [N, B], [N, B]
        parents = best // blocks  # [N, B]
        row_of = torch.zeros(count * width, dtype=torch.long, device=rows.device)  # [N * B]
        row_of[rows] = torch.arange(len(rows), device=rows.device)  # [R]
        origin = row_of[parents + width * torch.arange(count, device=rows.device)[:, None]]  # [N, B]
        values, words = block_values(chances, origin, best % blocks, 0.0)  # [N, B, BLOCK], [N, B, BLOCK]
        scores = before.gather(1, parents)[..., None] - values.log_()  # [N, B, BLOCK]
        if not self.allow_unknown:
            scores.masked_fill_(words == UNKNOWN, FORBIDDEN)  # [N, B, BLOCK]
        scores.masked_fill_(highest.isneginf()[..., None], torch.inf)  # [N, B, BLOCK]
        found, order = (some[:, :width] for some in scores.flatten(1).sort(dim=1, stable=True))  # [N, B], [N, B]
        places = torch.arange(width, device=rows.device)  # [B]
        found = found.masked_fill(places >= width - front.lanes["done"][:, None], torch.inf)  # [N, B]
        chosen = words.flatten(1).gather(1, order).masked_fill(found.isinf(), END)  # [N, B]
        block = order // words.shape[2]  # [N, B]
        return Choice(found, parents.gather(1, block), origin.gather(1, block), chosen)

    def costs(self, front: Front, choice: Choice, chances: Tensor) -> Tensor:
        """Returns the costs `[N, B]` of the chosen continuations."""
        return choice.scores

    def finish(self, front: Front, choice: Choice, costs: Tensor, ends: Tensor) -> dict[str, Tensor]:
        """Returns the lanes after the hypotheses that end `[N, B]` have finished."""
        lanes = dict(front.lanes)
        lengths = lanes["lengths"][:, None]  # [N, 1]
        places = lanes["done"][:, None] + ends.cumsum(dim=1) - 1  # [N, B]
        places = places.masked_fill(~ends, self.width)  # [N, B]
        words = of_parents(front.slots["words"], choice.parents)  # [N, B, T]
        told = {"words": words, "lengths": lengths.expand_as(places), "costs": costs, "scores": choice.scores}
        for name, value in told.items():
            before = as_long(lanes[f"done_{name}"], value)[0]  # [N, B + 1, ...]
            index = places if value.ndim == 2 else places[..., None].expand_as(value)  # [N, B, ...]
            lanes[f"done_{name}"] = before.scatter(1, index, value)  # [N, B + 1, ...]
        lanes["done"] = lanes["done"] + ends.sum(dim=1)  # [N]
        counts = ends & (lengths > 0)  # [N, B]: an empty hypothesis, which can only finish first, is dropped
        best = choice.scores.masked_fill(~counts, torch.inf).amin(dim=1)  # [N]
        lanes["best"] = torch.minimum(lanes["best"], best)  # [N]
        return lanes

    def follow(self, front: Front, choice: Choice, costs: Tensor) -> dict[str, Tensor]:
        """Returns the slots of the hypotheses that continue, without their states."""
        words = of_parents(front.slots["words"], choice.parents)  # [N, B, T]
        longer = appended(words, front.lanes["lengths"], max(front.lengths), choice.words)  # [N, B, T + 1]
        return {"words": longer, "scores": choice.scores}
