"""Public names can be imported from their old places, wherever their code is."""

import pytest

from pipelines import catalog, story
from pipelines.tables import read
from pipelines.telling import one_photo


@pytest.mark.parametrize("name", ["Models", "StoryError", "load_all", "story", "tell"])
def test_story_has_the_names_of_one_photo(name: str) -> None:
    assert getattr(story, name) is getattr(one_photo, name)
    assert name in story.__all__


def test_catalog_has_the_names_of_the_tables() -> None:
    assert (catalog.open_stories, catalog.Stories) == (read.open_stories, read.Stories)
