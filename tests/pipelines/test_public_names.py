"""Public names can be imported from their old places, wherever their code is."""

import pytest

from pipelines import catalog, story
from pipelines.tables import read
from pipelines.telling import chain, notebook, one_photo

NAMES = {
    "Models": one_photo.Models,
    "PhotoStory": notebook.PhotoStory,
    "StoryError": chain.StoryError,
    "load_all": one_photo.load_all,
    "story": notebook.story,
    "tell": one_photo.tell,
}


@pytest.mark.parametrize("name", NAMES)
def test_story_has_the_names_of_telling(name: str) -> None:
    assert getattr(story, name) is NAMES[name]


def test_story_has_no_other_names() -> None:
    assert set(story.PUBLIC) == set(NAMES)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = story.nothing


def test_catalog_has_the_names_of_the_tables() -> None:
    assert (catalog.open_stories, catalog.Stories) == (read.open_stories, read.Stories)
