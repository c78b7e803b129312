"""One photo's story in a notebook is the pipeline's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.schema import ConfigError
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from model_handlers.stories import StoryHandler
from pipelines.pack_tools.indexing import index_captions
from pipelines.telling.chain import StoryError
from pipelines.telling.notebook import story
from pipelines.telling.one_photo import load_all, tell, tell_batch
from transforms.records import Photo

SAMPLES = Path(__file__).parents[3] / "samples"
OPTIONS: dict[str, Any] = {"captions_per_photo": 5, "beam_width": 5, "device": "cpu"}
FLAGS = ("--captions-per-photo=5", "--beam-width=5", "--device=cpu")


EXTRAS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    (
        {"lyric": True, "style_strength": 0.5, "style": "swift,romance"},
        ["--lyric", "--style-strength=0.5", "--style=swift,romance"],
    ),
    (
        {"min_words": 5, "max_words": 12, "no_repeat": 2, "contrast": 0.5},
        ["--min-words=5", "--max-words=12", "--no-repeat=2", "--contrast=0.5"],
    ),
]


@pytest.mark.parametrize(("extra", "more"), EXTRAS)
def test_a_notebooks_row_is_the_pipelines(
    photo_pack: Pack, run_job: Any, output: Any, capsys: Any, extra: dict[str, Any], more: list[str]
) -> None:
    photo = str(SAMPLES / "cat.jpg")
    places = (f"--input={photo}", f"--output={output.location}", f"--pack={photo_pack.location}")
    assert run_job(*places, *FLAGS, *more)[0] == 0
    models = load_all(photo_pack.location, **OPTIONS, **extra)
    rows = sorted(tell(models, photo), key=lambda row: row["style"])
    assert len(rows) == (2 if "style" in extra else 1)
    assert "max_words" not in extra or all(row["words"] <= 12 for row in rows)
    for row, written in zip(rows, output.rows("stories"), strict=True):
        floats = {"cost": written["cost"], "captions": row["captions"]}
        assert row | floats == written | {"captions": row["captions"]}
        assert row["cost"] == pytest.approx(written["cost"], rel=1e-5)
        assert [m["caption"] for m in row["captions"]] == [m["caption"] for m in written["captions"]]
    capsys.readouterr()
    shown = story(models, photo, show=True)
    printed = capsys.readouterr().out
    assert shown["style"] == models.settings.config.style.split(",")[0]
    assert all(row["story"] in printed and row["captions"][0]["caption"] in printed for row in rows)


def test_ready_sentence_vectors_give_the_same_stories(photo_pack: Pack, tmp_path: Path) -> None:
    index_captions(photo_pack.location, str(tmp_path / "ready"), sentence_vectors=True)
    photo = str(SAMPLES / "cat.jpg")
    (plain,) = tell(load_all(photo_pack.location, **OPTIONS), photo)
    (ready,) = tell(load_all(str(tmp_path / "ready"), **OPTIONS), photo)
    assert ready["passage"] == plain["passage"] and ready["pack_digest"] != plain["pack_digest"]


@pytest.mark.parametrize(
    ("name", "part"), [("gone.jpg", "MissingFile"), ("text.jpg", "text.jpg"), ("empty.jpg", "Empty")]
)
def test_a_photo_that_is_none_says_why(photo_pack: Pack, tmp_path: Path, name: str, part: str) -> None:
    (tmp_path / "text.jpg").write_text("not a photo")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(StoryError, match=part):
        tell(load_all(photo_pack.location, **OPTIONS), str(tmp_path / name))


def test_a_network_that_fails_says_where(photo_pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("no words left")

    monkeypatch.setattr(StoryHandler, "infer", fail)
    with pytest.raises(StoryError, match="cat.jpg: story failed: no words left"):
        tell(load_all(photo_pack.location, **OPTIONS), str(SAMPLES / "cat.jpg"))


def test_a_batch_tells_what_its_photos_tell_alone(photo_pack: Pack) -> None:
    models = load_all(photo_pack.location, **OPTIONS, style="swift,romance")
    features = [np.random.RandomState(seed).rand(4096).astype("f4") for seed in range(3)]
    features.insert(1, np.zeros(4096, "f4"))
    photos = [
        (Photo(f"{place}.jpg", "", "", None, None, ("swift", "romance")), feature)
        for place, feature in enumerate(features)
    ]
    first, *rest = tell_batch(models, photos)
    assert isinstance(first, StoryError) and "1.jpg: captions failed: the feature vector is all zeros" in str(first)
    alone = [row for photo in photos for row in tell_batch(models, [photo]) if not isinstance(row, StoryError)]
    assert [(row["uri"], row["style"], row["story"]) for row in rest if not isinstance(row, StoryError)] == [
        (row["uri"], row["style"], row["story"]) for row in alone
    ]
    assert len(alone) == len(rest) == 6


def test_wrong_options_are_named(story_pack: Pack) -> None:
    with pytest.raises(ConfigError, match="beam_with: no such option"):
        load_all(story_pack.location, beam_with=5)
    with pytest.raises(ConfigError, match="has no features"):
        load_all(story_pack.location)


def test_models_load_when_they_are_needed(photo_pack: Pack, tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path / "broken"), photo_pack)
    writer.add_lines("captions.txt", [])
    writer.components["captions"] = {"texts": "captions.txt"}
    models = load_all(writer.finish().location, **OPTIONS)
    with pytest.raises(Exception, match="the caption bank is empty"):
        tell(models, str(SAMPLES / "cat.jpg"))
