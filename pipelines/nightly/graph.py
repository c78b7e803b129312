"""The main job's pipeline: from listed photos, or ready-made feature vectors, to written tables."""

import posixpath
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.pvalue import PCollection

from model_handlers.caption_writer import WriterHandler
from model_handlers.captions import CaptionHandler, ReadyVectors
from model_handlers.features import FeatureHandler
from model_handlers.handler import Placement
from model_handlers.nets.search_rules import SearchRules
from model_handlers.sentences import SentenceHandler
from model_handlers.stories import StoryHandler
from pipelines.nightly.selection import allowed
from pipelines.telling.digests import networks_of
from pipelines.telling.settings import Settings
from transforms.audit import AuditOutcomes, letter_outcome, story_outcome
from transforms.copies import copy_stories
from transforms.decode_stories import DecodeStories
from transforms.encode_sentences import EncodeSentences, VectorTable
from transforms.extract_features import ExtractFeatures
from transforms.infer import DEAD_LETTERS, RESULTS
from transforms.kept import KEPT_CAPTIONS, KEPT_FEATURES, UNREAD, ReadKept, carry_feature, feature_rows
from transforms.lateness import IN_TIME, SplitLate
from transforms.load_images import LoadImages
from transforms.read_photos import key_by_uri
from transforms.records import DEFERRED, Listing, Networks, Outcome, Photo, StyleVectors
from transforms.retrieve_captions import RetrieveCaptions, match_captions
from transforms.rows import dead_letter_row, ledger_row, story_row
from transforms.shift_style import ShiftStyle
from transforms.write import FileRecord, WriteTable


@dataclass(frozen=True, eq=False)
class Parts:
    """The steps of the main job, ready to be wired.

    Attributes:
        load: files to pixels; None where feature vectors are given.
        features: handler of step 3; None likewise.
        captions: handler of step 4.
        sentences: handler of step 5.
        stories: handler of step 7.
        styles: shifts by name.
        strength: of the shift.
        alone: the story handler wants the style's own vector beside the shifted one.
        told_by: decoder, pack and digests, as the rows tell them.
        table: sentence vectors that are there already.
        complete: the table, where there is one, holds those of every caption.
        hints: resource hints of the GPU steps, and of those between them, so that vectors need not change workers.
        networks: by which features and captions are kept; None where they are not.
        deadline: what comes to be read, or to be decoded into a story, after it is deferred; None where nothing is.
    """

    load: LoadImages | None
    features: ModelHandler | None
    captions: ModelHandler
    sentences: ModelHandler
    stories: ModelHandler
    styles: dict[str, StyleVectors]
    strength: float
    told_by: dict[str, Any]
    alone: bool = False
    table: VectorTable | None = None
    complete: bool = True
    hints: dict[str, str] = field(default_factory=dict)
    networks: Networks | None = None
    deadline: datetime | None = None


@dataclass(frozen=True)
class Target:
    """Where one pipeline writes.

    Attributes:
        output: OUTPUT.
        prefix: the run's folder below it and what starts each file's name.
        scratch: folder of files that the run needs only while it goes.
        shards: files of each table.
        known: sentence vector chunks that earlier waves wrote.
        reuse: earlier runs may have kept features and captions of the photos.
    """

    output: str
    prefix: str
    scratch: str
    shards: int
    known: tuple[str, ...] = ()
    reuse: bool = True


def make_parts(
    settings: Settings, hints: dict[str, str], threads: int | None = None, deadline: datetime | None = None
) -> Parts:
    """Returns the steps for a run's settings, with real handlers.

    Args:
        settings: of the run.
        hints: resource hints of the GPU steps.
        threads: that the networks have in each process of the run, and processes that decode for it; None is all cores.
        deadline: see Parts.
    """
    config, choices, pack = settings.config, settings.choices, settings.pack
    where = Placement(pack.location, pack.digest, config.device, threads, config.precision)
    load = None
    if config.features is None:
        recipe = pack.component("features")["preprocessing"]
        load = LoadImages(
            recipe,
            config.decoding,
            config.max_pixels,
            config.max_bytes,
            allowed=allowed(config),
            preprocessing=config.preprocessing,
            processes=threads,
        )
    told_by = {
        "decoder": settings.decoder,
        "pack": pack.name,
        "pack_digest": pack.digest,
        "settings_digest": settings.digest,
    }
    ready = choices.captions != "written" and "sentence_vectors" in pack.component("captions")
    rules = SearchRules(choices.min_words, choices.max_words, choices.no_repeat, choices.contrast)
    return Parts(
        load=load,
        features=FeatureHandler(where, config.batch_size) if load else None,
        captions=_captions(settings, where),
        sentences=SentenceHandler(where),
        stories=StoryHandler(where, settings.decoder, choices.beam_width, config.lyric, config.batch_size, rules),
        styles=settings.styles,
        strength=choices.style_strength,
        told_by=told_by,
        alone=rules.contrast > 0,
        table=ReadyVectors(where) if ready else None,
        complete=choices.captions == "retrieved",
        hints=hints,
        networks=networks_of(settings),
        deadline=deadline,
    )


def _captions(settings: Settings, where: Placement) -> ModelHandler:
    choices, batch_size = settings.choices, settings.config.batch_size
    if choices.captions == "retrieved":
        return CaptionHandler(where, choices.captions_per_photo, batch_size)
    retrieve = choices.captions == "both"
    return WriterHandler(where, choices.captions_per_photo, choices.written_captions, retrieve, batch_size)


def build(
    due: PCollection[Listing],
    listings: PCollection[Listing],
    features: PCollection[tuple[Photo, np.ndarray]] | None,
    settled: PCollection[Outcome],
    parts: Parts,
    target: Target,
) -> PCollection[FileRecord]:
    """Returns the records of all files that the pipeline writes.

    Args:
        due: objects to tell, each uri once.
        listings: the same, copies with the first of them; unused where there are feature vectors.
        features: their ready-made feature vectors; None where photos are read.
        settled: outcomes of objects that need no telling.
        parts: the steps.
        target: where to write.
    """
    aside, kept = Aside(parts), None
    if features is None:
        features, kept = _see(listings, aside, parts, target)
    else:
        features = aside.in_time(features, "captions")
    pairs = _find_captions(features, kept, aside, parts)
    shifted = aside.in_time(_shift(pairs, parts, target), "decoding")
    told = aside.keep(shifted | "Decode stories" >> DecodeStories(parts.stories, parts.hints))
    stories = told | "Tell copies" >> beam.FlatMap(copy_stories)
    dead = aside.letters | "Gather dead letters" >> beam.Flatten()
    outcomes = aside.add_late(_outcomes(stories, dead))
    ledger = (
        (due | "Audit outcomes" >> AuditOutcomes(outcomes), settled)
        | "Add settled outcomes" >> beam.Flatten()
        | "Make ledger rows" >> beam.Map(ledger_row, parts.told_by["pack_digest"], parts.told_by["settings_digest"])
    )
    tables = {
        "stories": stories | "Make story rows" >> beam.Map(story_row, parts.told_by),
        "dead_letters": dead | "Make dead letter rows" >> beam.Map(dead_letter_row),
        "ledger": ledger,
    }
    if parts.networks:
        make = beam.FlatMap(feature_rows, parts.networks).with_resource_hints(**parts.hints)
        tables["features"] = pairs | "Make feature rows" >> make
    files = [
        rows | f"Write {table}" >> WriteTable(target.output, target.prefix, table, target.shards)
        for table, rows in tables.items()
    ]
    return files | "Gather files" >> beam.Flatten()


@dataclass(eq=False)
class Aside:
    """What leaves the photos' way before its end: dead letters, and outcomes of what comes late."""

    parts: Parts
    letters: list[PCollection] = field(default_factory=list)
    late: list[PCollection] = field(default_factory=list)

    def keep(self, outputs: Any) -> PCollection:
        """Returns a step's results; its dead letters are put aside."""
        self.letters.append(outputs[DEAD_LETTERS])
        return outputs[RESULTS]

    def in_time(self, elements: PCollection, step: str) -> PCollection:
        """Returns what comes before the deadline; the outcomes of the rest are put aside.

        The clock is looked at right before the step, with its resource hints: so the two are fused, and the look is
        not taken when the job begins.
        """
        if self.parts.deadline is None:
            return elements
        look = SplitLate(self.parts.deadline).with_resource_hints(**self.parts.hints)
        parted = elements | f"Part late before {step}" >> look
        self.late.append(parted[DEFERRED])
        return parted[IN_TIME]

    def add_late(self, outcomes: PCollection) -> PCollection:
        """Returns the outcomes (uri, Outcome) with those of what came late."""
        if not self.late:
            return outcomes
        late = self.late | "Gather late" >> beam.Flatten() | "Note late" >> beam.Map(key_by_uri)
        return (outcomes, late) | "Add late outcomes" >> beam.Flatten()


def _see(
    listings: PCollection[Listing], aside: Aside, parts: Parts, target: Target
) -> tuple[PCollection[tuple[Photo, np.ndarray]], PCollection | None]:
    """Returns the photos' feature vectors, and the captions that were kept of others, which need none."""
    assert parts.load is not None and parts.features is not None
    reused = None
    if parts.networks and target.reuse:
        reused = listings | "Read kept" >> ReadKept(target.output)
        listings = reused[UNREAD]
    early = aside.in_time(listings, "features")
    pixels = aside.keep(early | "Load images" >> parts.load.with_resource_hints(**parts.hints))
    features = aside.keep(pixels | "Extract features" >> ExtractFeatures(parts.features, parts.hints))
    if reused is None:
        return features, None
    return (features, reused[KEPT_FEATURES]) | "Add kept features" >> beam.Flatten(), reused[KEPT_CAPTIONS]


def _find_captions(features: PCollection, kept: PCollection | None, aside: Aside, parts: Parts) -> PCollection:
    """Returns (Photo or PhotoWithFeature, captions with similarities)."""
    if parts.networks:
        features = features | "Carry features" >> beam.Map(carry_feature).with_resource_hints(**parts.hints)
    pairs = aside.keep(features | "Retrieve captions" >> RetrieveCaptions(parts.captions, parts.hints))
    return pairs if kept is None else (pairs, kept) | "Add kept captions" >> beam.Flatten()


def _shift(pairs: PCollection, parts: Parts, target: Target) -> PCollection[tuple[Any, Any]]:
    """Returns (StoryRequest, shifted vector) from (Photo or PhotoWithFeature, captions)."""
    sentences = EncodeSentences(
        parts.sentences,
        posixpath.join(target.scratch, f"{posixpath.basename(target.prefix)}sentences-"),
        target.shards,
        target.known,
        parts.table,
        parts.hints,
        parts.complete,
    )
    matched = pairs | "Match captions" >> beam.Map(match_captions).with_resource_hints(**parts.hints)
    vectors = matched | "Encode sentences" >> sentences
    return vectors | "Shift style" >> ShiftStyle(parts.styles, parts.strength, parts.alone, parts.hints)


def _outcomes(stories: PCollection, dead: PCollection) -> PCollection[tuple[bytes, Outcome]]:
    told = stories | "Note stories" >> beam.Map(story_outcome)
    failed = dead | "Note dead letters" >> beam.Map(letter_outcome)
    return (told, failed) | "Gather outcomes" >> beam.Flatten()
