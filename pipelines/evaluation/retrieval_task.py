"""Measures how often a photo finds one of its captions, and a caption its photo (Kiros et al. 2014)."""

from argparse import Namespace
from dataclasses import dataclass

import numpy as np
import torch

from model_handlers.captions import EmbeddingHandler
from model_handlers.features import FeatureHandler
from pipelines.evaluation.photos import extract, open_photos
from pipelines.evaluation.task import EvaluationTask, Figures, gather, open_for
from pipelines.evaluation.task_options import TASK_OPTIONS
from transforms.load_images import LoadImages

TIE = 1e-6  # similarities this close count as equal, as float32 embeddings are no more precise
BLOCK = 256  # photos that are compared with all captions at once
CUTS = (1, 5, 10)


def run(flags: Namespace) -> Figures:
    """Returns recalls in percent and median ranks in both directions, over the photos and all of their captions.

    The pack tokenises the captions as it does those of its caption index.

    Raises:
        ConfigError: lists all problems of pack, table and photos.
    """
    (pack, placement), (table, listings) = gather(
        lambda: open_for(flags, ("features", "joint_embedding")), lambda: open_photos(flags)
    )
    load = LoadImages(pack.features.preprocessing)
    pairs = extract(listings, load, FeatureHandler(placement, flags.batch_size), flags.batch_size)
    embedder = EmbeddingHandler(placement).load_model().get()
    features = torch.from_numpy(np.stack([feature for _, feature in pairs])).to(embedder.device)  # [N, F]
    photos = embedder.embed_photos(features).cpu().numpy()  # [N, J]
    captions = embedder.embed([caption for photo in table for caption in photo.captions])  # [K, J]
    owners = np.repeat(np.arange(len(table)), [len(photo.captions) for photo in table])  # [K]
    found = rank(photos, captions.astype(np.float64), owners)
    return {
        "image_to_text": recalls(found.photos),
        "text_to_image": recalls(found.captions),
        "photos": len(photos),
        "captions": len(captions),
    }


@dataclass(frozen=True)
class Ranks:
    """Ranks, from 0, of the best caption of each photo `[N]` and of the photo of each caption `[K]`."""

    photos: np.ndarray
    captions: np.ndarray


def rank(photos: np.ndarray, captions: np.ndarray, owners: np.ndarray) -> Ranks:
    """Returns how many wrong captions precede each photo's best own caption, and wrong photos each caption's own photo.

    If both are equally similar the wrong one precedes the right one, so that vectors that are all alike score zero.

    Args:
        photos: joint embeddings `[N, J]`.
        captions: joint embeddings `[K, J]`.
        owners: place of each caption's photo `[K]`.
    """
    own = np.einsum("kj,kj->k", photos[owners], captions) - TIE  # [K]
    best = np.full(len(photos), -np.inf)  # [N]
    np.maximum.at(best, owners, own)
    ranks = Ranks(np.zeros(len(photos), np.int64), np.zeros(len(captions), np.int64))  # [N], [K]
    for start in range(0, len(photos), BLOCK):
        block = slice(start, start + BLOCK)
        scores = photos[block] @ captions.T  # [n, K]
        (inside,) = np.nonzero((owners >= start) & (owners < start + BLOCK))
        scores[owners[inside] - start, inside] = -np.inf  # a photo's own captions are never wrong
        ranks.photos[block] = (scores >= best[block, None]).sum(axis=1)  # [n]
        ranks.captions[:] += (scores >= own[None]).sum(axis=0)  # [K]
    return ranks


def recalls(ranks: np.ndarray) -> dict[str, float]:
    """Returns the percentages of ranks (from 0) among the first 1, 5 and 10, and the median rank (from 1)."""
    shares = {f"R@{cut}": 100 * float((ranks < cut).mean()) for cut in CUTS}
    return shares | {"median_rank": float(np.floor(np.median(ranks)) + 1)}


def _published(image_to_text: tuple[float, ...], text_to_image: tuple[float, ...]) -> dict[str, float]:
    ways = {"image_to_text": image_to_text, "text_to_image": text_to_image}
    return {f"{way}.R@{cut}": value for way, row in ways.items() for cut, value in zip(CUTS, row, strict=True)}


TASK = EvaluationTask(
    *TASK_OPTIONS["retrieval"],
    run,
    {
        "Kiros 2014, paper, Flickr8k test": _published((18.0, 40.9, 55.0), (12.5, 37.0, 51.5)),
        "Kiros 2014, released code, Flickr8k test": _published((22.3, 48.7, 59.8), (14.9, 38.3, 51.6)),
    },
)
