"""Memory-mapped corpora of `pipelines.prepare_texts`: words stay on disk until a batch needs them."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from configs.schema import ConfigError
from pipelines.corpora.preparation.corpus_records import ARRAYS, DEV, FORMAT, MANIFEST, VOCABULARY
from pipelines.corpora.texts import Tokens, Vocabulary
from pipelines.training.data.passages import Source


class ShardedTokens(Tokens):
    """The texts of several shards, one after the other; only their starts are in memory, eight bytes per text.

    Args:
        shards: ids `[R]` and starts `[n + 1]` of each shard.
    """

    def __init__(self, shards: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        self._parts = [ids for ids, _ in shards]
        self._firsts = np.cumsum([0, *(len(ids) for ids in self._parts)]).tolist()
        ends = [starts[1:] + first for (_, starts), first in zip(shards, self._firsts, strict=False)]
        object.__setattr__(self, "starts", np.concatenate([np.zeros(1, np.int64), *ends]))

    @property
    def ids(self) -> np.ndarray:
        """The words of all texts, read from all shards `[R]`."""
        return np.concatenate([np.zeros(0, np.int32), *self._parts])

    def __getitem__(self, place: int | np.integer) -> np.ndarray:
        start, stop = int(self.starts[place]), int(self.starts[place + 1])
        shard = bisect_right(self._firsts, start) - 1
        first = self._firsts[shard]
        return self._parts[shard][start - first : stop - first]

    def __repr__(self) -> str:
        return f"ShardedTokens({len(self):,} texts in {len(self._parts)} shards)"


class ShardedPlaces:
    """Places of neighbours, or -1, in several shards, one after the other; they stay on disk.

    Args:
        shards: places within each shard `[n]`.
    """

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        self._parts = shards
        self._firsts = np.cumsum([0, *(len(part) for part in shards)]).tolist()

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __getitem__(self, place: int | np.integer) -> int:
        shard = bisect_right(self._firsts, int(place)) - 1
        first = self._firsts[shard]
        near = int(self._parts[shard][int(place) - first])
        return near + first if near >= 0 else -1

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """Returns all places, read from all shards `[n]`."""
        parts = [np.where(part < 0, -1, part + first) for part, first in zip(self._parts, self._firsts, strict=False)]
        return np.concatenate([np.zeros(0, np.int64), *parts]).astype(dtype or np.int64, copy=False)


def read_prepared(folder: Path) -> tuple[Vocabulary, dict[str, Source]]:
    """Returns the vocabulary and the texts of each non-empty kind (`books`, `captions`, `dev_books`, ...).

    Raises:
        ConfigError: there is no corpus, or one of its files does not match its manifest.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{folder}: has no {MANIFEST}; make a corpus with python -m pipelines.prepare_texts"
        ) from error
    if manifest.get("format") != FORMAT:
        raise ConfigError(f"{folder}: has the format {manifest.get('format')}, but this program reads {FORMAT}")
    shards = [shard for entry in manifest["kinds"].values() for shard in entry["shards"]]
    files = [manifest["vocabulary"], *(shard[name] for shard in shards for name in ARRAYS)]
    wrong = [file["path"] for file in files if _size(folder / file["path"]) != file["bytes"]]
    if wrong:
        raise ConfigError(f"{folder}: missing, or not of the size given in {MANIFEST}: {', '.join(wrong)}")
    vocabulary = Vocabulary(json.loads((folder / VOCABULARY).read_text(encoding="utf-8")))
    kinds = {kind: entry["shards"] for kind, entry in manifest["kinds"].items() if entry["texts"]}
    return vocabulary, {kind: _source(folder, own) for kind, own in kinds.items()}


def read_to_learn(folder: Path, shares: Mapping[str, float]) -> tuple[Vocabulary, dict[str, Source]]:
    """Returns the result of `read_prepared`, after checking that every kind to learn and some held-out texts are there.

    Args:
        folder: folder of the corpus.
        shares: share of each kind in the training.

    Raises:
        ConfigError: there is no corpus, or it lacks a kind.
    """
    vocabulary, sources = read_prepared(folder)
    problems = share_problems(shares, sources, folder)
    if not any(kind.startswith(DEV) for kind in sources):
        problems.append(
            f"{folder}: has no held-out texts to evaluate on; it has {', '.join(sources)}. Prepare it with "
            "--held-out, or with captions that have a split dev"
        )
    if problems:
        raise ConfigError(problems)
    return vocabulary, sources


def share_problems(shares: Mapping[str, float], sources: Mapping[str, Source], place: Path) -> list[str]:
    """Returns the problems with the kinds of texts that a configuration names.

    Args:
        shares: share of each kind in the training.
        sources: available texts by kind.
        place: folder that the texts come from.
    """
    there = [kind for kind in sources if not kind.startswith(DEV)]
    missing = [kind for kind in shares if kind not in there]
    kinds = f"{place} has the kinds {', '.join(there)}" if there else f"{place} has no text to learn from"
    problems = [] if shares else [f"shares: must say how often each kind is learned; {kinds}"]
    return problems + ([f"shares: no texts of {', '.join(missing)}; {kinds}"] if missing else [])


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _source(folder: Path, shards: Sequence[dict[str, Any]]) -> Source:
    arrays = [[_mapped(folder / shard[name]["path"]) for name in ARRAYS] for shard in shards]
    texts = ShardedTokens([(ids, starts) for ids, starts, _ in arrays])
    return Source(texts, ShardedPlaces([places for *_, places in arrays]))


def _mapped(path: Path) -> np.ndarray:
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
