"""Measures how similar a pack's first caption of a photo is to captions written by people."""

from argparse import Namespace
from typing import Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler

from model_handlers.caption_writer import WriterHandler
from model_handlers.captions import CaptionHandler
from model_handlers.features import FeatureHandler
from pipelines.evaluation.photos import extract, open_photos
from pipelines.evaluation.scores import bleu, cider
from pipelines.evaluation.task import EvaluationTask, Figures, check_extra, gather, open_for
from pipelines.evaluation.task_options import TASK_OPTIONS
from pipelines.telling.settings import pack_choices
from transforms.load_images import LoadImages


def run(flags: Namespace) -> Figures:
    """Returns CIDEr-D (1 is often printed as 100) and BLEU-1 to BLEU-4 (0 to 1) of the first captions.

    The first figures are those of the kind of captions that the pack uses; those of every kind it can make follow. Both
    sides are in lower case, without punctuation marks, split by the project's own tokeniser.

    Raises:
        ConfigError: lists all problems of pack, table and photos.
    """
    (pack, placement), (table, listings), _ = gather(
        lambda: open_for(flags, ("features", "joint_embedding", "captions")),
        lambda: open_photos(flags),
        lambda: check_extra("pycocoevalcap"),
    )
    choices = pack_choices(pack)
    handlers: dict[str, ModelHandler[Any, Any, Any]] = {"retrieved": CaptionHandler(placement, 1)}
    if "caption_writer" in pack.components:
        for name in ("written", "both"):
            handlers[name] = WriterHandler(placement, 1, choices.written_captions, name == "both")
    load = LoadImages(pack.features.preprocessing)
    pairs = extract(listings, load, FeatureHandler(placement, flags.batch_size), flags.batch_size)
    features, references = [feature for _, feature in pairs], [photo.captions for photo in table]
    figures = {}
    for name, handler in handlers.items():
        firsts = first_captions(features, handler, flags.batch_size)
        figures[name] = {"CIDEr": cider(firsts, references), **bleu(firsts, references)}
    return {**figures[choices.captions], "captions": choices.captions, **figures, "photos": len(table)}


def first_captions(features: list[np.ndarray], handler: ModelHandler[Any, Any, Any], batch_size: int) -> list[str]:
    """Returns the best caption for each feature vector `[F]`.

    Raises:
        RuntimeError: the handler failed on a photo.
    """
    captions = []
    for start in range(0, len(features), batch_size):
        for matches in handler.run_inference(features[start : start + batch_size], handler.load_model()):
            if isinstance(matches, Exception):
                raise RuntimeError(f"no caption for a photo: {matches}") from matches
            captions.append(matches[0][0])
    return captions


TASK = EvaluationTask(*TASK_OPTIONS["captions"], run)
