"""The steps of the chain, made from a run's settings: one set for photos, one for ready-made feature vectors."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from model_handlers.caption_writer import WriterHandler
from model_handlers.captions import CaptionHandler, ReadyVectors
from model_handlers.features import FeatureHandler
from model_handlers.handler import Placement
from model_handlers.nets.search_rules import SearchRules
from model_handlers.sentences import SentenceHandler
from model_handlers.stories import StoryHandler
from pipelines.telling.settings import Settings, allowed
from transforms.encode_sentences import SentenceModel, VectorTable
from transforms.extract_features import FeatureModel
from transforms.load_images import LoadImages
from transforms.records import Networks, StyleVectors
from transforms.retrieve_captions import CaptionModel


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps from feature vectors to stories, ready to be wired.

    Attributes:
        captions: handler that finds or writes the captions.
        sentences: handler that encodes the captions.
        stories: handler that decodes the stories.
        styles: what each style's shift needs, by name.
        strength: strength of the shift.
        provenance: decoder, pack and digests, as the rows name them.
        with_style: whether the story handler also needs the style's own vector.
        table: sentence vectors that the pack holds ready, if it does.
        complete: whether `table` has the vectors of all captions.
        hints: resource hints of the GPU steps, and of those between them, so that vectors need not change workers.
        networks: digests under which features and captions are kept; None if nothing is kept.
        deadline: time after which photos are deferred instead of read or decoded; None for no limit.
    """

    captions: CaptionModel
    sentences: SentenceModel
    stories: StoryHandler
    styles: dict[str, StyleVectors]
    strength: float
    provenance: dict[str, Any]
    with_style: bool = False
    table: VectorTable | None = None
    complete: bool = True
    hints: dict[str, str] = field(default_factory=dict)
    networks: Networks | None = None
    deadline: datetime | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class PhotoSteps(Steps):
    """The steps from photos to stories.

    Attributes:
        load: transform that reads and decodes photos.
        features: handler that makes feature vectors of pixels.
    """

    load: LoadImages
    features: FeatureModel


def make_steps(
    settings: Settings, hints: dict[str, str], processes: int | None = None, deadline: datetime | None = None
) -> Steps:
    """Returns the steps for a run's settings, with real handlers: PhotoSteps unless the run has feature vectors.

    Args:
        settings: settings of the run.
        hints: resource hints of the GPU steps.
        processes: number of decoding processes for each process of the run; None is one a core.
        deadline: see Steps.
    """
    config, choices, pack = settings.config, settings.choices, settings.pack
    where = Placement(pack.location, pack.digest, config.device, config.precision)
    ready = choices.captions != "written" and pack.captions.sentence_vectors is not None
    rules = SearchRules(choices.min_words, choices.max_words, choices.no_repeat, choices.contrast)
    steps: dict[str, Any] = {
        "captions": _caption_handler(settings, where),
        "sentences": SentenceHandler(where),
        "stories": StoryHandler(where, settings.decoder, choices.beam_width, config.lyric, config.batch_size, rules),
        "styles": settings.styles,
        "strength": choices.style_strength,
        "provenance": _provenance(settings),
        "with_style": rules.contrast > 0,
        "table": ReadyVectors(where) if ready else None,
        "complete": choices.captions == "retrieved",
        "hints": hints,
        "networks": settings.networks(),
        "deadline": deadline,
    }
    if config.features is not None:
        return Steps(**steps)
    return PhotoSteps(**steps, load=_loading(settings, processes), features=FeatureHandler(where, config.batch_size))


def _loading(settings: Settings, processes: int | None) -> LoadImages:
    config = settings.config
    return LoadImages(
        settings.pack.features.preprocessing,
        config.decoding,
        config.max_pixels,
        config.max_bytes,
        allowed=allowed(config),
        preprocessing=config.preprocessing,
        processes=processes,
    )


def _provenance(settings: Settings) -> dict[str, str]:
    return {
        "decoder": settings.decoder,
        "pack": settings.pack.name,
        "pack_digest": settings.pack.digest,
        "settings_digest": settings.digest,
    }


def _caption_handler(settings: Settings, where: Placement) -> CaptionModel:
    choices, batch_size = settings.choices, settings.config.batch_size
    if choices.captions == "retrieved":
        return CaptionHandler(where, choices.captions_per_photo, batch_size)
    retrieve = choices.captions == "both"
    return WriterHandler(where, choices.captions_per_photo, choices.written_captions, retrieve, batch_size)
