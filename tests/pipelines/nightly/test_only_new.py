"""Only what is new, in waves and in the single pipeline: what is told, tried again, left for another night or not run
twice."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import check_config
from model_handlers.captions import CaptionHandler
from model_handlers.features import FeatureHandler
from model_handlers.handler import LazyModel
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from model_handlers.stories import StoryHandler
from pipelines.catalog import open_stories
from pipelines.nightly.main_job import new_run, process_photos
from pipelines.nightly.remote import run_single
from pipelines.nightly.selection import source_problems
from pipelines.tables.manifests import read_manifests, read_rows
from pipelines.tables.rewrites import compact, forget
from pipelines.telling.settings import resolve
from pipelines.telling.steps import make_steps
from pipelines.vacuum import main as vacuum

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
            process_photos(settings, beam_options)
        else:
            run_single(new_run(settings), settings, make_steps(settings, {}), beam_options)
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


@pytest.mark.slow
def test_a_changed_photo_is_processed_again(tell: Tell, album: Path, output: Any, make_photo: Any) -> None:
    assert tell(input=[str(album)]) == {"story": 6, "dead_letter": 1}
    before = {row["uri"]: row for row in open_stories(output.location).to_table().to_pylist()}
    (album / "3.png").write_bytes(make_photo(200).data)
    assert tell(input=[str(album)]) == {"story": 1, "unchanged": 6}
    after = {row["uri"]: row for row in open_stories(output.location).to_table().to_pylist()}
    changed = str(album / "3.png")
    assert {uri for uri in after if after[uri] != before[uri]} == {changed} and after.keys() == before.keys()
    assert after[changed]["photo_id"] != before[changed]["photo_id"]
    assert len(open_stories(output.location, history=True).to_table()) == 7


@pytest.mark.slow
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


@pytest.mark.slow
def test_only_dead_letters(tell: Tell, album: Path, output: Any, make_photo: Any) -> None:
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


@pytest.mark.slow
def test_nights_with_a_limit_tell_all_in_the_end(tell: Tell, album: Path, output: Any) -> None:
    styles = {"style": "romance,swift"}
    assert tell(input=[str(album)], limit=3, **styles) == {"story": 6, "deferred": 8}
    assert tell(input=[str(album)], limit=3, **styles) == {"unchanged": 6, "story": 6, "deferred": 2}
    assert tell(input=[str(album)], limit=3, **styles) == {"unchanged": 12, "dead_letter": 2}
    assert tell(input=[str(album)], limit=3, **styles) == {"unchanged": 14}


@pytest.mark.slow
def test_a_sample_is_the_same_each_night(tell: Tell, album: Path, output: Any) -> None:
    os.remove(album / "bad.jpg")
    assert tell(input=[str(album)], sample=2) == {"story": 2, "deferred": 4}
    assert tell(input=[str(album)], sample=2) == {"unchanged": 2, "deferred": 4}
    assert tell(input=[str(album)], sample=0.999999) == {"unchanged": 2, "story": 4}


@pytest.mark.slow
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
    assert "--since" in problem and "no modification time" in problem


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Returns how many items each network has seen so far, which later runs in this process add to."""
    counts: dict[str, int] = {}
    for handler in (FeatureHandler, CaptionHandler, StoryHandler):

        def count(self: Any, batch: Any, model: Any, infer: Any = handler.infer, name: str = handler.__name__) -> Any:
            counts[name] = counts.get(name, 0) + len(batch)
            return infer(self, batch, model)

        monkeypatch.setattr(handler, "infer", count)
    return counts


def test_the_same_bytes_go_through_the_networks_once(
    tell: Tell, album: Path, output: Any, counted: dict[str, int]
) -> None:
    twins = [album / "0 again.png", album / "sub" / "9.png", album / "0.jpg"]
    (album / "sub").mkdir()
    for name in twins:
        name.write_bytes((album / "0.png").read_bytes())
    (album / "worse.jpg").write_bytes(b"text")
    assert tell(input=[str(album)], wave_size=2) == {"story": 9, "dead_letter": 2}
    assert counted == {"FeatureHandler": 6, "CaptionHandler": 6, "StoryHandler": 6}
    rows = {row["uri"]: row for row in output.rows("stories")}
    first = rows[str(album / "0.png")]
    assert all(rows[str(name)] == first | {"uri": str(name)} for name in twins)
    assert len({row["photo_id"] for row in rows.values()}) == 6
    assert [Path(row["uri"]).name for row in output.rows("dead_letters")] == ["bad.jpg", "worse.jpg"]


@pytest.mark.slow
def test_copies_want_styles_of_their_own(tell: Tell, album: Path, output: Any, counted: dict[str, int]) -> None:
    tell(input=[f"{album}/0.png"], style="romance")
    (album / "copy.png").write_bytes((album / "0.png").read_bytes())
    counted.clear()
    found = tell(input=[f"{album}/0.png", f"{album}/copy.png"], style="romance,swift")
    assert found == {"unchanged": 1, "story": 3} and counted["StoryHandler"] == 2
    told_now = [(Path(row["uri"]).name, row["style"]) for row in output.rows("stories", 2)]
    assert told_now == [("0.png", "swift"), ("copy.png", "romance"), ("copy.png", "swift")]
    assert len({row["story"] for row in output.rows("stories")}) == 2


def test_equal_vectors_are_processed_once(
    tell: Tell, output: Any, write_features: Any, counted: dict[str, int]
) -> None:
    draw = np.random.RandomState(3)
    one, other = draw.rand(4096).astype("f4"), draw.rand(4096).astype("f4")
    pairs = [("a", one), ("b", other), ("c", one), ("c", one)]
    assert tell(features=write_features(pairs), wave_size=1) == {"story": 3, "repeated": 1}
    assert counted == {"CaptionHandler": 2, "StoryHandler": 2}
    a, b, c = output.rows("stories")
    assert c == a | {"uri": "c"} and b["photo_id"] != a["photo_id"]


def test_a_second_night_opens_no_photo_and_no_model(
    tell: Tell, album: Path, output: Any, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (album / "copy.png").write_bytes((album / "0.png").read_bytes())
    opened: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and watching:
            opened.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else "")

    loaded: list[Any] = []
    get = LazyModel.get
    monkeypatch.setattr(LazyModel, "get", lambda self: (loaded.append(self._key), get(self))[1])
    watching = True
    sys.addaudithook(note)
    try:
        assert tell(input=[str(album)]) == {"story": 7, "dead_letter": 1}
        assert {str(album / "0.png"), str(album / "bad.jpg")} <= set(opened) and loaded and counted
        opened.clear(), loaded.clear(), counted.clear()
        assert tell(input=[str(album)]) == {"unchanged": 8}
    finally:
        watching = False
    weights = [name for name in opened if name.startswith(str(album)) or name.endswith(".safetensors")]
    assert opened and weights == [] and loaded == [] and counted == {}


@pytest.fixture
def blanked(album: Path) -> Callable[[], None]:
    """Returns a function that makes the good photos unreadable, though nobody would say so from outside."""

    def blank() -> None:
        for name in album.glob("*.png"):
            status = name.stat()
            name.write_bytes(bytes(status.st_size))
            os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns))

    return blank


def test_another_style_takes_what_was_kept(
    tell: Tell, album: Path, output: Any, counted: dict[str, int], blanked: Any, tmp_path: Path
) -> None:
    (album / "copy.png").write_bytes((album / "0.png").read_bytes())
    assert tell(input=[str(album)], style="swift", output=str(tmp_path / "fresh"), keep_features=False) == {}
    assert tell(input=[str(album)]) == {"story": 7, "dead_letter": 1}
    kept = output.rows("features")
    assert [Path(row["uri"]).name for row in kept] == [
        "0.png", "1.png", "2.png", "3.png", "4.png", "5.png", "copy.png",
    ]  # fmt: skip
    blanked()
    counted.clear()
    assert tell(input=[str(album)], style="romance,swift") == {"unchanged": 8, "story": 7, "dead_letter": 1}
    assert counted == {"StoryHandler": 6}
    assert output.rows("features", 2) == []
    fresh = open_stories(str(tmp_path / "fresh")).to_table()
    assert open_stories(output.location, style="swift").to_table().sort_by("uri").equals(fresh.sort_by("uri"))


@pytest.fixture
def more_styles(photo_pack: Pack, tmp_path: Path) -> Pack:
    """Returns the pack with one more style and sentence vectors of its captions, which has another digest."""
    writer = PackWriter(str(tmp_path / "more styles"), photo_pack)
    writer.components["styles"] |= {"noir": photo_pack.component("styles")["swift"]}
    return writer.finish()


@pytest.mark.slow
def test_a_pack_with_another_style_has_the_same_networks(
    tell: Tell, album: Path, output: Any, more_styles: Pack, photo_pack: Pack, counted: dict[str, int], blanked: Any
) -> None:
    tell(input=[str(album)])
    blanked()
    counted.clear()
    assert more_styles.digest != photo_pack.digest
    expected = {"story": 6, "dead_letter": 1}
    assert tell(input=[str(album)], pack=more_styles.location, style="noir") == expected
    assert counted == {"StoryHandler": 6}


@pytest.mark.slow
def test_other_captions_take_kept_features(
    tell: Tell, album: Path, output: Any, counted: dict[str, int], blanked: Any
) -> None:
    tell(input=[str(album)])
    blanked()
    for number in (2, 3):  # the third night takes what the second kept
        counted.clear()
        style = "romance" if number == 2 else "swift"
        assert tell(input=[str(album)], captions_per_photo=7, style=style) == {"story": 6, "dead_letter": 1}
        assert counted == ({"StoryHandler": 6, "CaptionHandler": 6} if number == 2 else {"StoryHandler": 6})
        assert len(output.rows("features", number)) == (6 if number == 2 else 0)
        assert {len(row["captions"]) for row in output.rows("stories", number)} == {7}


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", ["decoding", "preprocessing", "network", "off", "gone", "broken", "max_bytes", "version"]
)
def test_what_was_kept_and_may_not_be_used(
    tell: Tell, album: Path, output: Any, counted: dict[str, int], change: str, photo_pack: Pack, tmp_path: Path
) -> None:
    tell(input=[f"{album}/*.png"])
    options: dict[str, Any] = {"style": "swift"}
    if change == "decoding":
        options["decoding"] = "original"
    if change == "preprocessing":
        options["preprocessing"] = "fast"
    if change == "network":
        writer = PackWriter(str(tmp_path / "other network"), photo_pack)
        state = photo_pack.tensors(photo_pack.component("features")["weights"])
        state["features.0.bias"] += 1.0
        writer.components["features"]["weights"] = writer.add_tensors("other.safetensors", state)
        options["pack"] = writer.finish().location
    if change == "off":
        options["keep_features"] = False
    if change in ("gone", "broken"):
        for file in Path(output.location).glob("runs/*/features/*"):
            file.unlink() if change == "gone" else file.write_bytes(file.read_bytes()[:-9])
    if change == "max_bytes":
        options["max_bytes"] = (album / "0.png").stat().st_size - 1
    if change == "version":
        for name in album.glob("*.png"):
            os.utime(name, (5, 5))
    counted.clear()
    found = tell(input=[f"{album}/*.png"], **options)
    if change == "max_bytes":
        assert found["dead_letter"] >= 1
        assert "0.png" in {Path(row["uri"]).name for row in output.rows("dead_letters", 2)}
        return
    assert found == {"story": 6} and counted == {"FeatureHandler": 6, "CaptionHandler": 6, "StoryHandler": 6}


@pytest.mark.slow
def test_what_was_kept_is_forgotten_and_merged(
    tell: Tell, album: Path, output: Any, counted: dict[str, int], blanked: Any
) -> None:
    tell(input=[f"{album}/[012].png"])
    tell(input=[f"{album}/*.png"])
    assert forget(output.location, [str(album / "1.png")]) is not None
    assert compact(output.location) is not None
    assert vacuum([output.location, "--older-than=0d"]) == 0
    (manifest, *_) = read_manifests(output.location)
    kept = [
        row["uri"] for one in read_manifests(output.location) for row in read_rows(output.location, one, "features")
    ]
    assert sorted(Path(uri).name for uri in kept) == ["0.png", "2.png", "3.png", "4.png", "5.png"]
    assert len(list(Path(output.location).rglob("*features*.parquet"))) == 1
    blanked()
    counted.clear()
    tell(input=[f"{album}/*.png"], style="swift")
    assert counted == {"StoryHandler": 5}  # the forgotten one is blank
