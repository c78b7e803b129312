"""The command: what it writes, chooses and refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.gallery import main
from pipelines.gallery_page.page_folder import Folder


@pytest.fixture
def page(tmp_path: Path) -> str:
    return str(tmp_path / "page")


@pytest.fixture
def two_nights(nights: Any) -> Any:
    """Returns an OUTPUT of two runs."""
    uris = [nights.photo(f"{colour}.jpg", colour) for colour in ("red", "blue")]
    nights.night("first", [nights.told(uri, "An old story.") for uri in uris])
    nights.night("second", [nights.told(uris[0], "A new story.")], [nights.letter("broken.jpg", "damaged")])
    return nights


def read(page: str, name: str) -> Any:
    """Returns the last argument of a data file's call, None where there is no file."""
    folder = Folder(page)
    (build,) = [name for name in folder.names() if name.startswith("build-")]
    text = folder.read(f"{build}/{name}.js").decode()
    return json.loads(f"[{text[text.index('(') + 1 : text.rindex(')')]}]")[-1] if text else None


def test_everything_published_is_on_the_page(two_nights: Any, page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([two_nights.output, "--output", page]) == 0
    assert "index.html: 2 photos, 2 stories, 1 dead letters, 2 differences" in capsys.readouterr().out
    photos = read(page, "photos-00000")
    assert [(Path(photo["uri"]).name, photo["stories"][0]["story"]) for photo in photos] == [
        ("red.jpg", "A new story."),
        ("blue.jpg", "An old story."),
    ]
    thumbnails = Folder(page).names("thumbnails")
    assert sorted(photo["thumbnail"] for photo in photos) == thumbnails
    assert read(page, "letters-00000")[0]["message"] == "damaged"
    assert [record["kind"] for record in read(page, "differences-00000")] == ["changed", "gone"]
    summary = read(page, "summary")
    assert summary["compared"] == [1, 2] and summary["run"] is None
    assert {name: table["count"] for name, table in summary["tables"].items()} == {
        "photos": 2,
        "differences": 2,
        "letters": 1,
    }


def test_one_run_is_picked(two_nights: Any, page: str) -> None:
    assert main([two_nights.output, "--output", page, "--run", "second"]) == 0
    assert [photo["stories"][0]["story"] for photo in read(page, "photos-00000")] == ["A new story."]
    assert read(page, "summary")["run"] == 2


def test_two_runs_are_compared(two_nights: Any, page: str) -> None:
    assert main([two_nights.output, "--output", page, "--compare", "second", "1"]) == 0
    assert [record["kind"] for record in read(page, "differences-00000")] == ["changed", "new"]
    assert read(page, "summary")["compared"] == [2, 1]


def test_one_run_alone_has_no_differences(nights: Any, page: str) -> None:
    nights.night("only", [nights.told("a.jpg", "told")])
    assert main([nights.output, "--output", page]) == 0
    assert read(page, "differences-00000") is None and read(page, "summary")["compared"] == []


def test_a_photo_that_is_gone_keeps_its_story(two_nights: Any, page: str) -> None:
    (two_nights.photos / "blue.jpg").unlink()
    assert main([two_nights.output, "--output", page]) == 0
    _, blue = read(page, "photos-00000")
    assert "does not exist" in blue["missing"] and "thumbnail" not in blue and blue["stories"]


def test_a_night_without_news_has_a_page(nights: Any, page: str) -> None:
    nights.night("only", [], ignored=["notes.txt"])
    assert main([nights.output, "--output", page]) == 0
    assert read(page, "photos-00000") is None


def test_a_page_can_lie_in_a_bucket(two_nights: Any, store: str) -> None:
    assert [main([two_nights.output, "--output", store]) for _ in range(2)] == [0, 0]
    assert len(read(store, "photos-00000")) == 2 and len(Folder(store).names("thumbnails")) == 2


def test_all_problems_are_told_at_once(two_nights: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    code = main([two_nights.output, "--output", str(tmp_path / "mine"), "--run", "9", "--compare", "1", "8"])
    told = capsys.readouterr().err
    assert code == 2
    assert "  - 9: no committed run" in told and "  - 8: no committed run" in told and "holds other files" in told
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["letter.txt"]


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["{tmp}/nothing", "--output", "{tmp}/page"], "no run is published there"),
        (["https://example.com/a", "--output", "{tmp}/page"], "over http"),
        (["{tmp}/nothing", "--output", "ftp://host/page"], "the scheme ftp:// is not allowed"),
        ([], "the following arguments are required: OUTPUT"),
        (["{tmp}/nothing", "--output", "{tmp}/page", "--runs", "1"], "no such option"),
    ],
)
def test_wrong_options_exit_with_2(
    argv: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([part.format(tmp=tmp_path) for part in argv]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_a_page_that_cannot_be_written_exits_with_1(two_nights: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main([two_nights.output, "--output", str(tmp_path / "file/page")]) == 1
