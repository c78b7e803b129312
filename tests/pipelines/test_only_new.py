"""Only what is new, in waves and in the single pipeline: what is told, tried again, left for another night or not run
twice."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import check_config
from model_handlers.packs import Pack
from pipelines.catalog import open_stories
from pipelines.job import make_parts
from pipelines.main_job import new_run, tell_stories
from pipelines.remote import run_single
from pipelines.settings import resolve
from pipelines.sources import source_problems

OPTIONS = {"captions_per_photo": 5, "beam_width": 3, "device": "cpu"}
DAY = 24 * 3600

Tell = Callable[..., dict[str, int]]


@pytest.fixture(params=["waves", "single"])
def tell(request: pytest.FixtureRequest, photo_pack: Pack, output: Any, capsys: Any) -> Tell:
    """Returns a function that tells photos, in waves or in one pipeline, and returns the outcomes of this run."""

    def run(**options: Any) -> dict[str, int]:
        config = {"pack": photo_pack.location, "output": output.location, **OPTIONS, **options}
        settings = resolve(check_config(config))
        beam_options = PipelineOptions(["--runner=FnApiRunner"])
        if request.param == "waves":
            tell_stories(settings, beam_options)
        else:
            run_single(new_run(settings), settings, make_parts(settings, {}), beam_options)
        capsys.readouterr()
        return dict(output.outcomes(len(output.manifests)))

    return run


@pytest.fixture
def album(tmp_path: Path, make_photo: Any) -> Path:
    """Returns a folder of six good photos, each with other bytes, and one that is none."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.png").write_bytes(make_photo(6 + 19 * number).data)
    (folder / "bad.jpg").write_bytes(b"text")
    return folder


def told(output: Any) -> list[str]:
    """Returns the names of the photos that the last run told."""
    return [Path(row["uri"]).name for row in output.rows("stories", len(output.manifests))]


def test_a_changed_photo_is_told_again(tell: Tell, album: Path, output: Any, make_photo: Any) -> None:
    assert tell(input=[str(album)]) == {"story": 6, "dead_letter": 1}
    before = {row["uri"]: row for row in open_stories(output.location).to_table().to_pylist()}
    (album / "3.png").write_bytes(make_photo(200).data)
    assert tell(input=[str(album)]) == {"story": 1, "unchanged": 6}
    after = {row["uri"]: row for row in open_stories(output.location).to_table().to_pylist()}
    changed = str(album / "3.png")
    assert {uri for uri in after if after[uri] != before[uri]} == {changed} and after.keys() == before.keys()
    assert after[changed]["photo_id"] != before[changed]["photo_id"]
    assert len(open_stories(output.location, history=True).to_table()) == 7


def test_dead_letters_are_tried_again_three_times(tell: Tell, album: Path, output: Any) -> None:
    os.remove(album / "bad.jpg")
    (album / "list.txt").write_text(f"{album}/gone.jpg\n")
    sources = {"input": [f"{album}/0.png"], "uris": [f"{album}/list.txt"]}
    assert tell(**sources) == {"story": 1, "dead_letter": 1}
    for _ in range(3):
        assert tell(**sources) == {"unchanged": 1, "dead_letter": 1}
    assert tell(**sources) == {"unchanged": 2}
    assert tell(**sources, retry_dead_letters=True) == {"unchanged": 1, "dead_letter": 1}
    (album / "1.png").rename(album / "gone.jpg")
    assert tell(**sources) == {"unchanged": 1, "story": 1}


def test_dead_letters_alone(tell: Tell, album: Path, output: Any, make_photo: Any) -> None:
    tell(input=[str(album)], limit=4)
    assert told(output) == ["0.png", "1.png", "2.png", "3.png"]
    (album / "2.png").write_bytes(make_photo(200).data)
    assert tell(input=[str(album)], retry_dead_letters=True) == {"unchanged": 3, "deferred": 4}  # none failed so far
    (album / "4.png").write_bytes(b"text")
    assert tell(input=[str(album)]) == {"unchanged": 3, "story": 2, "dead_letter": 2}
    (album / "4.png").write_bytes(make_photo(201).data)
    assert tell(input=[str(album)]) == {"unchanged": 6, "story": 1}
    (album / "bad.jpg").write_bytes(make_photo(202).data)
    (album / "new.jpg").write_bytes(make_photo(203).data)
    expected = {"unchanged": 6, "story": 1, "deferred": 1}
    assert tell(input=[str(album)], retry_dead_letters=True) == expected and told(output) == ["bad.jpg"]


def test_nights_with_a_limit_tell_all_in_the_end(tell: Tell, album: Path, output: Any) -> None:
    styles = {"style": "romance,swift"}
    assert tell(input=[str(album)], limit=3, **styles) == {"story": 6, "deferred": 8}
    assert tell(input=[str(album)], limit=3, **styles) == {"unchanged": 6, "story": 6, "deferred": 2}
    assert tell(input=[str(album)], limit=3, **styles) == {"unchanged": 12, "dead_letter": 2}
    assert tell(input=[str(album)], limit=3, **styles) == {"unchanged": 14}


def test_a_sample_is_the_same_each_night(tell: Tell, album: Path, output: Any) -> None:
    os.remove(album / "bad.jpg")
    assert tell(input=[str(album)], sample=2) == {"story": 2, "deferred": 4}
    assert tell(input=[str(album)], sample=2) == {"unchanged": 2, "deferred": 4}
    assert tell(input=[str(album)], sample=0.999999) == {"unchanged": 2, "story": 4}


def test_photos_since(tell: Tell, album: Path, output: Any) -> None:
    now = time.time()
    for name, days in (("0.png", 9), ("1.png", 3), ("2.png", 1)):
        os.utime(album / name, (now - days * DAY,) * 2)
    found = tell(input=[f"{album}/[012].png", str(album)], since="2d")
    assert found == {"story": 4, "dead_letter": 1, "deferred": 2, "repeated": 3}
    assert told(output) == ["2.png", "3.png", "4.png", "5.png"]
    moment = time.strftime("%Y-%m-%d %H:%M", time.gmtime(now - 4 * DAY))
    assert tell(input=[str(album)], since=moment) == {"unchanged": 5, "story": 1, "deferred": 1}
    assert told(output) == ["1.png"]


def test_vectors_have_no_time(write_features: Any) -> None:
    features = write_features([("a", [1.0])])
    (problem,) = source_problems(check_config({"features": features, "since": "2d"}))
    assert "--since" in problem and "no time" in problem
