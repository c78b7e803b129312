"""A probe that tells two kinds of text apart by their words: logistic regression over single words and pairs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

PENALTY = 1e-5  # of the squared weights, beside the mean loss of a text
LEAST = 2  # texts that must hold a word or pair
STEPS = 100  # of L-BFGS; the loss is convex, and flat long before


def ngrams(text: str) -> Counter[str]:
    """Returns how often a text holds each word and each pair of words side by side; words are parted by spaces."""
    words = text.split()
    return Counter(chain(words, (f"{one} {next_one}" for one, next_one in zip(words, words[1:], strict=False))))


@dataclass(frozen=True)
class Bags:
    """Texts as their n-grams: place of the text, id of the n-gram and its weight, each `[M]`; N texts."""

    texts: Tensor
    ids: Tensor
    weights: Tensor
    count: int


@dataclass(frozen=True)
class NgramProbe:
    """A fitted probe: the id of each n-gram, its part in the answer `[V]`, and the answer of a text without any."""

    vocabulary: dict[str, int]
    parts: Tensor
    start: Tensor

    def __call__(self, texts: Sequence[str]) -> list[bool]:
        """Returns whether each text is of the first kind."""
        bags = _bags(texts, self.vocabulary)
        return (_answers(bags, self.parts, self.start) > 0).tolist()


def fit_probe(first: Sequence[str], second: Sequence[str]) -> NgramProbe:
    """Returns a probe fitted to tell the texts of the first kind from those of the second."""
    texts = [*first, *second]
    held = Counter(chain.from_iterable(ngrams(text).keys() for text in texts))
    vocabulary = {ngram: place for place, ngram in enumerate(name for name, count in held.items() if count >= LEAST)}
    bags = _bags(texts, vocabulary)
    wanted = torch.tensor([1.0] * len(first) + [0.0] * len(second))  # [N]
    parts = torch.zeros(len(vocabulary), requires_grad=True)  # [V]
    start = torch.zeros(1, requires_grad=True)  # [1]
    optimiser = torch.optim.LBFGS([parts, start], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        answers = _answers(bags, parts, start)  # [N]
        value = torch.nn.functional.binary_cross_entropy_with_logits(answers, wanted) + PENALTY * parts.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return NgramProbe(vocabulary, parts.detach(), start.detach())


def _bags(texts: Sequence[str], vocabulary: dict[str, int]) -> Bags:
    """Returns the texts as weighted n-grams, at length 1, so that a long text weighs no more than a short one."""
    places: list[int] = []
    ids: list[int] = []
    weights: list[float] = []
    for place, text in enumerate(texts):
        known = {vocabulary[ngram]: count for ngram, count in ngrams(text).items() if ngram in vocabulary}
        length = sum(count * count for count in known.values()) ** 0.5
        places += [place] * len(known)
        ids += known
        weights += [count / length for count in known.values()]
    return Bags(torch.tensor(places).long(), torch.tensor(ids).long(), torch.tensor(weights).float(), len(texts))


def _answers(bags: Bags, parts: Tensor, start: Tensor) -> Tensor:
    """Returns log odds `[N]` that each text is of the first kind."""
    sums = torch.zeros(bags.count).index_add(0, bags.texts, parts[bags.ids] * bags.weights)  # [N]
    return sums + start  # [N]
