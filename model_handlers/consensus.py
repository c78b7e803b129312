"""Agreement of a photo's captions: a word that many of its nearest captions use is likely to be right."""

import math
from collections import Counter
from collections.abc import Callable, Sequence


class Consensus:
    """Similarity of captions by their words; rare words count more (TF-IDF of single words, as in CIDEr).

    After "Exploring Nearest Neighbor Approaches for Image Captioning" (Devlin et al. 2015): of the captions near
    a photo, the one that is most similar to the others describes it best.

    Args:
        captions: captions of the bank, whose words are counted.
    """

    def __init__(self, captions: Sequence[str]) -> None:
        self.size = len(captions)
        self.counts = Counter(word for caption in captions for word in set(caption.split()))

    def among(self, others: Sequence[str]) -> Callable[[str], float]:
        """Returns a function of a caption: the mean cosine of its words with those of others, from 0 to 1."""
        common: Counter[str] = Counter()
        for other in others:
            common.update(self._weights(other))

        def agreement(caption: str) -> float:
            return sum(weight * common[word] for word, weight in self._weights(caption).items()) / len(others)

        return agreement

    def _weights(self, caption: str) -> dict[str, float]:
        """Returns the words of a caption with their TF-IDF weights, scaled to length 1.

        A word that occurs n times has only one nth of its weight.
        """
        counts = Counter(caption.split())
        rarity = {word: math.log((self.size + 1) / (self.counts[word] + 1)) for word in counts}
        length = math.hypot(*(n * rarity[word] for word, n in counts.items()))
        return {word: weight / length for word, weight in rarity.items()} if length else {}
