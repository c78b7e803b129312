"""The names that people import stay where they are, whatever folder holds what they do."""

import pytest

from pipelines import story
from pipelines.telling import one_photo


@pytest.mark.parametrize("name", ["Models", "StoryError", "load_all", "story", "tell"])
def test_story_has_the_names_of_one_photo(name: str) -> None:
    assert getattr(story, name) is getattr(one_photo, name)
    assert name in story.__all__
