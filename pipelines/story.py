"""The story of one photo: in a notebook in three lines, and on the screen by `storyteller story photo.jpg`.

from pipelines.story import load_all, story
models = load_all("pocket")
story(models, "photo.jpg")
"""

import importlib
import os
import shutil
import sys
from typing import TYPE_CHECKING

from configs.choices import Choices
from configs.schema import ConfigError
from configs.values import at_home
from pipelines.cli.commands import EndingTexts, ExitCode, command_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser, add_options
from pipelines.cli.logs import say

if TYPE_CHECKING:
    from pipelines.telling.chain import StoryError as StoryError
    from pipelines.telling.notebook import PhotoStory as PhotoStory
    from pipelines.telling.notebook import story as story
    from pipelines.telling.one_photo import Models as Models
    from pipelines.telling.one_photo import load_all as load_all
    from pipelines.telling.one_photo import tell as tell

PUBLIC = {
    "Models": "one_photo",
    "PhotoStory": "notebook",
    "StoryError": "chain",
    "load_all": "one_photo",
    "story": "notebook",
    "tell": "one_photo",
}
"""Where in `pipelines.telling` each name is that Python code imports from here."""

DESCRIPTION = "Shows a photo with its captions and its story. Nothing is written."
EPILOG = "Exit codes: 0 shown; 1 a photo has no story; 2 options or pack are wrong, or there is no such photo."
OPTIONS = (
    ("pack", "style", *Choices.model_fields, "decoder", "lyric", "device", "precision")
    + ("decoding", "preprocessing", "max_pixels", "max_bytes")
)  # fmt: skip


def __getattr__(name: str) -> object:
    """Returns what Python code imports from here, loaded when it is asked for."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'pipelines.story' has no attribute {name!r}")
    return getattr(importlib.import_module(f"pipelines.telling.{PUBLIC[name]}"), name)


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 shown, 1 a photo has no story, 2 wrong options, pack or photos."""
    return run_command(_run, argv, EndingTexts("No story was made:"))


def _run(argv: list[str]) -> int:
    given = vars(command_line().parse_args(argv))
    photos, with_picture = given.pop("photos"), given.pop("picture")
    check(photos)
    from configs.schema import check_config
    from pipelines.telling.chain import StoryError
    from pipelines.telling.notebook import story
    from pipelines.telling.one_photo import load_models
    from pipelines.telling.settings import resolve
    from pipelines.telling.terminal_picture import draw

    models = load_models(resolve(check_config(given)))
    code = ExitCode.DONE
    for photo in photos:
        try:
            found = story(models, photo)
        except StoryError as error:
            say(error)
            code = ExitCode.FAILED
            continue
        if with_picture and sys.stdout.isatty() and (picture := found.picture()):
            print(draw(picture, os.environ, shutil.get_terminal_size().columns))
        print(f"{photo}\n\n{found!r}\n", flush=True)
    return code


def check(photos: list[str]) -> None:
    """Raises ConfigError where a local photo is not there, or is a folder."""
    problems = []
    for photo in photos:
        if "://" not in photo and not os.path.exists(photo):
            problems.append(f"{photo}: no such file")
        elif os.path.isdir(photo):
            problems.append(f"{photo}: is a folder; `storyteller run` makes the stories of its photos")
    if problems:
        raise ConfigError(problems)


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = command_parser("story", DESCRIPTION, EPILOG)
    parser.usage = "%(prog)s PHOTO [PHOTO ...] [options]"
    parser.add_argument("photos", nargs="+", type=at_home, metavar="PHOTO", help="file or URI")
    parser.add_argument("--no-picture", dest="picture", action="store_false", help="no picture of the photo")
    add_options(parser, OPTIONS)
    return parser


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
