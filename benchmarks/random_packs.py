"""Model packs of the original's sizes, with weights drawn from a seed: their speed does not depend on training."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model_handlers.families.gru_decoder import GruDecoderEntry
from model_handlers.families.protocols import CaptionsEntry
from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEntry
from model_handlers.families.vgg19 import Vgg19Entry
from model_handlers.families.word_joint_embedding import WordJointEmbeddingEntry
from model_handlers.nets.joint_embedding import JointEmbedding
from model_handlers.nets.skip_thoughts import SkipThoughts, sentence_width
from model_handlers.nets.story_decoder import END, StoryDecoder
from model_handlers.nets.vgg import VGG19, WIDTHS
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter

DECODER = "random"
RECIPE = 1  # to be raised where the same sizes are to give other packs
SEED = 2015
CAPTION_WORDS = (10, 12)  # least and most
BLOCK = 16384  # captions drawn at once
SHARPNESS = 6.0  # of the decoder: real ones are sure of few words, and rounding then seldom changes a search


@dataclass(frozen=True)
class Sizes:
    """Widths and numbers of a pack; the defaults are the original's.

    Attributes:
        words: of each vocabulary, and rows of each word table.
        dim_word: W of decoder and sentence encoder.
        state: H of the decoder.
        uni: width of the sentence encoder's uni part.
        bi: width of each half of its bi part.
        joint: J.
        joint_word: W of the joint embedding.
        captions: K.
        channels: of VGG-19's convolutions.
        hidden: width of VGG-19's fc6.
        feature: F.
        end: logit bias of the word that ends a story, so low that no search ends by itself.
    """

    words: int = 20_000
    dim_word: int = 620
    state: int = 1600
    uni: int = 2400
    bi: int = 1200
    joint: int = 1024
    joint_word: int = 300
    captions: int = 414_000
    channels: tuple[int, ...] = WIDTHS
    hidden: int = 4096
    feature: int = 4096
    end: float = -60.0

    @property
    def sentence(self) -> int:
        """S, the width of a sentence vector."""
        return sentence_width(self.uni, self.bi)

    @property
    def name(self) -> str:
        """Returns a name that distinguishes packs of these sizes from others."""
        text = json.dumps([RECIPE, SEED, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def random_pack(work: Path, sizes: Sizes) -> Pack:
    """Returns the pack of all networks and of captions with their embeddings, made where the folder has none yet."""
    place = work / f"random-{sizes.name}"
    return Pack.open(str(place)) if place.exists() else _write(place, sizes)


def ready_pack(work: Path, sizes: Sizes, base: Pack, captions: list[str]) -> Pack:
    """Returns a pack with the sentence encoder of `base` and a few captions that have sentence vectors ready."""
    place = work / f"ready-{sizes.name}-{len(captions)}"
    if place.exists():
        return Pack.open(str(place))
    writer = PackWriter(str(place), base)
    kept = base.sentence_encoder
    writer.components.clear()
    vectors = writer.reserve_array("vectors.npy", (len(captions), sizes.sentence), "f4")  # [K, S]
    for block in _unit_blocks(vectors.shape):
        vectors[block[0] : block[0] + len(block[1])] = block[1]
    vectors.flush()
    texts = writer.add_lines("ready.txt", captions)
    writer.put("sentence_encoder", kept)
    writer.put("captions", CaptionsEntry(texts=texts, sentence_vectors="vectors.npy"))
    return writer.finish()


def _write(place: Path, sizes: Sizes) -> Pack:
    writer = PackWriter(str(place))
    words = [f"w{number}" for number in range(2, sizes.words)]
    names = writer.add_json("words.json", [[word, number] for number, word in enumerate(words, start=2)])
    writer.put("features", _features(writer, sizes))
    writer.put("joint_embedding", _joint_embedding(writer, sizes, names))
    writer.put("captions", _captions(writer, sizes))
    writer.put("sentence_encoder", _sentence_encoder(writer, sizes, words))
    writer.put_decoder(DECODER, _decoder(writer, sizes, names))
    return writer.finish()


def _features(writer: PackWriter, sizes: Sizes) -> Vgg19Entry:
    net = VGG19(sizes.channels, sizes.hidden, sizes.feature)
    weights = _weights(net, 2**0.5)  # which keeps the size of what passes through ReLUs
    return Vgg19Entry(
        family="vgg19",
        widths=list(sizes.channels),
        hidden=sizes.hidden,
        width=sizes.feature,
        preprocessing={"name": "original"},
        weights=writer.add_tensors("features.safetensors", weights),
    )


def _joint_embedding(writer: PackWriter, sizes: Sizes, words: str) -> WordJointEmbeddingEntry:
    net = JointEmbedding(sizes.feature, sizes.joint_word, sizes.joint, sizes.words)
    return WordJointEmbeddingEntry(
        encoder="gru",
        dim_image=sizes.feature,
        dim_word=sizes.joint_word,
        dim=sizes.joint,
        n_words=sizes.words,
        weights=writer.add_tensors("joint.safetensors", _weights(net)),
        vocabulary=words,
    )


def _captions(writer: PackWriter, sizes: Sizes) -> CaptionsEntry:
    embeddings = writer.reserve_array("embeddings.npy", (sizes.captions, sizes.joint), "f4")  # [K, J]
    for start, rows in _unit_blocks(embeddings.shape):
        embeddings[start : start + len(rows)] = rows
    embeddings.flush()
    return CaptionsEntry(texts=writer.add_lines("captions.txt", random_captions(sizes)), embeddings="embeddings.npy")


def random_captions(sizes: Sizes) -> list[str]:
    """Returns captions of 10 to 12 words of the vocabulary."""
    draw = np.random.default_rng(SEED)
    lengths = draw.integers(CAPTION_WORDS[0], CAPTION_WORDS[1] + 1, sizes.captions)
    words = draw.integers(2, sizes.words, (sizes.captions, CAPTION_WORDS[1]))
    return [
        " ".join(f"w{word}" for word in row[:length])
        for row, length in zip(words.tolist(), lengths.tolist(), strict=True)
    ]


def _unit_blocks(shape: tuple[int, ...]) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the first row and the rows of random vectors of length 1, never all at once."""
    draw = np.random.default_rng(SEED)
    for start in range(0, shape[0], BLOCK):
        rows = draw.standard_normal((min(BLOCK, shape[0] - start), shape[1]), np.float32)  # [block, width]
        yield start, rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _sentence_encoder(writer: PackWriter, sizes: Sizes, words: list[str]) -> SkipThoughtsEntry:
    draw = np.random.default_rng(SEED)
    names = ["UNK", "<eos>", *words]
    tables = {
        f"{part}_table": writer.add_array(
            f"{part}.npy", draw.standard_normal((len(names), sizes.dim_word), np.float32)
        )  # [words, W]
        for part in ("uni", "bi")
    }
    entry = tables | {
        "family": "skip_thoughts",
        "dim_word": sizes.dim_word,
        "uni": sizes.uni,
        "bi": sizes.bi,
        "words": writer.add_json("sentence_words.json", names),
        "weights": writer.add_tensors(
            "sentences.safetensors", _weights(SkipThoughts(sizes.dim_word, sizes.uni, sizes.bi))
        ),
    }
    return SkipThoughtsEntry.model_validate(entry)


def random_decoder(sizes: Sizes) -> StoryDecoder:
    """Returns the story decoder of the random pack."""
    net = StoryDecoder(sizes.sentence, sizes.dim_word, sizes.state, sizes.words, False)
    weights = _weights(net)
    weights["logits.weight"] *= SHARPNESS  # [V, H]
    weights["logits.bias"][END] = sizes.end
    net.load_state_dict(weights)
    return net.eval()


def _decoder(writer: PackWriter, sizes: Sizes, words: str) -> GruDecoderEntry:
    weights = random_decoder(sizes).state_dict()
    return GruDecoderEntry(
        family="gru",
        dim_context=sizes.sentence,
        dim_word=sizes.dim_word,
        dim=sizes.state,
        n_words=sizes.words,
        deep_output=False,
        weights=writer.add_tensors("decoder.safetensors", weights),
        vocabulary=words,
    )


def _weights(net: nn.Module, gain: float = 1.0) -> dict[str, Tensor]:
    """Returns a network's state with random matrices that keep the size of what passes, and biases of zero."""
    draw = torch.Generator().manual_seed(SEED)
    state = net.state_dict()
    for name, values in state.items():
        if values.dim() == 1:
            values.zero_()
        else:
            inputs = 1 if name == "word_vectors.weight" else values[0].numel()
            values.normal_(0, gain / inputs**0.5, generator=draw)
    return state
