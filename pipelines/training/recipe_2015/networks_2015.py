"""The networks that can be trained as in 2015, by name; a configuration chooses them by `network.recipe: "2015"`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configs.schema import ConfigError
from pipelines.corpora.texts import Tokens, Vocabulary
from pipelines.training.data.corpus import Corpus
from pipelines.training.data.passages import book_source, cached, photo_captions, read_cached
from pipelines.training.data.prepared import read_prepared
from pipelines.training.engine.loop import LoopConfig, train
from pipelines.training.engine.training_settings import section
from pipelines.training.packing.whole_pack import make_pack
from pipelines.training.recipe_2015.decoder_2015 import OriginalDecoderConfig, OriginalDecoderTask, Passages
from pipelines.training.recipe_2015.joint_2015 import OriginalJointConfig, OriginalJointTask
from pipelines.training.recipe_2015.practice_2015 import RECIPE
from pipelines.training.recipe_2015.skip_thoughts_2015 import OriginalThoughtsConfig, OriginalThoughtsTask, Sentences
from pipelines.training.recipes.networks import NETWORKS, Runner, keep_words, photo_set, save_vocabulary
from pipelines.training.recipes.text_vectors import TableEncoder, load_encoder, load_words, sentence_vectors

Settings = Mapping[str, Any]


def book_words(books: Sequence[Sequence[str]], size: int) -> Vocabulary:
    """Returns the vocabulary of the most frequent lower-case words of books."""
    counts = Counter(word for book in books for paragraph in book for word in paragraph.lower().split())
    return Vocabulary.of_counts(counts, size)


def train_joint_embedding(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Trains a joint embedding in `output` and returns its best figures."""
    network, loop = section(settings, "network", OriginalJointConfig), section(settings, "training", LoopConfig)
    vocabulary = Vocabulary.of_counts(corpus.caption_counts(), network.vocabulary)
    save_vocabulary(vocabulary, output)
    learned, dev = (photo_set(corpus, corpus.photos_of(split), vocabulary) for split in ("train", "dev"))
    torch.manual_seed(loop.seed)
    return train(OriginalJointTask(network, vocabulary.size, learned, dev, loop.seed), loop, output)


def train_skip_thoughts(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Trains a sentence encoder with its two decoders in `output` and returns its best figures."""
    network, loop = section(settings, "network", OriginalThoughtsConfig), section(settings, "training", LoopConfig)
    if corpus.texts is not None:
        vocabulary, learned, dev = prepared_sentences(corpus.texts, network.maxlen)
        keep_words(vocabulary, corpus.texts, output)
    else:
        books, held_out = corpus.books, corpus.held_out_books
        vocabulary = book_words(books, network.vocabulary)
        save_vocabulary(vocabulary, output)
        learned, dev = (Sentences.of_books(part, vocabulary, network.maxlen) for part in (books, held_out))
    torch.manual_seed(loop.seed)
    return train(OriginalThoughtsTask(network, vocabulary.size, learned, dev, loop.seed), loop, output)


def prepared_sentences(folder: Path, maxlen: int) -> tuple[Vocabulary, Sentences, Sentences]:
    """Returns the words of a prepared corpus, the sentences of its books to learn from, and the held-out sentences.

    Raises:
        ConfigError: one of the two has no three sentences in a row.
    """
    vocabulary, sources = read_prepared(folder)
    kinds = ("books", "dev_books")
    found = {kind: Sentences.of_source(sources[kind], maxlen) for kind in kinds if kind in sources}
    missing = [kind for kind in kinds if kind not in found or not len(found[kind].places)]
    if missing:
        wanted = f"three sentences of fewer than {maxlen} words in a row, which recipe {RECIPE} learns from"
        raise ConfigError(
            f"{folder}: {' and '.join(missing)}: no {wanted}. It has {', '.join(sources)}; prepare it with "
            "--unit sentence --least 1 and --held-out"
        )
    return vocabulary, found["books"], found["dev_books"]


def train_decoder(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Trains a story decoder in `output`, with the style vectors, and returns its best figures.

    Raises:
        ConfigError: no passage is long enough for the style, or a prepared corpus is given.
    """
    if corpus.texts is not None:
        raise ConfigError(
            f"network.recipe: the decoder of {RECIPE} reads no --corpus; it learns from the novels of --data"
        )
    network, loop = section(settings, "network", OriginalDecoderConfig), section(settings, "training", LoopConfig)
    thoughts = output.parent / "thoughts"
    encoder, read = load_encoder(thoughts), load_words(thoughts)
    vocabulary, passages = book_passages(network, corpus, read, output)
    styles = output / "styles.npz"
    if not styles.exists():
        captions = Tokens.of(read.encode(text) for text in photo_captions(corpus, "train")[0])
        long = passages["long"].read
        if not len(long):
            raise ConfigError(f"network.style_words: no passage has more than {network.style_words} words")
        means = {name: mean_vector(encoder, texts) for name, texts in (("source", captions), ("romance", long))}
        np.savez(styles, **means)  # type: ignore[arg-type]
    torch.manual_seed(loop.seed)
    held_out = {"dev_books": passages["dev_books"]}
    task = OriginalDecoderTask(network, vocabulary.size, encoder, passages["books"], held_out, loop.seed)
    return train(task, loop, output)


def book_passages(
    settings: OriginalDecoderConfig, corpus: Corpus, read: Vocabulary, output: Path
) -> tuple[Vocabulary, dict[str, Passages]]:
    """Returns the decoder's vocabulary and the passages of the books; `output` caches both.

    Args:
        settings: minimum and maximum length of a passage.
        corpus: corpus with the books.
        read: words of the sentence encoder.
        output: folder of the training.
    """
    path = output / "texts.npz"
    if not path.exists():
        books, held_out = corpus.books, corpus.held_out_books
        most = settings.maxlen - 1
        parts = {
            "books": (books, settings.least, most),
            "dev_books": (held_out, settings.least, most),
            "long": (books, settings.style_words + 1, 2 * settings.style_words),
        }
        words = book_words(books, settings.vocabulary)
        save_vocabulary(words, output)
        sources = {
            f"{name}_{use}": book_source(texts, vocabulary, least, largest, unknown=1.0)
            for name, (texts, least, largest) in parts.items()
            for use, vocabulary in (("written", words), ("read", read))
        }
        cached(path, sources)
    found = read_cached(path)
    names = sorted({name.rpartition("_")[0] for name in found})
    texts = {name: Passages(found[f"{name}_written"].texts, found[f"{name}_read"].texts) for name in names}
    return load_words(output), texts


def mean_vector(encoder: TableEncoder, texts: Tokens) -> np.ndarray:
    """Returns the mean sentence vector `[S]` of texts, which is a style vector (SPEC section 8)."""
    mean: np.ndarray = sentence_vectors(encoder, texts).mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


PACK = "pack"

ORIGINAL_NETWORKS: dict[str, Runner] = {
    "joint_embedding": train_joint_embedding,
    "skip_thoughts": train_skip_thoughts,
    "decoder": train_decoder,
}


def choose_network(name: str, settings: Settings) -> Runner:
    """Returns the function that trains a network, or a whole pack, by the recipe in its configuration.

    Raises:
        ConfigError: the network has no such recipe.
    """
    if name == PACK:
        return make_pack
    recipe = settings.get("network", {}).get("recipe")
    if recipe is None:
        return NETWORKS[name]
    if str(recipe) != RECIPE or name not in ORIGINAL_NETWORKS:
        known = f'"{RECIPE}" or left out' if name in ORIGINAL_NETWORKS else "left out"
        raise ConfigError(f"network.recipe is {recipe!r}; for {name} it can be {known}")
    return ORIGINAL_NETWORKS[name]
