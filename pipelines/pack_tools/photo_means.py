"""Mean sentence vectors of photos' captions, from which a style's spread and passages are made."""

import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions

from model_handlers.captions import ReadyVectors, caption_embeddings, caption_texts
from model_handlers.handler import Placement, resolve_device
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.sentences import SentenceHandler
from pipelines.pack_tools.indexing import fill
from pipelines.telling.settings import pack_choices

PHOTOS = 2000  # captions of the bank that represent photos
BLOCK = 64  # of them compared with the bank at once


def photo_means(pack: Pack, where: Placement, options: PipelineOptions, flag: str) -> np.ndarray:
    """Returns photos' mean sentence vectors `[N, S]`.

    A pack has no photos: evenly chosen captions of its bank represent them, and each gets its nearest captions, as many
    as the pack chooses for a photo.

    Args:
        pack: pack with the captions.
        where: placement of the pack's networks.
        options: options of the pipeline that encodes the captions.
        flag: flag that needs the means, for the error.

    Raises:
        PackError: the bank has no more captions than a photo gets, so that all means are equal.
    """
    captions = caption_texts(pack)
    count = pack_choices(pack).captions_per_photo
    if len(captions) <= count:
        raise PackError(
            [f"{flag} {pack.location}: {len(captions)} captions, and a photo gets {count}; nothing differs"]
        )
    embedder = pack.joint_embedding.open(pack, resolve_device(where.device))
    nearest = nearest_captions(np.asarray(caption_embeddings(pack, embedder, captions), np.float32), count)  # [N, k]
    used, places = np.unique(nearest, return_inverse=True)  # [U], [N, k]
    texts = [captions[place] for place in used]
    if pack.captions.sentence_vectors is not None:
        table = ReadyVectors(where)
        return np.stack([table.look_up([captions[place] for place in row]).mean(axis=0) for row in nearest])
    vectors = encoded(texts, pack, where, options)  # [U, S]
    return np.stack([vectors[row].mean(axis=0) for row in places.reshape(nearest.shape)])


def encoded(texts: list[str], pack: Pack, where: Placement, options: PipelineOptions) -> np.ndarray:
    """Returns the sentence vectors `[U, S]` of texts, by a pipeline."""
    vectors = np.zeros((len(texts), pack.sentence_encoder.width), np.float32)  # [U, S]
    fill(vectors, texts, SentenceHandler(where), options)
    return vectors


def nearest_captions(embeddings: np.ndarray, count: int) -> np.ndarray:
    """Returns the indices `[N, count]` of the captions nearest to each of at most PHOTOS captions.

    Args:
        embeddings: joint embeddings of all captions `[K, J]`.
        count: number of nearest captions.
    """
    photos = embeddings[:: -(-len(embeddings) // PHOTOS)]  # [N, J]
    blocks = (photos[start : start + BLOCK] @ embeddings.T for start in range(0, len(photos), BLOCK))  # [block, K]
    return np.concatenate([np.argpartition(-scores, count - 1)[:, :count] for scores in blocks])  # [N, count]
