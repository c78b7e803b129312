"""A whole pack from one configuration: every network in order, the styles, the decoder, and what it is worth."""

import contextlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from model_handlers.pack_writer import PackWriter
from pipelines.evaluate import main as evaluate
from pipelines.training.data.corpus import Corpus
from pipelines.training.engine.loop import LoopConfig
from pipelines.training.engine.training_settings import ConfigError, section
from pipelines.training.packing.assembly import (
    LICENCE,
    PROVENANCE,
    TRAINING_DATA,
    add_decoder,
    add_styles,
    assemble_base,
)
from pipelines.training.packing.side_by_side import run_side_by_side
from pipelines.training.packing.told_passages import keep_told
from pipelines.training.recipes.decoder import DecoderConfig
from pipelines.training.recipes.joint import JointConfig
from pipelines.training.recipes.networks import NETWORKS
from pipelines.training.recipes.story_material import StoriesConfig
from pipelines.training.recipes.thoughts import ThoughtsConfig
from pipelines.training.recipes.writer import BankConfig, WriterConfig
from transforms.cores import cores

Settings = Mapping[str, Any]

DECODER = "romance"
STAGES = {
    "joint_embedding": "joint",
    "first_thoughts": "first",
    "skip_thoughts": "thoughts",
    "caption_writer": "writer",
    "decoder": "decoder",
}
"""The trainings of a whole pack in order, and their folders; the sentence encoder may learn few words first."""

OPTIONAL = "first_thoughts"
PARTS: dict[str, dict[str, type]] = {
    "joint_embedding": {"network": JointConfig},
    "first_thoughts": {"network": ThoughtsConfig},
    "skip_thoughts": {"network": ThoughtsConfig},
    "caption_writer": {"network": WriterConfig, "bank": BankConfig},
    "decoder": {"network": DecoderConfig, "stories": StoriesConfig},
}
"""The sections of each training beside `training` and `shares`."""


@dataclass(frozen=True)
class PackConfig:
    """The new pack.

    Args:
        name: of the pack.
        version: of the pack.
        styles: for each style the beginnings of the names of its books' files.
        passages: passages that a style keeps, at most.
        at_once: networks trained side by side, each in a process of its own; 1 trains one after the other.
        dearest: the highest cost a word, in nats, of a passage that the decoder tells well; a style keeps no others.
        defaults: what the pack chooses for its stories where the user says nothing.

    Raises:
        ConfigError: none is to be trained at once.
    """

    name: str = "pocket"
    version: str = "1"
    styles: dict[str, list[str]] = field(default_factory=dict)
    passages: int = 2000
    at_once: int = 1
    dearest: float = 1.0
    defaults: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise ConfigError(f"pack.at_once is {self.at_once}; it can be 1 or more")


def make_pack(settings: Settings, corpus: Corpus, output: Path) -> dict[str, Any]:
    """Returns the figures of a pack that is written to `output`, with all that is on the way in `output.training`.

    A second call goes on where the first one was broken off.

    Raises:
        ConfigError: sections are missing or wrong, or there is a pack already.
    """
    problems = [f"{output}: exists already; name a new folder"] if output.exists() else []
    problems += problems_of(settings, corpus)
    if problems:
        raise ConfigError("; ".join(problems))
    config, work = section(settings, "pack", PackConfig), output.with_name(f"{output.name}.training")
    base, styled, untold, unmeasured = (work / name for name in ("base", "styled", "untold", "unmeasured"))
    if not base.exists():
        run_stages(settings, corpus, work, config.at_once)
        assemble_base(work, base, config.defaults)
    add_styles(base, config.styles, config.passages, corpus, styled)
    run_stage("decoder", settings, corpus, work)
    card = {
        "licence": LICENCE,
        "provenance": PROVENANCE,
        "training_data": TRAINING_DATA,
        "recipe": dict(settings),
        "defaults": config.defaults,
    }
    for folder in (untold, unmeasured):
        shutil.rmtree(folder, ignore_errors=True)
    made = keep_told(
        add_decoder(str(styled), work / STAGES["decoder"], untold, DECODER, card), config.dearest, unmeasured
    )
    writer = PackWriter(str(output), made)
    try:
        writer.card |= {"name": config.name, "version": config.version, "quality": measure(unmeasured, corpus)}
        del writer.card["made_from"]  # which is no pack of its own
        return dict(writer.finish().card["quality"])
    finally:
        writer.discard()


def problems_of(settings: Settings, corpus: Corpus) -> list[str]:
    """Returns what can be known to be wrong before the first network is trained."""
    needed = [name for name in (*STAGES, "pack") if name != OPTIONAL]
    problems = [f"section {name} is missing" for name in needed if name not in settings]
    for name in [name for name in STAGES if name in settings]:
        kinds, own = PARTS[name] | {"training": LoopConfig}, settings[name]
        known = [*kinds, "shares"]
        problems += [f"{name}.{part} is no section; known are {', '.join(known)}" for part in own if part not in known]
        problems += [f"{name}: {problem}" for part, kind in kinds.items() for problem in _wrong(own, part, kind)]
    problems += _wrong(settings, "pack", PackConfig)
    return problems or style_problems(settings, corpus)


def _wrong(settings: Settings, name: str, kind: type) -> list[str]:
    try:
        section(settings, name, kind)
    except ConfigError as error:
        return [str(error)]
    return []


def style_problems(settings: Settings, corpus: Corpus) -> list[str]:
    """Returns what is wrong with the styles of a pack."""
    styles = section(settings, "pack", PackConfig).styles
    if not styles or not all(isinstance(starts, list) for starts in styles.values()):
        return ["pack.styles: must hold styles, each with a list of beginnings of its books' names"]
    names = corpus.book_names
    return [
        f"pack.styles.{name}: no book's name begins so"
        for name, starts in styles.items()
        if not any(book.startswith(tuple(starts)) for book in names)
    ]


def run_stages(settings: Settings, corpus: Corpus, work: Path, at_once: int) -> None:
    """Trains all networks but the story decoder, each as soon as those that it begins with are there."""
    names = [name for name in STAGES if name in settings and name != "decoder"]
    if at_once == 1:
        for name in names:
            run_stage(name, settings, corpus, work)
        return
    _ = corpus.all_captions  # prepared once, for all
    calls = {name: partial(_run_beside, at_once, name, settings, corpus, work) for name in names}
    run_side_by_side(calls, {name: begins_with(name, names) for name in names}, at_once)


def _run_beside(at_once: int, *stage: Any) -> None:
    """Runs a stage with its share of the cores: threads that wait for cores are slower than none."""
    torch.set_num_threads(max(1, cores() // at_once))
    run_stage(*stage)


def begins_with(name: str, names: Sequence[str]) -> list[str]:
    """Returns those of the trainings `names` that one of them begins with."""
    first = [OPTIONAL] if OPTIONAL in names else []
    return {"skip_thoughts": first, "caption_writer": ["joint_embedding", *(first or ["skip_thoughts"])]}.get(name, [])


def run_stage(name: str, settings: Settings, corpus: Corpus, work: Path) -> None:
    """Trains one network of a whole pack in its folder, from what the stages before it left."""
    own = {part: dict(values or {}) for part, values in settings[name].items()}
    network = own.setdefault("network", {})
    if name == "skip_thoughts" and OPTIONAL in settings:
        network["start"] = str(work / STAGES[OPTIONAL])
    if name == "decoder":
        network |= {"pack": str(work / "styled"), "start": str(work / STAGES["skip_thoughts"])}
    train = NETWORKS["skip_thoughts" if name == OPTIONAL else name]
    train(own, corpus, work / STAGES[name])


def measure(pack: Path, corpus: Corpus) -> dict[str, Any]:
    """Returns for each task of `pipelines.evaluate` its figures and the command that they came from.

    Photos are Flickr8k's dev split, books those that no training saw. In a command DATA stands for the data folder and
    HELD_OUT for a folder of these books.
    """
    held_out = corpus.prepared / "held_out_books"
    held_out.mkdir(parents=True, exist_ok=True)
    for path in corpus.held_out_files:
        shutil.copyfile(path, held_out / path.name)
    photos = ["--photos", "DATA/flickr8k/images"]
    captions, books = ["--captions", "DATA/flickr8k/captions.tsv"], ["--texts", "HELD_OUT/*.txt"]
    tasks = {
        "retrieval": [*photos, *captions],
        "captions": [*photos, *captions],
        "sentences": [*books, *captions],
        "decoder": books,
        "reconstruction": [*books, *captions],
        "stories": [*photos, *captions, *books],
    }
    quality = {}
    for task, words in tasks.items():
        places = [word.replace("DATA", str(corpus.data), 1).replace("HELD_OUT", str(held_out), 1) for word in words]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = evaluate([task, "--pack", str(pack), *places, "--json"])
        if code:
            raise RuntimeError(f"measuring {task} of {pack} failed")
        quality[task] = {
            **rounded(json.loads(printed.getvalue())),
            "command": " ".join(["pipelines.evaluate", task, *words]),
        }
    return quality


def rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Returns figures with four significant digits."""
    return {
        name: rounded(value)
        if isinstance(value, dict)
        else float(f"{value:.4g}")
        if isinstance(value, float)
        else value
        for name, value in figures.items()
    }
