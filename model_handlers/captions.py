"""GPU handler that finds a photo's nearest captions, and the caption index that it searches."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from model_handlers.families.protocols import JointEmbedder
from model_handlers.handler import PackHandler, Placement
from model_handlers.machine_cache import cache_folder, put_into_cache
from model_handlers.nets.blocks import highest
from model_handlers.pack import Pack, open_once
from model_handlers.pack_card import PackError
from model_handlers.precision import computing, exactly
from model_handlers.process_cache import PROCESS_CACHE
from model_handlers.tensors import check_vectors, on_device


class Matches(list[tuple[str, float]]):
    """Captions with their similarities, best first.

    This class is pickled whole between steps; in plain lists, Beam's coders refuse captions that are not UTF-8.
    """


SPARE = {torch.float32: 16, torch.float16: 128, torch.bfloat16: 512}  # candidates beyond k that are ranked at first
DOUBT = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.2e-2}  # bound on a product's error
LARGE = 1 << 26  # size of an index, in numbers, from which a CPU screens it in bfloat16
PRODUCTS = 1 << 26  # bytes of products held at once
TAKEN = 8192  # captions whose embeddings are copied from the index at once
TILE = 2048  # captions multiplied at once on a CPU, so that their vectors fit its cache


def caption_texts(pack: Pack) -> list[str]:
    """Returns the pack's captions without blank lines, which sentence encoders cannot read (SPEC section 7)."""
    return [text for text in pack.lines(pack.captions.texts) if text.strip()]


def caption_embeddings(pack: Pack, embedder: JointEmbedder, captions: Sequence[str]) -> np.ndarray:
    """Returns the caption index's embeddings `[K, J]`, from the pack or from the cache, computed at first use.

    Raises:
        PackError: the numbers of embeddings and texts in the pack differ.
    """
    file = pack.captions.embeddings
    if file is not None:
        embeddings = pack.array(file)  # [K, J]
        if len(embeddings) != len(captions):
            raise PackError(
                [f"{pack.location}: {len(captions)} captions but {len(embeddings)} embeddings; index again"]
            )
        return embeddings
    key = hashlib.sha256(f"{pack.digest} {embedder.device.type} {torch.__version__}".encode()).hexdigest()
    cached = cache_folder() / "indexes" / f"{key}.npy"
    try:
        stored: np.ndarray = np.load(cached, mmap_mode="c", allow_pickle=False)  # [K, J]
        return stored
    except (OSError, ValueError):
        with computing("float32", embedder.device):  # one index for all precisions
            embeddings = embedder.embed(captions)  # [K, J]
    put_into_cache(cached, partial(np.save, arr=embeddings))
    return embeddings


@dataclass
class CaptionIndex:
    """Captions with their joint embeddings `[K, J]`, and the joint embedding that projects photos beside them.

    Attributes:
        captions: the texts.
        embeddings: embeddings `[K, J]` that rank captions, in the host's memory.
        embedder: joint embedding for photos.
        screen: the same embeddings on the device, in a type that is fast there; they only select the captions to be
            ranked.
    """

    captions: list[str]
    embeddings: torch.Tensor
    embedder: JointEmbedder
    screen: torch.Tensor

    @torch.inference_mode()
    def search(self, features: torch.Tensor, count: int) -> list[Matches]:
        """Returns each photo's `count` nearest captions in exact order.

        Fast products screen the index; the remaining captions are ranked by float64 products, so that neither batch
        nor device changes their order. Captions of equal similarity keep the order of the index, however many.

        Args:
            features: feature vectors `[N, F]` of any length.
            count: captions for each photo; all if the index has fewer.
        """
        with exactly(features.device):
            return self._rank(self.embedder.embed_photos(features), count, SPARE[self.screen.dtype])

    def _rank(self, photos: torch.Tensor, count: int, spare: int) -> list[Matches]:
        """Returns each photo's `count` best captions, with more candidates if `spare` are too few to be sure."""
        wanted = min(count + spare, len(self.captions))
        places, least = self._candidates(photos, wanted)  # [N, k + spare], [N]
        exact = self._exact(photos.cpu(), places)  # [N, k + spare]
        order = exact.sort(dim=1, descending=True, stable=True).indices[:, :count]  # [N, k]
        best, scores = places.gather(1, order), exact.gather(1, order)  # [N, k], [N, k]
        matches = [
            Matches((self.captions[place], score) for place, score in zip(row, row_scores, strict=True))
            for row, row_scores in zip(best.tolist(), scores.tolist(), strict=True)
        ]
        if wanted < len(self.captions):
            sure = scores[:, -1] >= least + DOUBT[self.screen.dtype]  # [N]
            for photo in (~sure).nonzero().flatten().tolist():
                matches[photo] = self._rank(photos[photo : photo + 1], count, 8 * spare)[0]
        return matches

    def _exact(self, photos: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Returns the float64 products `[N, k]` of photos `[N, J]` and the captions at places `[N, k]`."""
        at_once = max(1, TAKEN // places.shape[1])
        parts = zip(photos.split(at_once), places.split(at_once), strict=True)
        taken = ((some, self.embeddings.index_select(0, rows.flatten()), rows) for some, rows in parts)
        return torch.stack(
            [
                captions.double() @ photo
                for some, found, rows in taken
                for photo, captions in zip(some, found.split(rows.shape[1]), strict=True)
            ]
        )  # [N, k]

    def _candidates(self, photos: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the ascending places `[N, count]` of the best captions by fast products, and their least product.

        Args:
            photos: joint embeddings `[N, J]`.
            count: number of captions; no other caption has a product above the least product `[N]` returned.
        """
        photos = photos.to(self.screen.dtype)  # [N, J]
        block = max(1, PRODUCTS // (len(photos) * photos.element_size()))
        scores, places = [], []
        for start in range(0, len(self.screen), block):
            products = products_of(photos, self.screen[start : start + block])  # [N, block]
            found, at = highest(products, min(count, products.shape[1]))  # [N, count], [N, count]
            scores.append(found)
            places.append(at + start)
        best, kept = torch.cat(scores, dim=1).topk(count, dim=1)  # [N, count], [N, count]
        chosen = torch.cat(places, dim=1).gather(1, kept).sort(dim=1).values  # [N, count]
        return chosen.cpu(), best[:, -1].double().cpu()


def open_index(pack: Pack, embedder: JointEmbedder) -> CaptionIndex:
    """Returns the pack's caption index.

    Raises:
        PackError: the caption bank is empty, or does not fit its embeddings.
    """
    captions = caption_texts(pack)
    if not captions:
        raise PackError([f"{pack.location}: the caption bank is empty"])
    embeddings = torch.from_numpy(caption_embeddings(pack, embedder, captions))  # [K, J]
    return CaptionIndex(captions, embeddings, embedder, screen_of(embeddings, embedder.device))


def screen_of(embeddings: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Returns embeddings `[K, J]` on the device, in a type that it multiplies fast.

    That is half precision on a GPU. On a CPU it is bfloat16 if there are many embeddings and the CPU multiplies
    bfloat16 natively, otherwise float32; embeddings in float32 are not copied.
    """
    if device.type != "cpu":
        return embeddings.to(device, torch.float16)  # [K, J]
    low = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return embeddings.to(torch.bfloat16 if low and embeddings.numel() >= LARGE else torch.float32)  # [K, J]


def products_of(photos: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
    """Returns the products `[N, K]` of joint embeddings `[N, J]` and `[K, J]`."""
    if photos.device.type != "cpu":
        return photos @ captions.T  # [N, K]
    products = photos.new_empty(len(captions), len(photos))  # [K, N]; this way round it is twice as fast
    for start in range(0, len(captions), TILE):
        tile = slice(start, start + TILE)
        torch.mm(captions[tile], photos.T, out=products[tile])  # [tile, N]
    return products.T


def check_features(batch: Sequence[np.ndarray], embedder: JointEmbedder) -> torch.Tensor:
    """Returns feature vectors `[N, F]` on the embedder's device.

    Raises:
        ValueError: a vector is all zeros, has another width, or has a value that is not finite.
    """
    features = check_vectors(batch, embedder.feature_width, "feature vector")  # [N, F]
    for feature in features:
        if not feature.any():
            raise ValueError("the feature vector is all zeros and has no direction")
    return on_device(features, embedder.device)  # [N, F]


class CaptionHandler(PackHandler[np.ndarray, Matches, CaptionIndex]):
    """Nearest captions with their similarities, best first, from feature vectors `[F]`.

    Args:
        placement: the pack, and where it runs.
        count: captions for each photo, at least 1.
        batch_size: photos in a batch.
    """

    def __init__(self, placement: Placement, count: int, batch_size: int = 64) -> None:
        super().__init__(placement, batch_size)
        self.count = count

    def memory_key(self) -> tuple[Any, ...]:
        """Returns what else, besides the model, decides how much memory an item takes."""
        return (self.count,)

    def build(self, pack: Pack, device: torch.device) -> CaptionIndex:
        """Returns the pack's caption index."""
        return open_index(pack, pack.joint_embedding.open(pack, device))

    def infer(self, batch: Sequence[np.ndarray], model: CaptionIndex) -> list[Matches]:
        """Returns each photo's nearest captions, best first."""
        return model.search(check_features(batch, model.embedder), self.count)


class EmbeddingHandler(PackHandler[list[str], np.ndarray, JointEmbedder]):
    """Joint embeddings `[n, J]` from lists of n captions; each list is one element, batched internally by length."""

    def __init__(self, placement: Placement, batch_size: int = 1) -> None:
        super().__init__(placement, batch_size)

    def build(self, pack: Pack, device: torch.device) -> JointEmbedder:
        """Returns the pack's joint embedding."""
        return pack.joint_embedding.open(pack, device)

    def infer(self, batch: Sequence[list[str]], model: JointEmbedder) -> list[np.ndarray]:
        """Returns the joint embeddings `[n, J]` of each list."""
        return [model.embed(captions) for captions in batch]


class ReadyVectors:
    """Sentence vectors of a pack's caption index, looked up by caption.

    Args:
        placement: the pack; its tables are opened at the first look-up.
    """

    def __init__(self, placement: Placement) -> None:
        self._placement = placement

    def holds(self, caption: str) -> bool:
        """Returns whether the caption is in the index."""
        return caption in self._table()[0]

    def look_up(self, captions: Sequence[str]) -> np.ndarray:
        """Returns the captions' sentence vectors `[K, S]` float32."""
        rows, vectors = self._table()
        return vectors[[rows[caption] for caption in captions]].astype(np.float32, copy=False)  # [K, S]

    def _table(self) -> tuple[dict[str, int], np.ndarray]:
        return PROCESS_CACHE.get(("ReadyVectors", self._placement.digest), self._open)

    def _open(self) -> tuple[dict[str, int], np.ndarray]:
        pack = open_once(self._placement.location, self._placement.digest)
        captions = caption_texts(pack)
        file = pack.captions.sentence_vectors
        if file is None:
            raise PackError([f"{pack.location}: its caption index has no sentence vectors"])
        vectors = pack.array(file)  # [K, S]
        if len(vectors) != len(captions):
            raise PackError(
                [f"{pack.location}: {len(captions)} captions but {len(vectors)} sentence vectors; index again"]
            )
        return {caption: row for row, caption in enumerate(captions)}, vectors
