"""Makes a whole pack from one configuration: all networks in order, the styles, the decoder, the measured quality."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.schema import ConfigError
from model_handlers.pack_writer import PackWriter
from pipelines.training.data.corpus import Corpus
from pipelines.training.engine.loop import LoopConfig
from pipelines.training.engine.training_settings import section
from pipelines.training.packing.assembly import (
    LICENCE,
    PROVENANCE,
    TRAINING_DATA,
    add_decoder,
    add_styles,
    assemble_base,
)
from pipelines.training.packing.pack_quality import measure
from pipelines.training.packing.stages import OPTIONAL, PARTS, STAGES, Settings, run_stage, run_stages
from pipelines.training.packing.told_passages import keep_told

DECODER = "romance"


@dataclass(frozen=True)
class PackConfig:
    """Settings of the new pack.

    Args:
        name: name of the pack.
        version: version of the pack.
        styles: for each style the prefixes of its books' file names.
        passages: maximum number of passages that a style keeps.
        at_once: networks trained at the same time, each in its own process; 1 trains one after the other.
        max_cost: highest cost per word, in nats, of a passage that the decoder tells well; a style keeps no others.
        defaults: the pack's default options for stories.

    Raises:
        ConfigError: `at_once` is below 1.
    """

    name: str = "pocket"
    version: str = "1"
    styles: dict[str, list[str]] = field(default_factory=dict)
    passages: int = 2000
    at_once: int = 1
    max_cost: float = 1.0
    defaults: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise ConfigError(f"pack.at_once is {self.at_once}; it can be 1 or more")


def make_pack(settings: Settings, corpus: Corpus, output: Path) -> dict[str, Any]:
    """Returns the figures of a pack that is written to `output`; intermediate results are in `output.training`.

    A second call resumes where the first one stopped.

    Raises:
        ConfigError: sections are missing or wrong, or the pack exists already.
    """
    problems = [f"{output}: exists already; name a new folder"] if output.exists() else []
    problems += problems_of(settings, corpus)
    if problems:
        raise ConfigError(problems)
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
        add_decoder(str(styled), work / STAGES["decoder"], untold, DECODER, card), config.max_cost, unmeasured
    )
    writer = PackWriter(str(output), made)
    try:
        writer.card |= {"name": config.name, "version": config.version, "quality": measure(unmeasured, corpus)}
        del writer.card["made_from"]  # the pack that it was made from is an intermediate one
        return dict(writer.finish().card["quality"])
    finally:
        writer.discard()


def problems_of(settings: Settings, corpus: Corpus) -> list[str]:
    """Returns the problems that can be found before the first network is trained."""
    needed = [name for name in (*STAGES, "pack") if name != OPTIONAL]
    problems = [f"section {name} is missing" for name in needed if name not in settings]
    for name in [name for name in STAGES if name in settings]:
        kinds, own = PARTS[name] | {"training": LoopConfig}, settings[name]
        known = [*kinds, "shares"]
        problems += [
            f"{name}.{part} is not a section; known are {', '.join(known)}" for part in own if part not in known
        ]
        problems += [f"{name}: {problem}" for part, kind in kinds.items() for problem in _wrong(own, part, kind)]
    problems += _wrong(settings, "pack", PackConfig)
    return problems or style_problems(settings, corpus)


def _wrong(settings: Settings, name: str, kind: type) -> list[str]:
    try:
        section(settings, name, kind)
    except ConfigError as error:
        return error.problems
    return []


def style_problems(settings: Settings, corpus: Corpus) -> list[str]:
    """Returns the problems with the styles of a pack."""
    styles = section(settings, "pack", PackConfig).styles
    if not styles or not all(isinstance(starts, list) for starts in styles.values()):
        return ["pack.styles: must hold styles, each with a list of prefixes of its books' file names"]
    names = corpus.book_names
    return [
        f"pack.styles.{name}: no book's file name has one of these prefixes"
        for name, starts in styles.items()
        if not any(book.startswith(tuple(starts)) for book in names)
    ]
