"""Joint embeddings and sentence vectors of the training texts, by trained networks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from model_handlers.nets.joint_embedding import JointEmbedding
from model_handlers.nets.skip_thoughts import SkipThoughts
from pipelines.corpora.texts import Tokens, Vocabulary, padded
from pipelines.training.data.corpus import Corpus
from pipelines.training.data.passages import other_captions, photo_captions
from pipelines.training.engine.arithmetic import autocast
from pipelines.training.engine.loop import best_weights
from pipelines.training.engine.whole_files import save_arrays
from pipelines.training.recipes.joint import embed_texts

WORDS = "words.json"


def load_words(folder: Path) -> Vocabulary:
    """Returns the vocabulary in a training's folder."""
    return Vocabulary(json.loads((folder / WORDS).read_text()))


def load_joint(folder: Path) -> JointEmbedding:
    """Returns the joint embedding in a training's folder."""
    weights = best_weights(folder)
    n_words, dim_word = weights["word_vectors.weight"].shape
    dim, dim_image = weights["image_projection.weight"].shape
    model = JointEmbedding(dim_image, dim_word, dim, n_words, "gru")
    model.load_state_dict(weights)
    return model.eval()


class TableEncoder(nn.Module):
    """A sentence encoder and its word vectors, without the decoders of its training.

    Args:
        weights: weights of a training by either recipe; only those under `table.` and `encoder.` are used.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        own = {name.removeprefix("encoder."): value for name, value in weights.items() if name.startswith("encoder.")}
        widths = [own[name].shape[1] if name in own else 0 for name in ("uni.weight_hh_l0", "bi_forward.weight_hh_l0")]
        self.table = nn.Embedding.from_pretrained(weights["table.weight"])
        self.encoder = SkipThoughts(self.table.embedding_dim, *widths)
        self.encoder.load_state_dict(own)

    def encode(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Returns sentence vectors `[N, S]` of ids `[N, T]`, without the closing 0."""
        words = self.table(ids)  # [N, T, W]
        with autocast():
            vectors: Tensor = self.encoder(words, words, lengths)  # [N, S]
        return vectors


def load_encoder(folder: Path) -> TableEncoder:
    """Returns the frozen sentence encoder in the folder of a training by either recipe."""
    return TableEncoder(best_weights(folder)).eval().requires_grad_(False)


@torch.inference_mode()
def joint_embeddings(corpus: Corpus, folder: Path) -> dict[str, np.ndarray]:
    """Returns joint embeddings `[.., J]` in half precision; `folder` caches them.

    `images` are of all photos; `photos`, `captions` and `romantic` are of captions in the order of their sources.
    """
    path = folder / "embeddings.npz"
    if not path.exists():
        model, words = load_joint(folder), load_words(folder)
        texts = {
            "photos": photo_captions(corpus, "train", "extra")[0],
            "captions": other_captions(corpus),
            "romantic": corpus.captions("romantic"),
        }
        arrays = {"images": model.embed_images(torch.from_numpy(corpus.features)).half().numpy()}  # [N, J]
        for name, lines in texts.items():
            arrays[name] = embed_texts(model, Tokens.of(words.encode(line) for line in lines)).half().numpy()  # [K, J]
        save_arrays(path, arrays)
    with np.load(path) as stored:
        return dict(stored)


@torch.inference_mode()
def sentence_vectors(model: TableEncoder, texts: Sequence[np.ndarray] | Tokens, batch_size: int = 256) -> np.ndarray:
    """Returns sentence vectors `[K, S]` of texts in their order, in half precision."""
    lengths = np.asarray([len(texts[place]) for place in range(len(texts))])
    order = np.argsort(lengths, kind="stable")
    vectors = np.zeros((len(texts), model.encoder.dim), np.float16)  # [K, S]
    for first in tqdm(range(0, len(order), batch_size), desc="sentence vectors", unit="batch", mininterval=2):
        places = order[first : first + batch_size]
        ids, counts = (torch.from_numpy(array) for array in padded([texts[place] for place in places], closing=False))
        vectors[places] = model.encode(ids, counts).half().numpy()  # [N, S]
    return vectors


def nearest(queries: np.ndarray, bank: np.ndarray, count: int, batch_size: int = 2048) -> np.ndarray:
    """Returns the places of the `count` rows of `bank` `[K, J]` most similar to each query `[N, J]`, best first."""
    table = torch.from_numpy(bank).bfloat16()  # [K, J]
    places = []
    for first in range(0, len(queries), batch_size):
        rows = torch.from_numpy(queries[first : first + batch_size]).bfloat16()  # [N, J]
        places.append((rows @ table.T).float().topk(min(count, len(bank)), dim=1).indices.numpy())  # [N, count]
    return np.concatenate(places)
