"""The page's files: hostile texts in them, how they are split, and when they change."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.gallery_page.page_folder import Folder
from pipelines.gallery_page.pages import ASSETS, PAGE, PER_FILE, is_free, script, table_files, table_index, write_page

HOSTILE = "</script><script>alert(1)</script> & \u2028\u2029 \ud800 \"quoted\" 'single' \\ \0 é"
SUMMARY: dict[str, Any] = {"runs": []}


def build_of(folder: Folder) -> str:
    (build,) = [name for name in folder.names() if name.startswith("build-")]
    return build


def test_no_text_ends_a_script_or_its_line() -> None:
    data = script("receive", "photos", 0, [{"uri": HOSTILE}])
    assert data.isascii() and data.count(b"\n") == 1
    assert not set(b"<>&") & set(data)
    arguments = re.fullmatch(r"gallery\.receive\((.*)\);\n", data.decode())
    assert arguments and json.loads(f"[{arguments[1]}]") == ["photos", 0, [{"uri": HOSTILE}]]


def test_a_table_is_cut_into_files() -> None:
    records = [{"uri": str(number)} for number in range(2 * PER_FILE + 1)]
    files = dict(table_files("photos", records))
    assert list(files) == ["photos-00000.js", "photos-00001.js", "photos-00002.js"]
    assert files["photos-00002.js"] == b'gallery.receive("photos",2,[{"uri":"400"}]);\n'
    assert list(table_files("letters", [])) == []


def test_an_index_names_what_records_are_chosen_by() -> None:
    index = table_index([["romance"], ["austen", "romance"], []])
    assert index["names"] == ["austen", "romance"] and index["facets"] == [[1], [0, 1], []] and index["count"] == 3


@pytest.fixture(params=["file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, store: str) -> Folder:
    return Folder(store if request.param == "memory" else str(tmp_path / "page"))


def test_the_page_names_its_build_and_earlier_builds_go(folder: Folder) -> None:
    write_page(folder, SUMMARY, {"photos": [{"uri": "a"}]})
    first = build_of(folder)
    write_page(folder, SUMMARY, {"photos": [{"uri": "b"}]})
    build = build_of(folder)
    assert build != first and folder.names() == [build, PAGE]
    assert folder.names(build) == sorted([*ASSETS, "photos-00000.js", "summary.js"])
    page = folder.read(PAGE).decode()
    named = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert {f"{build}/{name}" for name in (*ASSETS, "summary.js")} == set(named)
    assert all(folder.read(name) for name in named)


def test_the_same_data_make_the_same_page(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    builds = []
    for _ in range(2):
        write_page(folder, SUMMARY, {"photos": [{"uri": "a"}]})
        builds.append(build_of(folder))
    assert builds[0] == builds[1]


def test_the_page_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, written = Folder(str(tmp_path)), []
    monkeypatch.setattr(folder, "write", lambda name, data: written.append(name))
    write_page(folder, SUMMARY, {})
    assert written[-1] == PAGE and PAGE not in written[:-1]


def test_a_folder_is_free_where_it_is_empty_or_has_a_page(tmp_path: Path) -> None:
    assert is_free(Folder(str(tmp_path / "none"))) and is_free(Folder(str(tmp_path)))
    (tmp_path / PAGE).write_text("<p>Somebody's page")
    assert not is_free(Folder(str(tmp_path)))
    write_page(Folder(str(tmp_path)), SUMMARY, {})
    assert is_free(Folder(str(tmp_path)))


def test_the_page_runs_only_its_own_scripts() -> None:
    """No script or style stands in the page, nothing comes from elsewhere, and no script makes markup of text."""
    source = Path(__file__).parents[3] / "pipelines/gallery_page"
    page = (source / PAGE).read_text()
    assert "default-src 'none'" in page and "unsafe" not in page
    assert not re.search(r"<style|<script(?![^>]* src=\"build/)|\son\w+=|https?:", page)
    for name in ASSETS:
        text = (source / name).read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?:|url\(", text), name
