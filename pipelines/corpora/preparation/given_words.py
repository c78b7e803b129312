"""Words given for a corpus, instead of the most frequent ones in its texts."""

import json

import fsspec

from configs.schema import ConfigError
from model_handlers.families.entry import of_family
from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEntry
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from transforms.uris import absolute

NO_WORDS = 2  # ids that are not words: the end of a text and the unknown word


def read_words(place: str) -> list[str]:
    """Returns the words of a model pack's sentence encoder, or of a JSON list, in the order of their ids.

    Args:
        place: folder or URI of a pack, or path or URI of a file that ends in .json, such as the words.json of a
            training or the vocabulary.json of another corpus.

    Raises:
        ConfigError: there is no such pack or file, or it has no list of words.
    """
    if not place.endswith(".json"):
        return _words_of_pack(place)
    try:
        filesystem, path = fsspec.core.url_to_fs(absolute(place))
        words = json.loads(filesystem.cat_file(path))
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError([f"--words {place}: cannot be read ({error})"]) from error
    if not _is_list_of_words(words):
        raise ConfigError([f"--words {place}: is not a JSON list of different words"])
    return list(words)


def _words_of_pack(place: str) -> list[str]:
    try:
        pack = Pack.open(place)
        encoder = of_family(pack.sentence_encoder, SkipThoughtsEntry, pack.location, "--words")
        words: list[str] = pack.json(encoder.words)[NO_WORDS:]
    except PackError as error:
        raise ConfigError([f"--words {problem}" for problem in error.problems]) from error
    return words


def _is_list_of_words(words: object) -> bool:
    """Returns whether JSON is a list of distinct words, at least one."""
    if not isinstance(words, list) or not words:
        return False
    return all(isinstance(word, str) and word for word in words) and len(set(words)) == len(words)
