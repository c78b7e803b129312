"""New words from texts for a pack's sentence encoder, with word vectors by vocabulary expansion.

Skip-thoughts read 930,000 words but was trained on 20,000 of them (Kiros et al. 2015, section 2.2); see
`pipelines.pack_tools.expansion`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import fsspec
import numpy as np
import torch
from tqdm import tqdm

from configs.schema import ConfigError
from model_handlers.families.entry import of_family
from model_handlers.families.skip_thoughts_encoder import (
    END_WORD,
    UNKNOWN_WORD,
    SkipThoughtsEncoder,
    SkipThoughtsEntry,
)
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines.corpora.text_places import expand_texts
from pipelines.corpora.texts import Vocabulary
from pipelines.pack_tools.expansion import expand, outside_vectors
from pipelines.pack_tools.old_pack import quality_without

LEAST = 2  # minimum occurrences of a new word in the texts
FITTED = 50_000  # maximum words of the encoder that the map is fitted on
HELD_OUT = 10  # one word in HELD_OUT evaluates the map
PACKAGES = ("wordllama", "tokenizers")
MEASURED = ("decoder", "reconstruction", "sentences", "stories")  # tasks whose figures were measured with the old words


def expand_vocabulary(pack: str, output: str, texts: Sequence[str], most: int) -> tuple[Pack, list[str], float]:
    """Returns a new pack whose sentence encoder knows more words, these words, and the map's `predicted_share`.

    Args:
        pack: pack to start from, a folder or URI.
        output: new folder for the new pack.
        texts: globs of text files.
        most: maximum number of words to add.

    Raises:
        ConfigError: an argument is wrong, the extra is not installed, or no text has a new word.
        PackError: the old pack is wrong, or the new one exists.
    """
    files = check(texts, most)
    old = Pack.open(pack)
    entry = of_family(old.sentence_encoder, SkipThoughtsEntry, old.location, "pipelines.expand_vocabulary")
    encoder = entry.open(old, torch.device("cpu"))
    writer = PackWriter(output, old)
    try:
        new = Vocabulary.of_counts(count_unknown(files, encoder), most + 2, LEAST).words
        if not new:
            nothing = f"no word that appears {LEAST} times or more and is new to the encoder"
            raise ConfigError([f"--texts: {len(files):,} files hold {nothing}; give more"])
        share = add_words(writer, old, entry, new)
        writer.card["new_words"] = {"words": len(new), "files": len(files), "foretold": round(share, 3)}
        writer.card["quality"] = quality_without(old, MEASURED)
        return writer.finish(), new, share
    finally:
        writer.discard()


def check(texts: Sequence[str], most: int) -> list[str]:
    """Returns the URIs of the text files.

    Raises:
        ConfigError: lists all that is wrong.
    """
    found = {pattern: expand_texts(pattern) for pattern in texts}
    problems = [] if most > 0 else [f"--most {most}: must be at least 1"]
    problems += [f"--texts {pattern}: no file matches" for pattern, files in found.items() if not files]
    problems += [
        f"the package {name} is not installed; the extra `train` brings it: pip install -e '.[train]'"
        for name in PACKAGES
        if find_spec(name) is None
    ]
    if problems:
        raise ConfigError(problems)
    return sorted({uri for files in found.values() for uri in files})


def count_unknown(files: Sequence[str], encoder: SkipThoughtsEncoder) -> Counter[str]:
    """Returns how often the texts have each word that the encoder does not know; a line is a text.

    Words with unprintable characters, such as bytes that are not UTF-8, are not counted.
    """
    counts: Counter[str] = Counter()
    for uri in tqdm(files, desc="texts", unit="file", leave=False):
        for line in read_lines(uri):
            counts.update(word for word in encoder.words(line) if word.isprintable() and not encoder.knows(word))
    return counts


def read_lines(uri: str) -> Iterator[str]:
    """Yields the lines of a text file; bytes that are not UTF-8 become surrogates.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        with fsspec.open(uri, "rt", encoding="utf-8-sig", errors="surrogateescape") as file:
            yield from file
    except OSError as error:
        raise ConfigError([f"--texts {uri}: cannot be read ({error})"]) from error


def add_words(writer: PackWriter, pack: Pack, entry: SkipThoughtsEntry, new: Sequence[str]) -> float:
    """Adds words to a new pack's sentence encoder, after its old ones, and returns the map's `predicted_share`.

    Args:
        writer: writer of the new pack.
        pack: old pack.
        entry: card entry of its sentence encoder.
        new: words that the encoder does not know.
    """
    words = pack.json(entry.words)
    learned = len(words) if entry.learned_words is None else entry.learned_words
    writer.put("sentence_encoder", entry.model_copy(update={"learned_words": learned}))
    rows = rows_to_fit(words[:learned])
    files = sorted(entry.tables())
    tables = [pack.array(file) for file in files]  # [V, W] each
    own = np.concatenate([table[rows] for table in tables], axis=1, dtype=np.float32)  # [K, tables * W]
    known = outside_vectors([words[row] for row in rows])  # [K, D]
    made = np.split(expand(known, own, outside_vectors(new)), len(files), axis=1)  # [M, W] each
    for file, table, vectors in zip(files, tables, made, strict=True):
        shape = (len(words) + len(new), table.shape[1])
        target = writer.reserve_array(file, shape, table.dtype.str)  # [V + M, W]
        target[: len(words)] = table
        target[len(words) :] = vectors
    writer.add_json(entry.words, [*words, *new])
    return predicted_share(known, own)


def rows_to_fit(words: Sequence[str], most: int = FITTED) -> list[int]:
    """Returns the rows of at most `most` words that the map is fitted on, evenly spread, each word once."""
    last = {word: row for row, word in enumerate(words)}
    rows = [row for word, row in last.items() if word not in ("", UNKNOWN_WORD, END_WORD) and word.isprintable()]
    return rows[:: max(1, -(-len(rows) // most))]


def predicted_share(known: np.ndarray, own: np.ndarray) -> float:
    """Returns the share of the word vectors' variance that the map predicts for words that it was not fitted on.

    Args:
        known: outside vectors `[K, D]`.
        own: the encoder's word vectors `[K, W]`.
    """
    held = np.arange(len(known)) % HELD_OUT == 0  # [K]
    made = expand(known[~held], own[~held], known[held])  # [H, W]
    mean = own[~held].mean(axis=0)  # [W]
    return max(0.0, float(1 - np.square(made - own[held]).sum() / np.square(own[held] - mean).sum()))


def made_before(components: Mapping[str, Any]) -> Iterator[str]:
    """Yields notes on sentence vectors in the pack that were made without the new words."""
    if "styles" in components or "source_style" in components:
        yield "The styles were made with the old words; pipelines.fit_style makes them again"
    if "sentence_vectors" in components.get("captions", {}):
        command = "pipelines.index_captions --sentence-vectors"
        yield f"The captions' sentence vectors were made with the old words; {command} makes them again"
