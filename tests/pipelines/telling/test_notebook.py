"""A photo's stories in a notebook: from paths, bytes and images, in any style of the pack, as HTML and as a row."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from configs.schema import ConfigError
from model_handlers.pack import Pack
from pipelines.story import Models, StoryError, load_all, story
from pipelines.telling.notebook import PhotoStory, small_picture

SAMPLES = Path(__file__).parents[3] / "samples"
CAT = SAMPLES / "cat.jpg"
OPTIONS: dict[str, Any] = {"captions_per_photo": 5, "beam_width": 5, "device": "cpu"}


@pytest.fixture
def models(photo_pack: Pack) -> Models:
    return load_all(photo_pack.location, **OPTIONS)


def test_paths_bytes_and_images_have_one_story(models: Models, capsys: pytest.CaptureFixture[str]) -> None:
    content = CAT.read_bytes()
    by_path, by_bytes = story(models, CAT), story(models, content)
    assert by_path["uri"] == str(CAT) and by_bytes["uri"] == "<bytes>"
    assert by_path["photo_id"] == by_bytes["photo_id"] == hashlib.sha256(content).hexdigest()
    assert by_path["story"] == by_bytes["story"] == story(models, str(CAT))["story"]
    with Image.open(CAT) as image:
        by_image = story(models, image)
    assert by_image["uri"] == "<image>" and by_image["story"] == by_path["story"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "L"])
def test_images_of_any_mode_are_taken(models: Models, mode: str) -> None:
    with Image.open(CAT) as image:
        assert story(models, image.convert(mode))["story"]


def test_a_turned_image_is_set_upright(models: Models) -> None:
    buffer = io.BytesIO()
    with Image.open(CAT) as image:
        exif = image.getexif()
        exif[274] = 6
        image.save(buffer, "JPEG", exif=exif)
        width, height = image.size
    assert (story(models, buffer.getvalue())["width"], story(models, CAT)["width"]) == (height, width)
    with Image.open(buffer) as turned:
        assert story(models, turned)["width"] == height


def test_a_picture_is_decoded_as_the_networks_photo_is() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (200, 100), (0, 0, 0, 0)).save(file, "PNG")
    picture = small_picture(file.getvalue(), 50)
    assert (picture.mode, picture.size) == ("RGB", (50, 25))
    assert picture.getpixel((0, 0)) == (255, 255, 255), "transparency is put on white"


def test_a_list_of_photos_is_a_list_of_stories(models: Models) -> None:
    found = story(models, [CAT, SAMPLES / "coffee.jpg", CAT.read_bytes()], style=["romance", "swift"])
    assert [type(one) for one in found] == [PhotoStory] * 3
    assert [one["uri"].rsplit("/")[-1] for one in found] == ["cat.jpg", "coffee.jpg", "<bytes>"]
    assert [list(one.stories) for one in found] == [["romance", "swift"]] * 3
    assert found[0].stories == found[2].stories == story(models, CAT, style="romance,swift").stories
    assert story(models, []) == []


def test_styles_are_loaded_when_they_are_asked_for(models: Models, photo_pack: Pack) -> None:
    swift = story(models, CAT, style="swift")
    assert dict(swift) == dict(story(load_all(photo_pack.location, style="swift", **OPTIONS), CAT))
    assert list(swift.stories) == ["swift"] and story(models, CAT)["style"] == "romance"
    with pytest.raises(ValueError, match="^style='romanse': the pack has romance, swift. Did you mean romance?"):
        story(models, CAT, style=["swift", "romance+romanse"])


def test_a_story_is_a_mapping_and_text(models: Models, capsys: pytest.CaptureFixture[str]) -> None:
    found = story(models, CAT, style=["swift", "romance"], show=True)
    assert len(found) == len(dict(found)) == len(found.rows[0]) and found["style"] == "swift"
    assert found.captions == [match["caption"] for match in found["captions"]]
    text = repr(found)
    assert capsys.readouterr().out == f"{text}\n"
    assert all(one in text for one in (found.captions[0], "Swift:", "Romance:", *found.stories.values()))


def test_notebooks_show_photo_captions_and_stories(models: Models) -> None:
    shown = story(models, CAT)._repr_html_()
    assert 'src="data:image/jpeg;base64,' in shown and len(shown) < 100_000
    assert "<h4>Romance</h4>" in shown and "cat.jpg" in shown
    assert "data:image" in story(models, CAT.read_bytes())._repr_html_()


def test_texts_are_escaped_and_a_photo_that_is_gone_is_left_out() -> None:
    row = {
        "uri": "/<b>.jpg",
        "style": "<s>",
        "story": "a < b\nc & d",
        "captions": [{"caption": "<i>", "similarity": 0.5}],
    }
    shown = PhotoStory((row,))._repr_html_()
    assert "<b>" not in shown and "<s>" not in shown and "<i>" not in shown and "<img" not in shown
    assert "a &lt; b<br>c &amp; d" in shown and "&lt;i&gt; (0.50)" in shown


def test_errors_speak_python(photo_pack: Pack, models: Models, tmp_path: Path) -> None:
    with pytest.raises(StoryError, match="gone.jpg: MissingFile"):
        story(models, tmp_path / "gone.jpg")
    with pytest.raises(StoryError, match="<bytes>: "):
        story(models, b"no photo")
    with pytest.raises(StoryError, match="EmptyFile|Empty"):
        story(models, b"")
    with pytest.raises(StoryError, match="max_bytes"):
        story(load_all(photo_pack.location, max_bytes=10, **OPTIONS), CAT.read_bytes())
    with pytest.raises(ConfigError) as raised:
        load_all(photo_pack.location, style="noir", beam_width=5, device="cpu")
    assert str(raised.value).startswith("style 'noir': the pack has no such style") and "--" not in str(raised.value)
    with pytest.raises(ConfigError, match="^beam_with: no such option. Did you mean beam_width?"):
        load_all(photo_pack.location, beam_with=5)
