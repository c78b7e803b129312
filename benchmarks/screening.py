"""Savings from screening a beam search's words in low precision: `python -m benchmarks.screening [--pack PACK]`.

A hypothesis whose words cannot come among the best, by proved bounds on its logits, needs no float32 logits. The others
need them all, for the softmax's denominator goes into every cost. This counts those others, among all rows of the
network's output. `going on` are rows that a hypothesis of the next step comes from: the least that any bound can leave.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.random_packs import Sizes, random_decoder
from model_handlers.nets.beams import Beams
from model_handlers.nets.front import Choice, Front
from model_handlers.nets.story_decoder import StoryDecoder
from model_handlers.pack import Pack

SEED = 1


def bfloat16(values: Tensor) -> Tensor:
    """Returns values `[N, W]` rounded to bfloat16."""
    return values.bfloat16().float()


def int8(values: Tensor) -> Tensor:
    """Returns values `[N, W]` rounded to 255 steps a row."""
    step = values.abs().amax(dim=1, keepdim=True) / 127  # [N, 1]
    return (values / step).round() * step


ROUNDINGS: dict[str, Callable[[Tensor], Tensor]] = {"bfloat16": bfloat16, "int8": int8}


class CountedBeams(Beams):
    """A search that counts which of its rows a screening by each of ROUNDINGS would leave; `counts` has the sums.

    Args:
        net: the decoder.
        states: first state of each photo `[N, H]`.
        width: of the beam.
        words: steps.
    """

    def __init__(self, net: StoryDecoder, states: Tensor, width: int, words: int) -> None:
        super().__init__(net.step, states, width, words, whole=False)
        self.net = net
        self.weights = {name: rounded(net.logits.weight) for name, rounded in ROUNDINGS.items()}
        self.counts: Counter[str] = Counter()

    def move(self, front: Front, rows: Tensor, words: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns logits and states as the search does, after counting the rows that each rounding leaves."""
        logits, states = super().move(front, rows, words)  # [R, V], {[R, H]}
        seen = self.net.seen(states["states"])  # [R, H or W]
        costs = front.slots["scores"].flatten()[rows]  # [R]
        self.counts["rows"] += len(rows)
        for name, rounded in ROUNDINGS.items():
            low, apart = self.bounds(seen, rounded(seen), self.weights[name])  # [R, V], [R, V]
            self.counts[name] += self.left(rows // self.width, costs, low, apart)
        return logits, states

    def bounds(self, seen: Tensor, low_seen: Tensor, low_weight: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits of low precision, and the maximum error of each, both `[R, V]`.

        |x w - x' w'| <= |x - x'| |w| + |x'| |w - w'|, by Cauchy and Schwarz.
        """
        weight = self.net.logits.weight  # [V, H or W]
        low = low_seen @ low_weight.T + self.net.logits.bias  # [R, V]
        apart = torch.outer((seen - low_seen).norm(dim=1), weight.norm(dim=1))  # [R, V]
        return low, apart.addr_(low_seen.norm(dim=1), (weight - low_weight).norm(dim=1))

    def left(self, photos: Tensor, costs: Tensor, low: Tensor, apart: Tensor) -> int:
        """Returns how many rows may have a word among their photo's best.

        Args:
            photos: whose row each is `[R]`.
            costs: of the hypotheses so far `[R]`.
            low: logits of low precision `[R, V]`.
            apart: their bounds `[R, V]`.
        """
        most, least = low + apart, low - apart  # [R, V], [R, V]
        lowest_cost = (costs - most.amax(dim=1)) + least.logsumexp(dim=1)  # [R]
        highest_cost = costs[:, None] - least + most.logsumexp(dim=1, keepdim=True)  # [R, V]
        rows = 0
        for photo in photos.unique():
            own = photos == photo  # [R]
            line = highest_cost[own].flatten().topk(self.width, largest=False).values[-1]  # []
            rows += int((lowest_cost[own] <= line).sum())
        return rows

    def choose(self, front: Front, rows: Tensor, chances: Tensor) -> Choice:
        """Returns what the search chooses, after counting the rows that go on."""
        choice = super().choose(front, rows, chances)
        self.counts["going on"] += len(choice.rows[choice.scores.isfinite()].unique())
        return choice


@torch.inference_mode()
def shares(net: StoryDecoder, contexts: Tensor, width: int, words: int) -> dict[str, float]:
    """Returns the shares of rows that need float32, by rounding, and of those that go on.

    Args:
        net: the decoder.
        contexts: `[N, S]`.
        width: of the beam.
        words: steps.
    """
    beams = CountedBeams(net, net.initial_state(contexts), width, words)
    beams.run()
    return {name: beams.counts[name] / beams.counts["rows"] for name in ("going on", *ROUNDINGS)}


def of_pack(location: str, count: int) -> tuple[StoryDecoder, Tensor]:
    """Returns a pack's default decoder, and passages `[N, S]` of its default style as contexts."""
    pack = Pack.open(location)
    defaults = pack.card["defaults"]
    net = pack.decoder(defaults["decoder"]).load(pack, torch.device("cpu"))
    passages = np.array(pack.array(pack.passages[defaults["style"]]), np.float32)  # [P, S]
    chosen = np.random.default_rng(SEED).permutation(len(passages))[:count]
    return net, torch.from_numpy(passages[chosen])


def of_original_sizes(count: int) -> tuple[StoryDecoder, Tensor]:
    """Returns a decoder of the original's sizes with random weights, and random contexts `[N, S]` of length 1."""
    net = random_decoder(Sizes())
    contexts = torch.randn(count, net.state.in_features, generator=torch.Generator().manual_seed(SEED))  # [N, S]
    return net, contexts / contexts.norm(dim=1, keepdim=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the shares, and returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screening", description=__doc__)
    parser.add_argument("--pack", help="whose decoder (default: random weights, the original's sizes)")
    parser.add_argument("--width", type=int, default=50, help="of the beam (default: 50)")
    parser.add_argument("--searches", type=int, default=2, help="how many (default: 2)")
    parser.add_argument("--words", type=int, default=12, help="after which a search stops (default: 12)")
    flags = parser.parse_args(argv)
    net, contexts = of_pack(flags.pack, flags.searches) if flags.pack else of_original_sizes(flags.searches)
    for name, share in shares(net, contexts, flags.width, flags.words).items():
        print(f"{name:10} {share:6.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
