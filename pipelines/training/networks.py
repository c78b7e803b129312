"""The networks that can be trained, by name: each entry reads its configuration, makes its task and trains it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipelines.training.corpus import Corpus
from pipelines.training.decoder import DecoderConfig, DecoderTask
from pipelines.training.features import lite_backbone
from pipelines.training.joint import JointConfig, JointTask, PhotoSet
from pipelines.training.loop import LoopConfig, best_weights, train
from pipelines.training.pack import assemble_pack
from pipelines.training.passages import (
    Source,
    book_source,
    cached,
    caption_source,
    joint_counts,
    photo_captions,
    read_cached,
)
from pipelines.training.prototypes import prototypes
from pipelines.training.settings import section
from pipelines.training.story_material import StoriesConfig, prepare_stories
from pipelines.training.tables import joint_embeddings, load_autoencoder, load_words
from pipelines.training.texts import Tokens, Vocabulary
from pipelines.training.thoughts import ThoughtsConfig, ThoughtsTask
from pipelines.training.writer import BankConfig, WriterConfig, WriterTask, write_bank

Settings = Mapping[str, Any]
Runner = Callable[[Settings, Corpus, Path], dict[str, float]]


def save_vocabulary(vocabulary: Vocabulary, output: Path) -> None:
    """Writes the words to `output/words.json`."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "words.json").write_text(json.dumps(vocabulary.words))


def photo_set(corpus: Corpus, places: list[int], vocabulary: Vocabulary) -> PhotoSet:
    """Returns the photos at some places with their captions as ids."""
    rows: list[list[int]] = []
    texts: list[list[int]] = []
    for place in places:
        captions = corpus.photos[place].captions
        rows.append(list(range(len(texts), len(texts) + len(captions))))
        texts += [vocabulary.encode(text) for text in captions]
    return PhotoSet(corpus.features[places], Tokens.of(texts), rows)


def train_joint_embedding(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Returns the best figures of a joint embedding, which is left in `output`."""
    network, loop = section(settings, "network", JointConfig), section(settings, "training", LoopConfig)
    vocabulary = Vocabulary.of_counts(corpus.caption_counts(), network.vocabulary)
    save_vocabulary(vocabulary, output)
    train_set, dev = (
        photo_set(corpus, corpus.photos_of(*names), vocabulary) for names in (("train", "extra"), ("dev",))
    )
    pseudo = None
    if network.pseudo_share:
        texts = corpus.captions("coco_sample") + corpus.captions("flickr30k_train")
        pseudo = prototypes(lite_backbone()[1].numpy(), train_set.features, texts, vocabulary)
    torch.manual_seed(loop.seed)
    task = JointTask(network, vocabulary, train_set, dev, pseudo)
    if network.start:
        task.model.load_state_dict(best_weights(Path(network.start)))
    return train(task, loop, output)


def text_sources(settings: ThoughtsConfig, corpus: Corpus, output: Path) -> tuple[Vocabulary, dict[str, Source]]:
    """Returns the shared vocabulary and the texts to learn from, made once and kept in `output`; `dev_` is held out."""
    path = output / "texts.npz"
    if path.exists():
        return load_words(output), read_cached(path)
    vocabulary = Vocabulary.of_counts(joint_counts(corpus), settings.vocabulary)
    save_vocabulary(vocabulary, output)
    own, groups = photo_captions(corpus, "train", "extra")
    other = corpus.captions("flickr30k_train") + corpus.captions("coco_sample")
    least, most, unknown = settings.least, settings.most, settings.unknown
    sources = {
        "photos": caption_source(own, vocabulary, groups),
        "captions": caption_source(other, vocabulary),
        "romantic": caption_source(corpus.captions("romantic"), vocabulary),
        "books": book_source(corpus.books[: -corpus.held_out_books], vocabulary, least, most, unknown),
        "dev_books": book_source(corpus.books[-corpus.held_out_books :], vocabulary, least, 15, unknown),
        "dev_captions": caption_source(photo_captions(corpus, "dev")[0], vocabulary),
    }
    cached(path, sources)
    return vocabulary, sources


def held_out(sources: Mapping[str, Source], count: int) -> dict[str, Tokens]:
    """Returns `count` texts of each held-out source, spread over it."""
    names = [name for name in sources if name.startswith("dev_")]
    return {
        name: Tokens.of(
            sources[name].texts[place] for place in np.linspace(0, len(sources[name].texts) - 1, count, dtype=int)
        )
        for name in names
    }


def train_skip_thoughts(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Returns the best figures of a sentence encoder, which is left in `output` with the decoder it learned with."""
    network, loop = section(settings, "network", ThoughtsConfig), section(settings, "training", LoopConfig)
    vocabulary, sources = text_sources(network, corpus, output)
    torch.manual_seed(loop.seed)
    task = ThoughtsTask(network, vocabulary.size, sources, settings["shares"], held_out(sources, 256))
    return train(task, loop, output)


def train_caption_writer(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Returns the best figures of a caption writer, which is left in `output` with the captions of its bank."""
    network, loop = section(settings, "network", WriterConfig), section(settings, "training", LoopConfig)
    joint, thoughts = output.parent / "joint", output.parent / "thoughts"
    words, sources = load_words(thoughts), read_cached(thoughts / "texts.npz")
    embeddings = joint_embeddings(corpus, joint)
    texts = Tokens.of([*sources["photos"].texts, *sources["captions"].texts])
    own = np.concatenate([embeddings["photos"], embeddings["captions"]])  # [K, J]
    places = corpus.photos_of("train", "extra")
    photos = np.repeat(embeddings["images"][places], [len(corpus.photos[place].captions) for place in places], axis=0)
    torch.manual_seed(loop.seed)
    task = WriterTask(network, words.size, texts, own, photos)
    learned = load_autoencoder(thoughts).decoder.state_dict()
    task.model.load_state_dict(
        {name: weight for name, weight in learned.items() if not name.startswith("state.")}, strict=False
    )
    figures = train(task, loop, output)
    task.model.load_state_dict(best_weights(output))
    bank = write_bank(section(settings, "bank", BankConfig), task.model.eval(), own, photos, words, corpus.all_captions)
    (output / "bank.txt").write_text("".join(f"{text}\n" for text in bank))
    return figures | {"bank": len(bank)}


def train_decoder(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Returns the best figures of a story decoder, which is left in `output` with the style vectors."""
    network, loop = section(settings, "network", DecoderConfig), section(settings, "training", LoopConfig)
    thoughts = output.parent / "thoughts"
    sources = read_cached(thoughts / "texts.npz")
    material = prepare_stories(section(settings, "stories", StoriesConfig), corpus, output)
    words = load_words(thoughts)
    torch.manual_seed(loop.seed)
    task = DecoderTask(
        network,
        load_autoencoder(thoughts),
        sources,
        settings["shares"],
        material.stories,
        material.plain,
        material.styles["romance"] - material.styles["source"],
        [words.ids[mark] for mark in (".", "!", "?") if mark in words.ids],
        held_out(sources, 256),
    )
    return train(task, loop, output)


@dataclass(frozen=True)
class PackConfig:
    """Where trained networks lie (folders `joint`, `thoughts`, `writer` and `decoder`), and the new pack's name."""

    trained: str
    name: str = "pocket"
    version: str = "1"


def make_pack(settings: Settings, corpus: Corpus, output: Path) -> dict[str, float]:
    """Returns the sizes of the files of a pack of the trained networks, which is written to `output`."""
    config = section(settings, "pack", PackConfig)
    pack = assemble_pack(Path(config.trained), output, config.name, config.version)
    return {file: facts["bytes"] for file, facts in pack.card["files"].items()}


NETWORKS: dict[str, Runner] = {
    "joint_embedding": train_joint_embedding,
    "skip_thoughts": train_skip_thoughts,
    "caption_writer": train_caption_writer,
    "decoder": train_decoder,
    "pack": make_pack,
}
"""What `python -m pipelines.train` can train."""
