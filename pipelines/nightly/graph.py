"""The main job's pipeline, from listed photos or ready-made feature vectors to written tables."""

import posixpath
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import PCollection

from pipelines.telling.steps import PhotoSteps, Steps
from transforms.audit import AuditOutcomes, letter_outcome, story_outcome
from transforms.chunk_tables import SharedChunks
from transforms.copies import copy_stories
from transforms.decode_stories import DecodeStories
from transforms.encode_sentences import EncodeSentences
from transforms.extract_features import ExtractFeatures
from transforms.infer import DEAD_LETTERS, RESULTS
from transforms.kept import KEPT_CAPTIONS, KEPT_FEATURES, UNREAD, ReadKept, carry_feature, feature_rows
from transforms.lateness import IN_TIME, SplitLate
from transforms.read_photos import key_by_uri
from transforms.records import DEFERRED, Listing, Outcome, Photo
from transforms.retrieve_captions import RetrieveCaptions, match_captions
from transforms.rows import dead_letter_row, ledger_row, story_row
from transforms.shift_style import ShiftStyle
from transforms.step_labels import TaggedOutputs
from transforms.write import FileRecord, WriteTable


@dataclass(frozen=True)
class OutputPlace:
    """Where one pipeline writes.

    Attributes:
        output: OUTPUT.
        prefix: folder of the run below OUTPUT, and the start of each file name.
        scratch: folder of files that are needed only during the run.
        shards: number of files of each table.
        known: chunks of sentence vectors that earlier waves wrote.
        reuse: earlier runs may have kept features and captions of the photos.
        chunks: the open chunks, shared by all waves in a process.
    """

    output: str
    prefix: str
    scratch: str
    shards: int
    known: tuple[str, ...] = ()
    reuse: bool = True
    chunks: SharedChunks = field(default_factory=SharedChunks, compare=False)


def build_from_photos(
    due: PCollection[Listing],
    listings: PCollection[Listing],
    settled: PCollection[Outcome],
    steps: PhotoSteps,
    place: OutputPlace,
) -> PCollection[FileRecord]:
    """Returns the records of all files that the pipeline writes for photos.

    Args:
        due: objects to process, each uri once.
        listings: the same objects, copies attached to the first of them.
        settled: outcomes of objects that need no processing.
        steps: the steps.
        place: where to write.
    """
    side = SideOutputs(steps)
    if steps.networks and place.reuse:
        reused = listings | "Read kept" >> ReadKept(place.output)
        features = _extract(reused[UNREAD], side, steps)
        features = (features, reused[KEPT_FEATURES]) | "Add kept features" >> beam.Flatten()
        found = _find_captions(features, side, steps)
        pairs = (found, reused[KEPT_CAPTIONS]) | "Add kept captions" >> beam.Flatten()
    else:
        pairs = _find_captions(_extract(listings, side, steps), side, steps)
    return _tell(due, pairs, settled, side, steps, place)


def build_from_vectors(
    due: PCollection[Listing],
    features: PCollection[tuple[Photo, np.ndarray]],
    settled: PCollection[Outcome],
    steps: Steps,
    place: OutputPlace,
) -> PCollection[FileRecord]:
    """Returns the records of all files that the pipeline writes for ready-made feature vectors.

    Args:
        due: objects to process, each uri once.
        features: their photos with feature vectors `[F]`, copies attached to the first of them.
        settled: outcomes of objects that need no processing.
        steps: the steps.
        place: where to write.
    """
    side = SideOutputs(steps)
    pairs = _find_captions(side.in_time(features, "captions"), side, steps)
    return _tell(due, pairs, settled, side, steps, place)


@dataclass(eq=False)
class SideOutputs:
    """What leaves the main path: dead letters, and the outcomes of late photos."""

    steps: Steps
    letters: list[PCollection[Any]] = field(default_factory=list)
    late: list[PCollection[Any]] = field(default_factory=list)

    def keep(self, outputs: TaggedOutputs) -> PCollection[Any]:
        """Returns a step's results and collects its dead letters."""
        self.letters.append(outputs[DEAD_LETTERS])
        results: PCollection[Any] = outputs[RESULTS]
        return results

    def in_time(self, elements: PCollection[Any], step: str) -> PCollection[Any]:
        """Returns the elements that arrive before the deadline and collects the outcomes of the others.

        The check has the resource hints of the step that follows, so that both are fused: it happens right before
        the step, not when the job begins.
        """
        if self.steps.deadline is None:
            return elements
        look = SplitLate(self.steps.deadline).with_resource_hints(**self.steps.hints)
        parted = elements | f"Part late before {step}" >> look
        self.late.append(parted[DEFERRED])
        in_time: PCollection[Any] = parted[IN_TIME]
        return in_time

    def add_late(self, outcomes: PCollection[Any]) -> PCollection[Any]:
        """Returns the outcomes (uri, Outcome), those of late photos included."""
        if not self.late:
            return outcomes
        late = self.late | "Gather late" >> beam.Flatten() | "Note late" >> beam.Map(key_by_uri)
        together: PCollection[Any] = (outcomes, late) | "Add late outcomes" >> beam.Flatten()
        return together


def _extract(listings: PCollection[Listing], side: SideOutputs, steps: PhotoSteps) -> PCollection[Any]:
    """Returns (Photo, feature vector) of photos that are read."""
    early = side.in_time(listings, "features")
    pixels = side.keep(early | "Load images" >> steps.load.with_resource_hints(**steps.hints))
    return side.keep(pixels | "Extract features" >> ExtractFeatures(steps.features, steps.hints))


def _find_captions(features: PCollection[Any], side: SideOutputs, steps: Steps) -> PCollection[Any]:
    """Returns (Photo or PhotoWithFeature, captions with similarities)."""
    if steps.networks:
        features = features | "Carry features" >> beam.Map(carry_feature).with_resource_hints(**steps.hints)
    return side.keep(features | "Retrieve captions" >> RetrieveCaptions(steps.captions, steps.hints))


def _tell(
    due: PCollection[Listing],
    pairs: PCollection[Any],
    settled: PCollection[Outcome],
    side: SideOutputs,
    steps: Steps,
    place: OutputPlace,
) -> PCollection[FileRecord]:
    """Returns the records of all files, from (Photo or PhotoWithFeature, captions)."""
    shifted = side.in_time(_shift(pairs, steps, place), "decoding")
    decoded = side.keep(shifted | "Decode stories" >> DecodeStories(steps.stories, steps.hints))
    stories = decoded | "Tell copies" >> beam.FlatMap(copy_stories)
    dead = side.letters | "Gather dead letters" >> beam.Flatten()
    outcomes = side.add_late(_outcomes(stories, dead))
    digests = (steps.provenance["pack_digest"], steps.provenance["settings_digest"])
    ledger = (
        (due | "Audit outcomes" >> AuditOutcomes(outcomes), settled)
        | "Add settled outcomes" >> beam.Flatten()
        | "Make ledger rows" >> beam.Map(ledger_row, *digests)
    )
    tables = {
        "stories": stories | "Make story rows" >> beam.Map(story_row, steps.provenance),
        "dead_letters": dead | "Make dead letter rows" >> beam.Map(dead_letter_row),
        "ledger": ledger,
    }
    if steps.networks:
        make = beam.FlatMap(feature_rows, steps.networks).with_resource_hints(**steps.hints)
        tables["features"] = pairs | "Make feature rows" >> make
    written = [
        rows | f"Write {table}" >> WriteTable(place.output, place.prefix, table, place.shards)
        for table, rows in tables.items()
    ]
    files: PCollection[FileRecord] = written | "Gather files" >> beam.Flatten()
    return files


def _shift(pairs: PCollection[Any], steps: Steps, place: OutputPlace) -> PCollection[tuple[Any, Any]]:
    """Returns (StoryRequest, shifted vector) from (Photo or PhotoWithFeature, captions)."""
    sentences = EncodeSentences(
        steps.sentences,
        posixpath.join(place.scratch, f"{posixpath.basename(place.prefix)}sentences-"),
        place.shards,
        place.known,
        steps.table,
        steps.hints,
        steps.complete,
        place.chunks,
    )
    matched = pairs | "Match captions" >> beam.Map(match_captions).with_resource_hints(**steps.hints)
    vectors = matched | "Encode sentences" >> sentences
    shift = ShiftStyle(steps.styles, steps.strength, steps.with_style, steps.hints)
    shifted: PCollection[tuple[Any, Any]] = vectors | "Shift style" >> shift
    return shifted


def _outcomes(stories: PCollection[Any], dead: PCollection[Any]) -> PCollection[tuple[bytes, Outcome]]:
    told = stories | "Note stories" >> beam.Map(story_outcome)
    failed = dead | "Note dead letters" >> beam.Map(letter_outcome)
    outcomes: PCollection[tuple[bytes, Outcome]] = (told, failed) | "Gather outcomes" >> beam.Flatten()
    return outcomes
