"""One photo's story in three lines of a notebook, by the code that the pipeline runs.

from pipelines.story import load_all, story
models = load_all("packs/pocket")
story(models, "photo.jpg")
"""

from pipelines.telling.chain import StoryError
from pipelines.telling.one_photo import Models, load_all, story, tell

__all__ = ["Models", "StoryError", "load_all", "story", "tell"]
