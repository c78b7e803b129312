"""A checked configuration and an opened pack become what a pipeline is built from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from configs.choices import Choices, Effect
from configs.effects import options_that_change
from configs.schema import ConfigError, RunConfig, check_choices
from configs.spelling import did_you_mean
from model_handlers.components import decoder_entry
from model_handlers.covariances import ReadyPassages, ReadySpread
from model_handlers.handler import DeviceError, Placement, check_precision, resolve_device
from model_handlers.pack import Pack
from model_handlers.pack_card import CARD, PackError
from pipelines.cli.packs_at_hand import POCKET, find_pack, shipped
from transforms.records import StyleVectors
from transforms.redaction import bare_uri
from transforms.storage import Allowed

SAMPLES = str(shipped("samples"))


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
        remote: the networks run on other machines, whose GPUs cannot be checked here.

    Raises:
        ConfigError: lists everything in pack, decoder, styles and device that does not fit.
    """
    try:
        pack = Pack.open(find_pack(config.pack) if config.pack else POCKET)
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
        meant = did_you_mean(decoder, pack.components.get("decoders", {}))
        raise ConfigError(problems + [f"--decoder {problem}{meant}" for problem in error.problems]) from error
    problems += _width_problems(pack, config, decoder)
    styles: dict[str, StyleVectors] = {}
    for name in [part.strip() for part in config.style.split(",")]:
        try:
            styles[name] = style_vectors(pack, name, width, choices.shift)
        except PackError as error:
            problems += [f"--style {problem}" for problem in error.problems]
    problems += _device_problems(config, remote)
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
    used = config.model_dump() | choices.model_dump() | {"decoder": decoder}
    settings = changing_settings(used, "features", "captions", "stories", digest="stories")
    if choices.captions == "retrieved":
        settings["written_captions"] = None
    if config.features:  # no pixels are read
        settings.pop("preprocessing", None)
        settings["decoding"] = None
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def changing_settings(used: Mapping[str, Any], *effects: Effect, digest: Effect) -> dict[str, Any]:
    """Returns the options that change one of some things, with their values, for a digest.

    Args:
        used: value of each option.
        effects: what the options change.
        digest: what the digest is of.
    """
    left_out = options_that_change(*effects, digest=digest)
    return {name: used[name] for name, value in left_out.items() if used[name] != value}


def photo_patterns(config: RunConfig) -> list[str]:
    """Returns the patterns to list: what was asked for, or the samples where nothing was."""
    return [bare_uri(name) for name in config.input] or ([] if config.uris or config.features else [SAMPLES])


def allowed(config: RunConfig) -> Allowed:
    """Returns the schemes and places that photos may be read from."""
    return Allowed(tuple(config.schemes), tuple(config.roots))


def style_vectors(pack: Pack, name: str, width: int, shift: str = "mean") -> StyleVectors:
    """Returns the shift to a style, or to several joined by +: to their mean, or to the passages of all.

    Args:
        pack: holds the styles.
        name: of the style or styles.
        width: S, of the decoder.
        shift: `mean`, `spread` or `nearest`.

    Raises:
        PackError: the pack lacks a style, its spread or passages where wanted, or the source style, or one has another
            width.
    """
    styles = pack.components.get("styles", {})
    parts = name.split("+")
    there = ", ".join(sorted(styles)) or "none"
    problems = [
        f"{part!r}: the pack has no such style; it has {there}. pipelines.fit_style makes more"
        f"{did_you_mean(part, styles)}"
        for part in parts
        if part not in styles
    ]
    if "source_style" not in pack.components:
        problems.append(
            f"{name}: the pack has no source style to take out; pipelines.fit_style --name caption makes one"
        )
    if problems:
        raise PackError(problems)
    where = Placement(pack.location, pack.digest)
    spread = passages = None
    if shift == "spread":
        spread = ReadySpread(where, _of_styles(pack, "spreads", parts, (width, width)))
    if shift == "nearest":
        passages = ReadyPassages(where, _of_styles(pack, "passages", parts, (-1, width)))
    source, *targets = [_vector(pack, file) for file in (pack.components["source_style"], *map(styles.get, parts))]
    for vector in [source, *targets]:
        if vector.shape != (width,):
            raise PackError([f"{name}: a style vector has width {vector.shape[0]}, the decoder wants {width}"])
    target = targets[0] if len(targets) == 1 else np.stack(targets).mean(axis=0, dtype=np.float32)  # [S]
    return StyleVectors(source, target, spread, passages)


SHIFT_PARTS = {"spreads": ("spread", "spread", "--spread"), "passages": ("nearest", "passages", "--passages 2000")}
"""For each group of a pack's files the shift that needs it, what it is called, and how fit_style makes it."""


def _of_styles(pack: Pack, group: str, parts: Sequence[str], shape: tuple[int, int]) -> tuple[str, ...]:
    """Returns the files of a group that belong to some styles.

    Args:
        pack: holds them.
        group: of SHIFT_PARTS.
        parts: the styles.
        shape: of each array; -1 is any number.

    Raises:
        PackError: the pack lacks one, or one has another shape.
    """
    there = pack.components.get(group, {})
    shift, called, flag = SHIFT_PARTS[group]
    problems = [
        f"{part!r}: the pack has no {called} of it, which --shift {shift} needs; it has "
        f"{', '.join(sorted(there)) or 'none'}. pipelines.fit_style {flag} makes them"
        for part in parts
        if part not in there
    ]
    files = tuple(there[part] for part in parts if part in there)
    shapes = [pack.array(file).shape for file in files]
    problems += [
        f"{', '.join(parts)}: {called} of shape {found}, but the decoder wants vectors {shape[1]} wide"
        for found in shapes
        if len(found) != 2 or found[1] != shape[1] or shape[0] not in (-1, found[0])
    ]
    if problems:
        raise PackError(problems)
    return files


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


def _device_problems(config: RunConfig, remote: bool) -> list[str]:
    if remote and config.device != "cpu":
        return []
    try:
        device = resolve_device(config.device)
    except DeviceError as error:
        return [f"--device: {error}"]
    try:
        check_precision(config.precision, device)
    except DeviceError as error:
        return [f"--precision: {error}"]
    return []


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
