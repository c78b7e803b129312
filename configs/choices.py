"""Options that a pack may choose for its stories, and how an option declares what it changes."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

Effect = Literal["features", "captions", "stories", "named", "nothing"]


@dataclass(frozen=True)
class Changes:
    """What an option changes, declared in the option's type: `Annotated[bool, STORIES]`.

    What changes features also changes captions, and what changes captions also changes stories.

    Attributes:
        effect: the first thing that changes. `named` options change stories too, but each row names them apart from
            the settings (pack and style).
        silent_in: digests that omit the option when it has its default value, because they are older than the option.
    """

    effect: Effect
    silent_in: tuple[Effect, ...] = ()


FEATURES, CAPTIONS, STORIES = Changes("features"), Changes("captions"), Changes("stories")
NAMED, NOTHING = Changes("named"), Changes("nothing")


def changes_of(field: FieldInfo) -> Changes:
    """Returns what an option declares that it changes.

    Raises:
        LookupError: it declares nothing, or more than one thing.
    """
    declared = [one for one in field.metadata if isinstance(one, Changes)]
    if len(declared) != 1:
        raise LookupError("an option must declare what it changes: FEATURES, CAPTIONS, STORIES, NAMED or NOTHING")
    return declared[0]


Strength = Annotated[float, Field(ge=-10, le=10)]
CaptionCount = Annotated[int, Field(ge=1, le=10_000)]
WrittenCount = Annotated[int, Field(ge=1, le=100)]
BeamWidth = Annotated[int, Field(ge=1, le=1000)]
Captioning = Literal["retrieved", "written", "both"]
Shift = Literal["mean", "spread", "nearest"]
WordCount = Annotated[int, Field(ge=0, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]


class Choices(BaseModel):
    """Options that a pack may choose for its stories (`defaults` in its card) unless the user sets them.

    The defaults are those of the program of 2015. Each field declares what it changes. RunConfig has a field of the
    same name for each; None means the pack's choice.
    """

    model_config = ConfigDict(frozen=True)

    style_strength: Annotated[Strength, STORIES] = 1.0
    shift: Annotated[Shift, STORIES] = "mean"
    captions: Annotated[Captioning, CAPTIONS] = "retrieved"
    captions_per_photo: Annotated[CaptionCount, CAPTIONS] = 100
    written_captions: Annotated[WrittenCount, CAPTIONS] = 5
    beam_width: Annotated[BeamWidth, STORIES] = 50
    min_words: Annotated[WordCount, STORIES] = 0
    max_words: Annotated[Annotated[WordCount, Field(ge=1)], STORIES] = 1000
    no_repeat: Annotated[WordCount, STORIES] = 0
    contrast: Annotated[Share, STORIES] = 0.0

    @model_validator(mode="after")
    def _least_before_most(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is more than max_words {self.max_words}")
        return self
