"""Selects the passages that a story decoder can tell well; the styles of its pack keep only these."""

from pathlib import Path

import numpy as np

from model_handlers.handler import Placement
from model_handlers.nets.search_rules import SearchRules
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from model_handlers.stories import Passage, StoryHandler
from pipelines.cli.options import beam_options
from pipelines.pack_tools.photo_means import photo_means
from pipelines.telling.settings import pack_choices

BATCH = 64  # passages decoded at once
INDEFINITE = 2  # indefinite articles in a story; a text with more of them describes a scene, as captions do
LEAST = 100
"""Passages that a style keeps in any case, whatever their costs."""


def keep_told(pack: Pack, max_cost: float, output: Path) -> Pack:
    """Returns a new pack at `output` whose styles keep the passages that the default decoder tells well.

    Stories with passages that the decoder has not learned are incoherent and have a high cost.

    Args:
        pack: pack with a default decoder, and with styles that keep passages.
        max_cost: highest cost per word, in nats, of a passage that is told well.
        output: new folder.
    """
    writer = PackWriter(str(output), pack)
    try:
        for style, costs in telling_costs(pack).items():
            kept = costs <= max(max_cost, float(np.partition(costs, min(LEAST, len(costs)) - 1)[:LEAST].max()))  # [P]
            vectors = pack.array(pack.passages[style])[kept]  # [k, S]
            writer.components["passages"][style] = writer.add_array(f"passages/{style}.npy", vectors)
            writer.card["style_texts"][style]["kept"] = len(vectors)
        return writer.finish()
    finally:
        writer.discard()


def telling_costs(pack: Pack) -> dict[str, np.ndarray]:
    """Returns the cost per word, in nats, of a story with each passage of each style `[P]`.

    Each story is about the nearest caption of the pack's caption bank and is decoded with greedy search.
    """
    where, choices = Placement(pack.location, pack.digest), pack_choices(pack)
    rules = SearchRules(0, choices.max_words, choices.no_repeat)
    handler = StoryHandler(where, pack.default_decoder, 1, batch_size=BATCH, rules=rules)
    network = handler.load_model()
    source = np.array(pack.array(pack.source_style), np.float32).reshape(-1)  # [S]
    photos = photo_means(pack, where, beam_options([]), "passages") - source  # [N, S]
    costs = {}
    for style, file in pack.passages.items():
        vectors = np.array(pack.array(file), np.float32)  # [P, S]
        nearest = photos[((vectors - vectors.mean(axis=0)) @ photos.T).argmax(axis=1)]  # [P, S]
        told: list[Passage | Exception] = []
        for first in range(0, len(vectors), BATCH):
            told += handler.run_inference(list((nearest + vectors)[first : first + BATCH]), network)
        costs[style] = np.asarray([_cost(passage, choices.min_words) for passage in told])  # [P]
    return costs


def _cost(passage: Passage | Exception, least: int) -> float:
    """Returns a passage's cost per word; infinity if it is not a story.

    That is a failed passage, one of fewer than `least` words, or one that describes a scene as captions do.
    """
    if isinstance(passage, Exception) or passage.words < least:
        return float("inf")
    if sum(word in ("a", "an") for word in passage.passage.split()) > INDEFINITE:
        return float("inf")
    return passage.cost / (passage.words + 1)
