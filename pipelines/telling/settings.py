"""Settings of a run: a checked configuration and an opened model pack."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configs.choices import Choices
from configs.schema import ConfigError, RunConfig, check_choices
from configs.spelling import did_you_mean
from model_handlers.handler import check_precision, resolve_device
from model_handlers.pack import Pack
from model_handlers.pack_card import CARD, PackError
from model_handlers.run_errors import DeviceError
from pipelines.cli.packs_at_hand import POCKET, find_pack, shipped
from pipelines.telling.digests import networks_of, settings_digest
from pipelines.telling.style_shifts import style_vectors
from transforms.records import Networks, StyleVectors
from transforms.redaction import bare_uri
from transforms.uris import Allowed

SAMPLES = str(shipped("samples"))


@dataclass(frozen=True)
class Settings:
    """Settings of a run: its configuration, its pack, and what follows from both.

    Attributes:
        config: checked configuration.
        choices: choices of the user, else of the pack, else of the program of 2015.
        pack: opened model pack.
        decoder: name of the story decoder.
        styles: style shifts by name of the requested style.
        digest: sha256 of everything that can change a text, apart from pack and style.
    """

    config: RunConfig
    choices: Choices
    pack: Pack
    decoder: str
    styles: dict[str, StyleVectors]
    digest: str

    def used(self) -> dict[str, Any]:
        """Returns every option of the run with the value that was used."""
        return used_options(self.config, self.choices, self.decoder)

    def networks(self) -> Networks | None:
        """Returns the digests under which features and captions are kept; None if nothing is kept."""
        return networks_of(self.pack, self.used())


def resolve(config: RunConfig, remote: bool = False) -> Settings:
    """Returns the settings of a run.

    Args:
        config: checked configuration.
        remote: whether the networks run on other machines, whose GPUs cannot be checked here.

    Raises:
        ConfigError: lists every problem with pack, decoder, styles and device.
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
    wrong = pack.entry_problems()
    problems = [*_missing_components(pack, config, choices, wrong), *wrong_choices]
    decoder = config.decoder or pack.default_decoder
    try:
        width = pack.decoder(decoder).width
    except PackError as error:
        meant = did_you_mean(decoder, pack.decoders)
        raise ConfigError(problems + [f"--decoder {problem}{meant}" for problem in error.problems]) from error
    problems += _width_problems(pack, config, decoder, pack.components.keys() - wrong.keys())
    styles: dict[str, StyleVectors] = {}
    for name in [part.strip() for part in config.style.split(",")]:
        try:
            styles[name] = style_vectors(pack, name, width, choices.shift)
        except PackError as error:
            problems += [f"--style {problem}" for problem in error.problems]
    problems += _device_problems(config, remote)
    if problems:
        raise ConfigError(problems)
    return Settings(config, choices, pack, decoder, styles, settings_digest(used_options(config, choices, decoder)))


def used_options(config: RunConfig, choices: Choices, decoder: str) -> dict[str, Any]:
    """Returns every option with the value that the run uses."""
    return config.model_dump() | choices.model_dump() | {"decoder": decoder}


def choose(pack: Pack, config: RunConfig) -> Choices:
    """Returns the choices of a run: the user's, else the pack's, else those of the program of 2015.

    Raises:
        ConfigError: lists what is wrong with the pack's choices.
    """
    by_pack = pack_choices(pack).model_dump(exclude_unset=True)
    by_user = {name: value for name in Choices.model_fields if (value := getattr(config, name)) is not None}
    return check_choices(by_pack | by_user)


def pack_choices(pack: Pack) -> Choices:
    """Returns the pack's choices; those that its card does not name are as in the program of 2015.

    Raises:
        ConfigError: lists what is wrong with them.
    """
    try:
        return check_choices(pack.card.get("defaults", {}))
    except ConfigError as error:
        raise ConfigError([f"--pack {pack.location}/{CARD}: defaults: {one}" for one in error.problems]) from error


def photo_patterns(config: RunConfig) -> list[str]:
    """Returns the patterns to list: the inputs, or the sample photos if no input is named."""
    return [bare_uri(name) for name in config.input] or ([] if config.uris or config.features else [SAMPLES])


def allowed(config: RunConfig) -> Allowed:
    """Returns the schemes and places that photos may be read from."""
    return Allowed(tuple(config.schemes), tuple(config.roots))


def _missing_components(
    pack: Pack, config: RunConfig, choices: Choices, wrong: Mapping[str, Sequence[str]]
) -> list[str]:
    """Returns which components the run needs and the pack lacks, and what is wrong with those that it has.

    Args:
        pack: opened.
        config: of the run.
        choices: of the run.
        wrong: problems of the pack's components, by name.
    """
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
    needed = wanted if choices.captions == "retrieved" else [*wanted, "caption_writer"]
    return problems + [f"--pack {problem}" for name in needed for problem in wrong.get(name, ())]


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


def _width_problems(pack: Pack, config: RunConfig, decoder: str, there: Container[str]) -> list[str]:
    """Returns which networks take other vectors than those before them give.

    Args:
        pack: opened.
        config: of the run.
        decoder: name of the decoder.
        there: the components that the pack has, and that can be read.
    """
    problems = []
    if "sentence_encoder" in there:
        width, wanted = pack.sentence_encoder.width, pack.decoder(decoder).width
        if width != wanted:
            problems.append(f"--decoder {decoder}: wants vectors {wanted} wide, the sentence encoder's are {width}")
    if "caption_writer" in there and "joint_embedding" in there:
        width, wanted = pack.joint_embedding.width, pack.caption_writer.width
        if width != wanted:
            what = f"the caption writer wants embeddings {wanted} wide, the joint embedding's are {width}"
            problems.append(f"--pack {pack.location}: {what}")
    if config.features is None and "features" in there and "joint_embedding" in there:
        width, wanted = pack.features.width, pack.joint_embedding.feature_width
        if width != wanted:
            problems.append(f"--pack {pack.location}: features are {width} wide, the joint embedding wants {wanted}")
    return problems
