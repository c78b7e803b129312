"""A checked configuration and an opened pack become what a pipeline is built from."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from configs.schema import Choices, ConfigError, RunConfig, check_choices
from model_handlers.components import decoder_entry
from model_handlers.handler import DeviceError, Placement, resolve_device
from model_handlers.pack_card import CARD, PackError
from model_handlers.packs import Pack
from model_handlers.spreads import ReadySpread
from transforms.records import StyleVectors

POCKET = str(Path(__file__).parents[1] / "packs" / "pocket")
SAMPLES = str(Path(__file__).parents[1] / "samples")


@dataclass(frozen=True)
class Settings:
    """What a run does: its configuration, its pack, and what both together name.

    Attributes:
        config: as checked.
        choices: the user's where the configuration names one, else the pack's, else those of the program of 2015.
        pack: opened.
        decoder: name of the story decoder.
        styles: shift of each requested style.
        digest: sha256 of all that can change a text apart from pack and style.
    """

    config: RunConfig
    choices: Choices
    pack: Pack
    decoder: str
    styles: dict[str, StyleVectors]
    digest: str

    def used(self) -> dict[str, Any]:
        """Returns every option of the run with the value that was used."""
        return self.config.model_dump() | self.choices.model_dump() | {"decoder": self.decoder}


def resolve(config: RunConfig, remote: bool = False) -> Settings:
    """Returns the settings of a run.

    Args:
        config: as checked.
        remote: the networks run on other machines, whose device cannot be checked here.

    Raises:
        ConfigError: lists everything in pack, decoder, styles and device that does not fit.
    """
    try:
        pack = Pack.open(config.pack or POCKET)
    except PackError as error:
        raise ConfigError([f"--pack {problem}" for problem in error.problems]) from error
    choices, wrong_choices = Choices(), []
    try:
        choices = choose(pack, config)
    except ConfigError as error:
        wrong_choices = error.problems
    problems = [*_missing_components(pack, config, choices), *wrong_choices]
    decoder = config.decoder or _pack_defaults(pack).get("decoder", "")
    try:
        width = decoder_entry(pack, decoder)["dim_context"]
    except PackError as error:
        raise ConfigError(problems + [f"--decoder {problem}" for problem in error.problems]) from error
    problems += _width_problems(pack, config, decoder)
    styles: dict[str, StyleVectors] = {}
    for name in [part.strip() for part in config.style.split(",")]:
        try:
            styles[name] = style_vectors(pack, name, width, choices.shift)
        except PackError as error:
            problems += [f"--style {problem}" for problem in error.problems]
    try:
        if not remote:
            resolve_device(config.device)
    except DeviceError as error:
        problems.append(f"--device: {error}")
    if problems:
        raise ConfigError(problems)
    return Settings(config, choices, pack, decoder, styles, settings_digest(config, choices, decoder))


def choose(pack: Pack, config: RunConfig) -> Choices:
    """Returns the choices of a run: the user's, else the pack's, else those of the program of 2015.

    Raises:
        ConfigError: lists what is wrong with the pack's choices.
    """
    by_pack = pack_choices(pack).model_dump(exclude_unset=True)
    by_user = {name: value for name in Choices.model_fields if (value := getattr(config, name)) is not None}
    return check_choices(by_pack | by_user)


def pack_choices(pack: Pack) -> Choices:
    """Returns the pack's choices, which are those of the program of 2015 where the card is silent.

    Raises:
        ConfigError: lists what is wrong with them.
    """
    try:
        return check_choices(_pack_defaults(pack))
    except ConfigError as error:
        raise ConfigError([f"--pack {pack.location}/{CARD}: defaults: {one}" for one in error.problems]) from error


def _pack_defaults(pack: Pack) -> dict[str, Any]:
    return pack.card.get("defaults", {})


def settings_digest(config: RunConfig, choices: Choices, decoder: str) -> str:
    """Returns the digest of the settings that can change a text."""
    settings = choices.model_dump() | {
        "written_captions": None if choices.captions == "retrieved" else choices.written_captions,
        "lyric": config.lyric,
        "decoder": decoder,
        "decoding": None if config.features else config.decoding,
        "precision": "float32",
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def style_vectors(pack: Pack, name: str, width: int, shift: str = "mean") -> StyleVectors:
    """Returns the shift to a style, or to the mean of styles joined by +.

    Args:
        pack: holds the styles.
        name: of the style or styles.
        width: S, of the decoder.
        shift: `mean` or `spread`.

    Raises:
        PackError: the pack lacks a style, its spread where wanted, or the source style, or one has another width.
    """
    styles = pack.components.get("styles", {})
    problems = []
    targets = []
    for part in name.split("+"):
        if part in styles:
            targets.append(_vector(pack, styles[part]))
        else:
            there = ", ".join(sorted(styles)) or "none"
            problems.append(f"{part!r}: the pack has no such style; it has {there}. pipelines.fit_style makes more")
    if "source_style" not in pack.components:
        problems.append(f"{name}: the pack has no source style to take out; pipelines.fit_style --source makes one")
    if problems:
        raise PackError(problems)
    spread = _spread(pack, name, width) if shift == "spread" else None
    source = _vector(pack, pack.components["source_style"])
    for vector in [source, *targets]:
        if vector.shape != (width,):
            raise PackError([f"{name}: a style vector has width {vector.shape[0]}, the decoder wants {width}"])
    if len(targets) == 1:
        return StyleVectors(source, targets[0], spread)
    return StyleVectors(source, np.stack(targets).mean(axis=0, dtype=np.float32), spread)


def _spread(pack: Pack, name: str, width: int) -> ReadySpread:
    """Returns the map of a style, or the mean of those of several.

    Raises:
        PackError: the pack lacks one, or one has another width.
    """
    there = pack.components.get("spreads", {})
    parts = name.split("+")
    problems = [
        f"{part!r}: the pack has no spread of it, which --shift spread needs; it has "
        f"{', '.join(sorted(there)) or 'none'}. pipelines.fit_style --spread makes one"
        for part in parts
        if part not in there
    ]
    files = tuple(there[part] for part in parts if part in there)
    shapes = [pack.array(file).shape for file in files]
    problems += [
        f"{name}: a spread has shape {shape}, the decoder wants {(width, width)}"
        for shape in shapes
        if shape != (width, width)
    ]
    if problems:
        raise PackError(problems)
    return ReadySpread(Placement(pack.location, pack.digest), files)


def _vector(pack: Pack, file: str) -> np.ndarray:
    return np.array(pack.array(file), np.float32).reshape(-1)


def _missing_components(pack: Pack, config: RunConfig, choices: Choices) -> list[str]:
    wanted = ["joint_embedding", "captions", "sentence_encoder", "decoders", "styles"]
    if config.features is None:
        wanted.insert(0, "features")
    if choices.captions == "written":
        wanted.remove("captions")
    hint = " (feature vectors of your own can come by --features)" if "features" in wanted else ""
    problems = [
        f"--pack {pack.location}: has no {name}, which the run needs{hint if name == 'features' else ''}"
        for name in wanted
        if name not in pack.components
    ]
    if choices.captions != "retrieved" and "caption_writer" not in pack.components:
        problems.append(
            f"--captions {choices.captions}: {pack.location} has no caption_writer; --captions retrieved needs none"
        )
    return problems


def _width_problems(pack: Pack, config: RunConfig, decoder: str) -> list[str]:
    parts = pack.components
    problems = []
    sentences = parts.get("sentence_encoder")
    if sentences is not None:
        width, wanted = sentences["uni"] + 2 * sentences["bi"], parts["decoders"][decoder]["dim_context"]
        if width != wanted:
            problems.append(f"--decoder {decoder}: wants vectors {wanted} wide, the sentence encoder's are {width}")
    if "caption_writer" in parts and "joint_embedding" in parts:
        width, wanted = parts["joint_embedding"]["dim"], parts["caption_writer"]["dim_context"]
        if width != wanted:
            what = f"the caption writer wants embeddings {wanted} wide, the joint embedding's are {width}"
            problems.append(f"--pack {pack.location}: {what}")
    if config.features is None and "features" in parts and "joint_embedding" in parts:
        width, wanted = parts["features"]["width"], parts["joint_embedding"]["dim_image"]
        if width != wanted:
            problems.append(f"--pack {pack.location}: features are {width} wide, the joint embedding wants {wanted}")
    return problems
