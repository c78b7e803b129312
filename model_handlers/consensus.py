"""What captions of a photo have in common: a word that many of its nearest captions say is likely to be right."""

import math
from collections import Counter
from collections.abc import Callable, Sequence


class Consensus:
    """Likeness of captions by their words, the rare ones counting more (TF-IDF, as in CIDEr, by single words).

    After "Exploring Nearest Neighbor Approaches for Image Captioning" (Devlin et al. 2015): of the captions that lie
    near to a photo, the one that is most like the others is described best by them.

    Args:
        captions: the caption bank, whose words are counted.
    """

    def __init__(self, captions: Sequence[str]) -> None:
        self.size = len(captions)
        self.counts = Counter(word for caption in captions for word in set(caption.split()))

    def among(self, others: Sequence[str]) -> Callable[[str], float]:
        """Returns a function: the mean cosine of a caption's words with those of others, from 0 to 1."""
        common: Counter[str] = Counter()
        for other in others:
            common.update(self._weights(other))

        def agreement(caption: str) -> float:
            return sum(weight * common[word] for word, weight in self._weights(caption).items()) / len(others)

        return agreement

    def _weights(self, caption: str) -> dict[str, float]:
        """Returns the words of a caption with their TF-IDF weights, of length 1.

        A word that is said n times has only the nth part of its weight.
        """
        counts = Counter(caption.split())
        rarity = {word: math.log((self.size + 1) / (self.counts[word] + 1)) for word in counts}
        length = math.hypot(*(n * rarity[word] for word, n in counts.items()))
        return {word: weight / length for word, weight in rarity.items()} if length else {}
