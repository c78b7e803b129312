"""Vocabularies: convert the words of a text to the ids of a network and back."""

import re
from collections.abc import Iterable, Sequence

from model_handlers.nets.story_decoder import END, UNKNOWN
from model_handlers.nets.tokeniser import tokenise

_SPACE = re.compile(r"[ \t\n\x0b\x0c\r]+")


def split_words(text: str) -> list[str]:
    """Returns the words between ASCII white space, as Python 2 split byte strings (SPEC section 5)."""
    return [word for word in _SPACE.split(text) if word]


class PackVocabulary:
    """Words and their ids; 0 ends a text, 1 is the unknown word.

    Args:
        pairs: words with their ids; ids at or above `n_words` count as unknown.
        n_words: number of rows of the network's word table.
        lower: look words up in lower case.
        tokenised: texts are already tokenised; otherwise the tokeniser splits them first.
    """

    def __init__(
        self, pairs: Iterable[Sequence[str | int]], n_words: int, lower: bool = False, tokenised: bool = True
    ) -> None:
        self._ids = {str(word): int(number) for word, number in pairs if int(number) < n_words}
        self._words = {number: word for word, number in self._ids.items()}
        self._words |= {END: "<eos>", UNKNOWN: "UNK"}
        self._lower = lower
        self._tokenised = tokenised

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text's words, followed by 0."""
        words = split_words(text) if self._tokenised else tokenise(text)
        return [self._ids.get(word.lower() if self._lower else word, UNKNOWN) for word in words] + [END]

    def ids(self, words: Iterable[str]) -> frozenset[int]:
        """Returns the ids of the known words."""
        return frozenset(self._ids[word] for word in words if word in self._ids)

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the words of ids joined by spaces.

        Raises:
            ValueError: an id has no word.
        """
        try:
            return " ".join(self._words[number] for number in ids)
        except KeyError as error:
            raise ValueError(f"the decoder chose id {error}, which is not in its vocabulary") from error
