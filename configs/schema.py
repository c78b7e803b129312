"""The options of a run: one schema checks config files, `--set` and the command line."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from configs.checking import ConfigError as ConfigError
from configs.checking import checked as checked
from configs.checking import load_yaml as load_yaml
from configs.choices import (
    FEATURES,
    NAMED,
    NOTHING,
    STORIES,
    BeamWidth,
    CaptionCount,
    Captioning,
    Changes,
    Choices,
    Share,
    Shift,
    Strength,
    WordCount,
    WrittenCount,
)
from configs.values import AGE, DEADLINE, Moment, Names, Place, Places, Text, Texts


class RunConfig(BaseModel):
    """The main job's options; the flag `--style-strength` is the key `style_strength` here.

    Each field declares what it changes, or Choices does so for it. The digests of settings and networks depend on it.
    """

    model_config = ConfigDict(extra="forbid", validate_default=True)

    input: Annotated[Places, NOTHING] = Field(
        [],
        description="photos: a folder, a glob (** crosses folders) or a URI such as gs://bucket/2026/**; repeatable. "
        "Default: the photos in samples/",
    )
    uris: Annotated[Places, NOTHING] = Field(
        [],
        description="list of photos: text with one URI a line, or CSV or Parquet with a uri column; repeatable",
    )
    schemes: Annotated[Texts, NOTHING] = Field(
        [],
        description="schemes that photos may be read from, file for local paths; repeatable. Default: all known ones",
    )
    roots: Annotated[Places, NOTHING] = Field(
        [],
        description="folders or URIs that must contain all photos, with symbolic links followed; repeatable. Default: "
        "photos may be anywhere",
    )
    since: Annotated[Moment | None, NOTHING] = Field(
        None,
        description="process only photos modified since then: a date or time (UTC) or an age such as 2d; the others "
        "are deferred",
    )
    sample: Annotated[float | None, NOTHING] = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="process only a sample of the listed photos, the same ones each night: a share below 1, or a "
        "number of photos; the others are deferred",
    )
    limit: Annotated[int | None, NOTHING] = Field(
        None, ge=1, description="process at most N photos, the first ones by uri; the others are deferred"
    )
    retry_dead_letters: Annotated[bool, NOTHING] = Field(
        False,
        description="process only photos whose last attempt ended as a dead letter, including those that are "
        "normally not tried again; new photos are deferred",
    )
    features: Annotated[Place | None, NOTHING] = Field(
        None,
        description="Parquet of ready-made feature vectors instead of photos: columns uri, feature (list of float32)",
    )
    output: Annotated[Place, NOTHING] = Field(
        "stories", description="folder or URI of the stories; each run adds to it"
    )
    pack: Annotated[Place | None, NAMED] = Field(
        None,
        description="model pack: a folder, a URI, or a name that `packs list` shows. Default: the pocket pack, which "
        "is included",
    )
    style: Annotated[Names, NAMED] = Field(
        "romance", description="style of the stories; separate several by commas, or join them with + for their mean"
    )
    style_strength: Strength | None = Field(
        None, description="how far to shift from captions to the style; 0 means not at all"
    )
    shift: Shift | None = Field(
        None,
        description="how to shift: mean moves a photo's vector to the style's mean, spread also scales it to the "
        "style's spread, nearest moves it to one of the style's passages that are nearest to the photo",
    )
    captions: Captioning | None = Field(
        None, description="where captions come from: the caption bank, the pack's caption writer, or both"
    )
    captions_per_photo: CaptionCount | None = Field(
        None, description="number of captions that a story is made from, those with the highest similarity"
    )
    written_captions: WrittenCount | None = Field(
        None, description="number of captions written for each photo, unless captions are only retrieved"
    )
    beam_width: BeamWidth | None = Field(None, description="hypotheses that the beam search keeps for each photo")
    min_words: WordCount | None = Field(
        None, description="minimum words of a story, counting punctuation; above 0, stories end with a whole sentence"
    )
    max_words: Annotated[WordCount, Field(ge=1)] | None = Field(
        None, description="maximum words of a story, counting punctuation; a longer one is cut after a whole sentence"
    )
    no_repeat: WordCount | None = Field(
        None, description="never repeat a sequence of N words within a story; 0 allows repetition"
    )
    contrast: Share | None = Field(
        None, description="how much to penalise words that the style suggests for any photo; 0 means not at all"
    )
    decoder: Annotated[Text | None, STORIES] = Field(
        None, description="story decoder of the pack. Default: the one that the pack names"
    )
    lyric: Annotated[bool, STORIES] = Field(False, description="break the story into lines at its commas")
    keep_features: Annotated[bool, NOTHING] = Field(
        True,
        description="keep the photos' feature vectors and captions, and reuse those that earlier runs kept: a run "
        "with another style then reads none of the same photos",
    )
    device: Annotated[Literal["auto", "cpu", "cuda"], NOTHING] = Field(
        "auto", description="where the networks run; cuda without a GPU is an error"
    )
    precision: Annotated[Literal["float32", "tf32", "bfloat16"], Changes("features", silent_in=("features",))] = Field(
        "float32",
        description="numeric precision of the networks: tf32 (CUDA only) and bfloat16 are faster on a GPU, and change "
        "some texts",
    )
    accelerator: Annotated[Text, NOTHING] = Field(
        "type:nvidia-l4;count:1;install-nvidia-driver",
        description="GPU that the GPU steps request from a remote runner, unless the device is cpu (quote semicolons)",
    )
    decoding: Annotated[Literal["strict", "original"], FEATURES] = Field(
        "strict",
        description="how files are decoded: strict refuses damaged files, original works like the program of 2015",
    )
    preprocessing: Annotated[Literal["pack", "fast"], Changes("features", silent_in=("features", "stories"))] = Field(
        "pack",
        description="how pixels become the input of the feature network: pack follows the model pack; fast first "
        "decodes large JPEGs at 1/2, 1/4 or 1/8 of their width and height, which may change a story",
    )
    max_pixels: Annotated[int, NOTHING] = Field(
        100_000_000, ge=1, description="a photo with more pixels becomes a dead letter and is never decoded"
    )
    max_bytes: Annotated[int, NOTHING] = Field(
        64_000_000, ge=1, description="a file with more bytes becomes a dead letter and is never read"
    )
    max_dead_letter_ratio: Annotated[float, NOTHING] = Field(
        0.25,
        ge=0,
        le=1,
        description="exit with code 3 and publish nothing if there are at least 50 dead letters and they are more than "
        "this share of the photos attempted",
    )
    lease: Annotated[str, Field(pattern=AGE), NOTHING] = Field(
        "20h",
        description="longest time that a submitted job reserves its photos; no other job processes them meanwhile",
    )
    deadline: Annotated[str | None, NOTHING] = Field(
        None,
        description="when the run must be over, including its commit: 5h (or 90m) after its start, or at 06:30 by this "
        "machine's clock. Photos that are not reached in time are deferred to the next run",
    )
    log_format: Annotated[Literal["text", "json"], NOTHING] = Field(
        "text", description="the log on the error output: text with a progress line, or one JSON object a line"
    )
    wave_size: Annotated[int, NOTHING] = Field(
        500, ge=1, description="number of photos in each pipeline on local runners"
    )
    shards: Annotated[int | None, NOTHING] = Field(
        None,
        ge=1,
        le=10_000,
        description="number of files of each table: per wave on local runners (default 1), else for the whole job "
        "(default 32)",
    )
    batch_size: Annotated[int, NOTHING] = Field(32, ge=1, le=4096, description="number of photos in a network's batch")
    beam_options: Annotated[dict[str, Any], NOTHING] = Field(
        {}, description="Apache Beam's options by name (only in config files)"
    )

    @field_validator("sample")
    @classmethod
    def _share_or_count(cls, sample: float | None) -> float | None:
        if sample is not None and sample > 1 and sample != int(sample):
            raise ValueError("must be a share below 1, or a whole number of photos")
        return sample

    @field_validator("deadline", mode="before")
    @classmethod
    def _age_or_clock_time(cls, value: object) -> object:
        if value is None or (isinstance(value, str) and re.fullmatch(DEADLINE, value)):
            return value
        quoted = "; YAML reads a clock time as a number unless it is quoted" if isinstance(value, int) else ""
        raise ValueError(f"is not a time; write 5h, 90m, 30s, or a clock time such as 06:30{quoted}")

    @model_validator(mode="after")
    def _fast_is_strict(self) -> Self:
        if (self.decoding, self.preprocessing) == ("original", "fast"):
            raise ValueError("preprocessing = 'fast' reads fewer pixels than decoding = 'original' does; choose one")
        return self


def check_config(values: dict[str, Any]) -> RunConfig:
    """Returns the checked configuration.

    Raises:
        ConfigError: lists each key that is unknown or has a wrong value.
    """
    return checked(RunConfig, values)


def check_choices(values: dict[str, Any]) -> Choices:
    """Returns the checked choices; missing ones are those of 2015, and other keys are ignored.

    Raises:
        ConfigError: lists each wrong value, or the values that contradict each other.
    """
    return checked(Choices, values)
