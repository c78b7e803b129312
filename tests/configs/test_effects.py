"""Each option says what it changes, and the digests follow: none is forgotten, and none changes too much."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from configs.choices import NOTHING, STORIES, Choices, changes_of
from configs.effects import DECLARED, options_that_change
from configs.schema import RunConfig


@pytest.mark.parametrize("name", RunConfig.model_fields)
def test_every_option_declares_what_it_changes(name: str) -> None:
    assert changes_of(Choices.model_fields.get(name, RunConfig.model_fields[name])) == DECLARED[name]


def test_every_choice_changes_a_text() -> None:
    assert {DECLARED[name].effect for name in Choices.model_fields} <= {"captions", "stories"}
    assert set(Choices.model_fields) <= set(RunConfig.model_fields)


class Undecided(BaseModel):
    """Options that do not say what they change, or say two things."""

    silent: int = 1
    torn: Annotated[int, STORIES, NOTHING] = 1
    clear: Annotated[int, STORIES] = 1


@pytest.mark.parametrize("name", ["silent", "torn"])
def test_an_option_that_declares_nothing_or_two_things_is_refused(name: str) -> None:
    with pytest.raises(LookupError, match="must declare what it changes"):
        changes_of(Undecided.model_fields[name])
    assert changes_of(Undecided.model_fields["clear"]) == STORIES


def test_options_by_what_they_change() -> None:
    left_out: dict[str, Any] = options_that_change("features", digest="features")
    assert left_out == {"decoding": ..., "preprocessing": "pack", "precision": "float32"}
    assert options_that_change("features", digest="stories") == left_out | {"precision": ...}
    assert set(options_that_change("captions", digest="captions")) == {
        "captions",
        "captions_per_photo",
        "written_captions",
    }
    everything = options_that_change("features", "captions", "stories", "named", "nothing", digest="stories")
    assert set(everything) == set(RunConfig.model_fields)
