"""What a run can be told: one schema checks config files, `--set` and command line alike."""

import re
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

Text = Annotated[str, Field(min_length=1)]
Strength = Annotated[float, Field(ge=-10, le=10)]
CaptionCount = Annotated[int, Field(ge=1, le=10_000)]
WrittenCount = Annotated[int, Field(ge=1, le=100)]
BeamWidth = Annotated[int, Field(ge=1, le=1000)]
Captioning = Literal["retrieved", "written", "both"]
Shift = Literal["mean", "spread", "nearest"]
WordCount = Annotated[int, Field(ge=0, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
AGE = r"^\d{1,6}[smhd]$"
DEADLINE = r"\d{1,6}[smhd]|([01]\d|2[0-3]):[0-5]\d"


def _date_as_text(value: Any) -> Any:
    """Returns a date or time as text; YAML makes them of texts that look like one."""
    return value.isoformat() if isinstance(value, date) else value


def _check_moment(text: str) -> str:
    if not re.match(AGE, text):
        try:
            datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError("write a date or time such as 2026-01-31 or '2026-01-31 06:00', or an age, 2d") from error
    return text


Moment = Annotated[str, BeforeValidator(_date_as_text), AfterValidator(_check_moment)]


class ConfigError(Exception):
    """Options, config file or pack are wrong; `problems` lists every one, with where it is and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Choices(BaseModel):
    """What a pack may choose for its stories (`defaults` in its card), where the user says nothing.

    The defaults here are those of the program of 2015. RunConfig has a field of the same name for each, where None is
    the pack's choice.
    """

    model_config = ConfigDict(frozen=True)

    style_strength: Strength = 1.0
    shift: Shift = "mean"
    captions: Captioning = "retrieved"
    captions_per_photo: CaptionCount = 100
    written_captions: WrittenCount = 5
    beam_width: BeamWidth = 50
    min_words: WordCount = 0
    max_words: Annotated[WordCount, Field(ge=1)] = 1000
    no_repeat: WordCount = 0
    contrast: Share = 0.0

    @model_validator(mode="after")
    def _least_before_most(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is more than max_words {self.max_words}")
        return self


class RunConfig(BaseModel):
    """The main job's options; a flag `--style-strength` is the key `style_strength` here."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    input: list[Text] = Field(
        [],
        description="photos: a folder, a glob (** crosses folders) or a URI such as gs://bucket/2026/**; repeatable. "
        "Default: the photos in samples/",
    )
    uris: list[Text] = Field(
        [],
        description="list of photos: text with one URI a line, or CSV or Parquet with a uri column; repeatable",
    )
    schemes: list[Text] = Field(
        [],
        description="schemes that photos may be read from, file for local paths; repeatable. Default: all known ones",
    )
    roots: list[Text] = Field(
        [],
        description="folders or URIs that all photos must lie below, symbolic links followed; repeatable. Default: "
        "photos may lie anywhere",
    )
    since: Moment | None = Field(
        None,
        description="tell only photos modified since then, a date or time (UTC) or an age such as 2d; the others are "
        "deferred",
    )
    sample: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="tell only a sample of the listed photos, the same ones each night: a share below 1, or how many; "
        "the others are deferred",
    )
    limit: int | None = Field(
        None, ge=1, description="tell so many photos at most, the first by uri; the others are deferred"
    )
    retry_dead_letters: bool = Field(
        False,
        description="tell only photos that ended as dead letters when they were last tried, those too that no other "
        "night would try; new ones are deferred",
    )
    features: Text | None = Field(
        None,
        description="Parquet of ready-made feature vectors in place of photos: columns uri, feature (list of float32)",
    )
    output: Text = Field("stories", description="folder or URI of the stories; each run adds to it")
    pack: Text | None = Field(None, description="model pack, a folder or URI. Default: the pocket pack that ships here")
    style: Text = Field("romance", description="style of the stories; several with commas, a mean of several with +")
    style_strength: Strength | None = Field(
        None, description="how far to shift from captions to the style; 0 is not at all"
    )
    shift: Shift | None = Field(
        None,
        description="how to shift: mean moves a photo's vector to the style's mean, spread also stretches it as the "
        "style is spread, nearest moves it to one of the style's passages that are nearest to the photo",
    )
    captions: Captioning | None = Field(
        None, description="where captions come from: the caption bank, the pack's caption writer, or both"
    )
    captions_per_photo: CaptionCount | None = Field(
        None, description="captions that a story is made from, those of highest similarity"
    )
    written_captions: WrittenCount | None = Field(
        None, description="how many captions are written for a photo, unless they are retrieved"
    )
    beam_width: BeamWidth | None = Field(None, description="hypotheses that the beam search keeps for a photo")
    min_words: WordCount | None = Field(
        None, description="least words of a story, marks counted; above 0, stories end where a sentence ends"
    )
    max_words: Annotated[WordCount, Field(ge=1)] | None = Field(
        None, description="most words of a story, marks counted; one that does not end is cut after a whole sentence"
    )
    no_repeat: WordCount | None = Field(
        None, description="a story never says so many words in the same order twice; 0 lets it"
    )
    contrast: Share | None = Field(
        None, description="how much to punish words that the style alone suggests, whatever the photo; 0 is not at all"
    )
    decoder: Text | None = Field(None, description="story decoder of the pack. Default: the one that the pack names")
    lyric: bool = Field(False, description="put the story in lines, split at its commas")
    keep_features: bool = Field(
        True,
        description="keep the photos' feature vectors and captions, and use those that earlier runs kept: another "
        "style of the same photos then reads none of them",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where the networks run; cuda without a GPU is an error"
    )
    precision: Literal["float32", "tf32", "bfloat16"] = Field(
        "float32",
        description="how exactly the networks compute: tf32 (CUDA alone) and bfloat16 are faster on a GPU, and change "
        "some texts",
    )
    accelerator: Text = Field(
        "type:nvidia-l4;count:1;install-nvidia-driver",
        description="GPU that the GPU steps ask a remote runner for, unless the device is cpu (quote its semicolons)",
    )
    decoding: Literal["strict", "original"] = Field(
        "strict",
        description="how files become pixels: strict refuses damaged files, original does as the program of 2015 did",
    )
    preprocessing: Literal["pack", "fast"] = Field(
        "pack",
        description="how pixels become what the feature network takes: pack as the model pack says; fast first decodes "
        "large JPEGs to a half, a quarter or an eighth of their sides, which may change a story",
    )
    max_pixels: int = Field(
        100_000_000, ge=1, description="a photo of more pixels is a dead letter, and never in memory"
    )
    max_bytes: int = Field(64_000_000, ge=1, description="a file of more bytes is a dead letter, and never read")
    max_dead_letter_ratio: float = Field(
        0.25,
        ge=0,
        le=1,
        description="more dead letters than this share of the photos attempted, and 50 at least: exit 3",
    )
    lease: Annotated[str, Field(pattern=AGE)] = Field(
        "20h",
        description="how long a submitted job may go: till then, or its end, no other job tells the same photos",
    )
    deadline: str | None = Field(
        None,
        description="when the run is to be over, its commit too: 5h (or 90m) after its start, or at 06:30 by this "
        "machine's clock. Photos that come too late are deferred: the next run tells them",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="the log on the error output: text with a progress line, or a JSON object a line"
    )
    wave_size: int = Field(500, ge=1, description="photos of one pipeline on local runners")
    shards: int | None = Field(
        None, ge=1, le=10_000, description="files of each table: a wave's on local runners (default 1), else 32"
    )
    batch_size: int = Field(32, ge=1, le=4096, description="photos that a network sees at once")
    beam_options: dict[str, Any] = Field({}, description="Apache Beam's options, by name (in config files only)")

    @field_validator("sample")
    @classmethod
    def _share_or_count(cls, sample: float | None) -> float | None:
        if sample is not None and sample > 1 and sample != int(sample):
            raise ValueError("is a share below 1, or a whole number of photos")
        return sample

    @field_validator("deadline", mode="before")
    @classmethod
    def _age_or_clock_time(cls, value: Any) -> Any:
        if value is None or (isinstance(value, str) and re.fullmatch(DEADLINE, value)):
            return value
        quoted = "; YAML takes a clock time for a number unless it stands in quotes" if isinstance(value, int) else ""
        raise ValueError(f"is no time; write 5h, 90m, 30s, or a clock time such as 06:30{quoted}")

    @model_validator(mode="after")
    def _fast_is_strict(self) -> Self:
        if (self.decoding, self.preprocessing) == ("original", "fast"):
            raise ValueError("preprocessing = 'fast' reads fewer pixels than decoding = 'original' does; choose one")
        return self


Schema = TypeVar("Schema", bound=BaseModel)


def load_yaml(path: str) -> dict[str, Any]:
    """Returns a config file's mapping.

    Raises:
        ConfigError: it cannot be read or is no mapping.
    """
    try:
        content = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError([f"--config {path}: cannot be read ({error})"]) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError([f"--config {path}: holds no keys and values"])
    return content


def check_config(values: dict[str, Any]) -> RunConfig:
    """Returns the checked configuration.

    Raises:
        ConfigError: lists each key that is unknown or has a wrong value.
    """
    return checked(RunConfig, values)


def check_choices(values: dict[str, Any]) -> Choices:
    """Returns the checked choices; what they do not name is as in 2015, and keys of other kinds are left alone.

    Raises:
        ConfigError: lists each wrong value, or what does not go together.
    """
    return checked(Choices, values)


def checked(schema: type[Schema], values: dict[str, Any]) -> Schema:
    """Returns the checked values of a schema.

    Raises:
        ConfigError: lists each key that is unknown, missing or wrong.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ConfigError([_problem(detail) for detail in error.errors()]) from error


def _problem(detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{key}: no such option; see --help"
    if detail["type"] == "missing":
        return f"{key}: is missing"
    if not key:
        return str(detail["ctx"]["error"])
    if detail["type"] == "value_error":
        return f"{key} = {detail['input']!r}: {detail['ctx']['error']}"
    return f"{key} = {detail['input']!r}: {detail['msg'].lower()}"
