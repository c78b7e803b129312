"""Weights of an earlier training or a model pack, adapted to a network with other words."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from configs.schema import ConfigError
from model_handlers.families.entry import of_family
from model_handlers.families.gru_decoder import GruDecoderEntry
from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEntry
from model_handlers.nets.story_decoder import StoryDecoder
from model_handlers.pack import Pack
from model_handlers.pack_card import CARD
from pipelines.corpora.texts import UNKNOWN, Vocabulary
from pipelines.pack_tools.expansion import expand, outside_vectors
from pipelines.training.engine.loop import best_weights
from pipelines.training.recipes.text_vectors import load_words

WORD_TABLES = ("table.weight", "decoder.word_vectors.weight", "decoder.logits.weight")
WORD_BIAS = "decoder.logits.bias"
RARE = 0.05  # a new word gets this quantile of the known words' biases


def read_start(location: str) -> tuple[dict[str, Tensor], Vocabulary]:
    """Returns the weights of an `Autoencoder` and its words, from a training's folder or a pack.

    A pack's sentence encoder and default decoder must have the same words, as in the pocket pack. Words that
    `pipelines.expand_vocabulary` appended to the encoder's are left out. A pack has no weights for the layers that only
    training needs, which predict bags of words.

    Raises:
        ConfigError: the words differ, or the pack has no default decoder.
    """
    if not (Path(location) / CARD).exists():
        words = load_words(Path(location))
        return best_weights(Path(location)), words
    pack = Pack.open(location)
    if not pack.default_decoder:
        raise ConfigError(f"{location}: the pack has no default decoder that a training could start from")
    weights, known = pack_encoder(pack)
    decoder = of_family(pack.decoder(pack.default_decoder), GruDecoderEntry, location, "the training")
    pairs = sorted(pack.json(decoder.vocabulary), key=lambda pair: pair[1])
    if pairs != known.pairs()[: len(pairs)]:
        raise ConfigError(
            f"{location}: its decoder has other words than its sentence encoder; a training cannot start from it"
        )
    words = Vocabulary(known.words[: len(pairs)])
    weights |= {f"decoder.{name}": tensor for name, tensor in pack.tensors(decoder.weights).items()}
    weights["table.weight"] = weights["table.weight"][: words.size]  # [V, W]
    return weights, words


def pack_encoder(pack: Pack) -> tuple[dict[str, Tensor], Vocabulary]:
    """Returns the weights of a pack's sentence encoder and of its word table, and its words."""
    entry = of_family(pack.sentence_encoder, SkipThoughtsEntry, pack.location, "the training")
    weights = {f"encoder.{name}": tensor for name, tensor in pack.tensors(entry.weights).items()}
    table = pack.array(entry.tables()[-1])  # [V, W]
    weights["table.weight"] = torch.from_numpy(np.array(table, np.float32))  # [V, W]
    return weights, Vocabulary(pack.json(entry.words)[2:])


def grow(weights: Mapping[str, Tensor], old: Vocabulary, new: Vocabulary) -> dict[str, Tensor]:
    """Returns weights for the words of `new`.

    Words that are also in `old` keep their rows; a linear map from outside word vectors predicts the others (see
    `expand`).

    Args:
        weights: weights of an `Autoencoder`.
        old: words of these weights.
        new: words of the returned weights.
    """
    if old.words == new.words:
        return dict(weights)
    outside = outside_vectors(new.words).astype(np.float32)  # [V - 2, D]
    known = np.asarray([word in old.ids for word in new.words])  # [V - 2]
    rows = np.asarray([old.ids.get(word, UNKNOWN) for word in new.words])  # [V - 2]
    grown = dict(weights)
    for name in WORD_TABLES:
        table = weights[name].numpy()  # [V', W]
        fresh = table[rows]  # [V - 2, W]
        if not known.all():
            fresh[~known] = expand(outside[known], fresh[known], outside[~known])
        grown[name] = torch.from_numpy(np.concatenate([table[:2], fresh]))  # [V, W]
    bias = weights[WORD_BIAS].numpy()  # [V']
    fresh = np.where(known, bias[rows], np.quantile(bias, RARE)).astype(np.float32)  # [V - 2]
    grown[WORD_BIAS] = torch.from_numpy(np.concatenate([bias[:2], fresh]))  # [V]
    return grown


def _of_decoder(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the weights of an autoencoder's decoder, under the decoder's own names."""
    return {name.removeprefix("decoder."): weight for name, weight in weights.items() if name.startswith("decoder.")}


def without_start(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the weights of an autoencoder's decoder, without those that turn a vector into its first state."""
    return {name: weight for name, weight in _of_decoder(weights).items() if not name.startswith("state.")}


def decoder_of(weights: Mapping[str, Tensor]) -> StoryDecoder:
    """Returns the decoder of an autoencoder's weights."""
    own = _of_decoder(weights)
    dim, dim_context = own["state.weight"].shape
    n_words, dim_word = own["word_vectors.weight"].shape
    decoder = StoryDecoder(dim_context, dim_word, dim, n_words, "hidden.weight" in own)
    decoder.load_state_dict(own)
    return decoder
