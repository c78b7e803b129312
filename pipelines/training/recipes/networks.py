"""The networks that can be trained, by name; each entry reads its configuration, makes its task and trains it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configs.schema import ConfigError
from pipelines.corpora.texts import Tokens, Vocabulary
from pipelines.pack_tools.expansion import cut_down, outside_vectors
from pipelines.training.data.corpus import Corpus
from pipelines.training.data.passages import (
    Source,
    book_source,
    cached,
    caption_source,
    joint_counts,
    other_captions,
    photo_captions,
    read_cached,
)
from pipelines.training.data.photo_features import lite_backbone
from pipelines.training.data.prepared import read_to_learn, share_problems
from pipelines.training.engine.loop import CHECKPOINT, LoopConfig, best_weights, train
from pipelines.training.engine.training_settings import section
from pipelines.training.recipes.decoder import DecoderConfig, DecoderTask
from pipelines.training.recipes.from_pack import Surroundings
from pipelines.training.recipes.joint import JointConfig, JointTask, PhotoSet, embed_texts
from pipelines.training.recipes.prototypes import prototypes
from pipelines.training.recipes.story_material import StoriesConfig, prepare_stories
from pipelines.training.recipes.text_vectors import WORDS, joint_embeddings, load_joint, load_words
from pipelines.training.recipes.thoughts import TextLengths, ThoughtsConfig, ThoughtsTask
from pipelines.training.recipes.transfer import decoder_of, grow, read_start, without_start
from pipelines.training.recipes.writer import BankConfig, WriterConfig, WriterTask, write_bank

SENTENCE = 24
"""Maximum words of a book's sentence that is learned separately."""

KINDS = ("photos", "captions", "romantic", "books", "sentences")
"""Kinds of texts that a data folder can hold."""

Settings = Mapping[str, Any]
Runner = Callable[[Settings, Corpus, Path], dict[str, float]]


def save_vocabulary(vocabulary: Vocabulary, output: Path) -> None:
    """Writes the words to `output/words.json`."""
    output.mkdir(parents=True, exist_ok=True)
    (output / WORDS).write_text(json.dumps(vocabulary.words))


def photo_set(corpus: Corpus, places: list[int], vocabulary: Vocabulary, views: int = 0) -> PhotoSet:
    """Returns the photos at some places with their captions as ids and the first `views` crops."""
    rows: list[list[int]] = []
    texts: list[list[int]] = []
    for place in places:
        captions = corpus.photos[place].captions
        rows.append(list(range(len(texts), len(texts) + len(captions))))
        texts += [vocabulary.encode(text) for text in captions]
    crops = [corpus.view(number)[places] for number in range(1, views + 1)]
    return PhotoSet(corpus.features[places], Tokens.of(texts), rows, crops)


def train_joint_embedding(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Trains a joint embedding in `output` and returns its best figures."""
    network, loop = section(settings, "network", JointConfig), section(settings, "training", LoopConfig)
    vocabulary = Vocabulary.of_counts(corpus.caption_counts(), network.vocabulary)
    save_vocabulary(vocabulary, output)
    train_set = photo_set(corpus, corpus.photos_of("train", "extra"), vocabulary, network.views)
    dev = photo_set(corpus, corpus.photos_of("dev"), vocabulary)
    pseudo = None
    if network.pseudo_share:
        texts = other_captions(corpus)
        pseudo = prototypes(lite_backbone()[1].numpy(), train_set, texts, vocabulary)
    torch.manual_seed(loop.seed)
    words = cut_down(outside_vectors(vocabulary.words), network.dim_word) if network.outside else None
    task = JointTask(network, vocabulary, train_set, dev, pseudo, words)
    if network.start:
        task.model.load_state_dict(best_weights(Path(network.start)))
    return train(task, loop, output)


def text_sources(corpus: Corpus, vocabulary: Vocabulary, lengths: TextLengths, output: Path) -> dict[str, Source]:
    """Returns the texts to learn from, by kind; `output` caches them. Kinds that start with `dev_` are held out."""
    path = output / "texts.npz"
    if path.exists():
        return read_cached(path)
    output.mkdir(parents=True, exist_ok=True)
    own, groups = photo_captions(corpus, "train", "extra")
    other = corpus.captions("flickr30k_train") + corpus.captions("coco_sample")
    least, most, unknown = lengths.least, lengths.most, lengths.unknown
    sources = {
        "photos": caption_source(own, vocabulary, groups),
        "captions": caption_source(other, vocabulary),
        "romantic": caption_source(corpus.captions("romantic"), vocabulary),
        "books": book_source(corpus.books, vocabulary, least, most, unknown),
        "sentences": book_source(corpus.books, vocabulary, least, SENTENCE, unknown, seed=None),
        "dev_books": book_source(corpus.held_out_books, vocabulary, least, 15, unknown),
        "dev_captions": caption_source(photo_captions(corpus, "dev")[0], vocabulary),
    }
    found = {kind: source for kind, source in sources.items() if len(source.texts)}
    cached(path, found)
    return found


def sources_to_encode(
    settings: Settings, corpus: Corpus, network: ThoughtsConfig, output: Path
) -> tuple[Vocabulary, dict[str, Source]]:
    """Returns the words that a sentence encoder learns, saved to `output`, and the texts to learn from, by kind.

    Raises:
        ConfigError: a kind is missing, or the prepared corpus has other words than the training in `output`.
    """
    shares = settings.get("shares", {})
    if corpus.texts is not None:
        vocabulary, sources = read_to_learn(corpus.texts, shares)
        keep_words(vocabulary, corpus.texts, output)
        return vocabulary, sources
    if not (output / WORDS).exists():
        counts = joint_counts(corpus)
        if not counts:
            raise ConfigError(share_problems(shares, {}, corpus.data))
        save_vocabulary(Vocabulary.of_counts(counts, network.vocabulary), output)
    vocabulary = load_words(output)
    sources = text_sources(corpus, vocabulary, network, output)
    if problems := share_problems(shares, sources, corpus.data):
        raise ConfigError(problems)
    return vocabulary, sources


def keep_words(vocabulary: Vocabulary, place: Path, output: Path) -> None:
    """Writes the words of a prepared corpus to `output`.

    Raises:
        ConfigError: the training there started with other words.
    """
    if (output / WORDS).exists() and load_words(output).words != vocabulary.words:
        raise ConfigError(f"{output}: started with other words than those of {place}; name a new output")
    save_vocabulary(vocabulary, output)


def sources_to_tell(
    settings: Settings, corpus: Corpus, network: DecoderConfig, words: Vocabulary, output: Path
) -> tuple[dict[str, float], dict[str, Source]]:
    """Returns the shares of the texts for a story decoder by kind, and these texts as ids of `words`.

    Kinds that the data folder lacks are dropped; a prepared corpus must have all kinds.

    Raises:
        ConfigError: kinds are missing, or the prepared corpus has other words.
    """
    shares = settings.get("shares", {})
    if corpus.texts is None:
        sources = text_sources(corpus, words, network, output)
        found = {kind: share for kind, share in shares.items() if kind in sources or kind not in KINDS}
        if problems := share_problems(found or shares, sources, corpus.data):
            raise ConfigError(problems)
        return found, sources
    vocabulary, sources = read_to_learn(corpus.texts, shares)
    if vocabulary.words != words.words:
        problem = f"{corpus.texts}: its words are not those of the sentence encoder of {network.pack}"
        raise ConfigError(f"{problem}; prepare it with --words {network.pack}")
    return shares, sources


def held_out(sources: Mapping[str, Source], count: int) -> dict[str, Tokens]:
    """Returns `count` texts of each held-out source, evenly spaced."""
    names = [name for name in sources if name.startswith("dev_")]
    return {
        name: Tokens.of(
            sources[name].texts[place] for place in np.linspace(0, len(sources[name].texts) - 1, count, dtype=int)
        )
        for name in names
    }


def train_skip_thoughts(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Trains a sentence encoder with its decoder in `output` and returns its best figures."""
    network, loop = section(settings, "network", ThoughtsConfig), section(settings, "training", LoopConfig)
    vocabulary, sources = sources_to_encode(settings, corpus, network, output)
    torch.manual_seed(loop.seed)
    task = ThoughtsTask(network, vocabulary.size, sources, settings["shares"], held_out(sources, 256))
    if network.start and not (output / CHECKPOINT).exists():
        task.model.load_state_dict(grow(*read_start(network.start), vocabulary), strict=False)
    return train(task, loop, output)


def pseudo_photos(
    count: int, photos: PhotoSet, texts: Sequence[str], words: Vocabulary
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Returns feature vectors `[M, F]` of pseudo photos of ImageNet's classes, and the ids of a caption for each.

    Args:
        count: number of pseudo photos M.
        photos: photos that they are made from.
        texts: captions, some of them about the classes.
        words: vocabulary of the ids.
    """
    if not count:
        return np.zeros((0, photos.features.shape[1]), np.float32), []
    classes = prototypes(lite_backbone()[1].numpy(), photos, texts, words)
    shown, about = classes.draw(count, photos, np.random.default_rng(0), replace=True)  # [M, F]
    return np.maximum(shown, 0).astype(np.float32), about


def train_caption_writer(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Trains a caption writer in `output`, with the captions of its bank, and returns its best figures.

    It starts from the decoder of the sentence encoder's training, or of the first one if there are two.
    """
    network, loop = section(settings, "network", WriterConfig), section(settings, "training", LoopConfig)
    joint, first, last = (output.parent / name for name in ("joint", "first", "thoughts"))
    start = first if first.exists() else last
    words, embeddings = load_words(joint), joint_embeddings(corpus, joint)
    model, places = load_joint(joint), corpus.photos_of("train", "extra")
    captions = photo_captions(corpus, "train", "extra")[0], other_captions(corpus)
    shown, about = pseudo_photos(network.pseudo, photo_set(corpus, places, words), captions[1], words)  # [M, F]
    pictured, plain = ([words.encode(text) for text in some] for some in captions)
    texts = Tokens.of([*pictured, *about, *plain])
    with torch.inference_mode():
        pseudo_images = model.embed_images(torch.from_numpy(shown)).numpy()  # [M, J]
        pseudo_own = embed_texts(model, Tokens.of(about)).numpy()  # [M, J]
    own = np.concatenate([embeddings["photos"], pseudo_own, embeddings["captions"]])  # [K, J]
    counts = [len(corpus.photos[place].captions) for place in places]
    photos = np.concatenate([np.repeat(embeddings["images"][places], counts, axis=0), pseudo_images])  # [P, J]
    torch.manual_seed(loop.seed)
    task = WriterTask(network, words.size, texts, own, photos)
    if not (output / CHECKPOINT).exists():
        task.model.load_state_dict(without_start(grow(best_weights(start), load_words(start), words)), strict=False)
    save_vocabulary(words, output)
    figures = train(task, loop, output)
    task.model.load_state_dict(best_weights(output))
    bank = write_bank(section(settings, "bank", BankConfig), task.model.eval(), own, photos, words, corpus.all_captions)
    (output / "bank.txt").write_text("".join(f"{text}\n" for text in bank))
    return figures | {"bank": len(bank)}


def train_decoder(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Trains a story decoder for the networks of a pack in `output` and returns its best figures."""
    network, loop = section(settings, "network", DecoderConfig), section(settings, "training", LoopConfig)
    around = Surroundings.of_pack(network.pack)
    shares, sources = sources_to_tell(settings, corpus, network, around.words, output)
    stories = prepare_stories(section(settings, "stories", StoriesConfig), corpus, around, output)
    weights = grow(*read_start(network.start or network.pack), around.words)
    model = decoder_of(weights)
    torch.manual_seed(loop.seed)
    task = DecoderTask(network, around.encoder, model, sources, shares, stories, held_out(sources, 256))
    save_vocabulary(around.words, output)
    return train(task, loop, output)


NETWORKS: dict[str, Runner] = {
    "joint_embedding": train_joint_embedding,
    "skip_thoughts": train_skip_thoughts,
    "caption_writer": train_caption_writer,
    "decoder": train_decoder,
}
"""The networks that `python -m pipelines.train` can train one by one."""
