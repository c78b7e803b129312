"""Packs by their names: those that ship, the cache's, and those of the folder packs/."""

import json
from pathlib import Path

import pytest

from model_handlers.pack_card import PackError
from pipelines.cli import packs_at_hand
from pipelines.cli.packs_at_hand import POCKET, find_pack


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packs_at_hand, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def put_pack(folder: Path, name: str, version: str = "1") -> str:
    folder.mkdir(parents=True)
    (folder / "pack.json").write_text(json.dumps({"name": name, "version": version}))
    return str(folder)


def test_the_pocket_pack_has_the_place_that_rows_name() -> None:
    assert find_pack("pocket") == POCKET == find_pack(POCKET)


def test_names_are_looked_for_in_three_places(here: Path) -> None:
    shipped = put_pack(here / "shipped" / "small", "one")
    cached = put_pack(here / "home/.cache/beam-storyteller/packs/0123abcd", "two")
    put_pack(here / "work/packs/mine", "three")
    assert [find_pack(name) for name in ("one", "two", "three")] == [shipped, cached, "packs/mine"]


def test_copies_of_one_pack_are_one(here: Path) -> None:
    shipped = put_pack(here / "shipped" / "small", "one")
    put_pack(here / "home/.cache/beam-storyteller/packs/0123abcd", "one")
    assert find_pack("one") == shipped


def test_two_packs_of_one_name_are_told_apart_by_their_folders(here: Path) -> None:
    places = [put_pack(here / "shipped" / "small", "one"), put_pack(here / "work/packs/one", "one", "2")]
    with pytest.raises(PackError, match="several packs have this name") as raised:
        find_pack("one")
    assert all(place.removeprefix(f"{here}/work/") in str(raised.value) for place in places)
    assert find_pack("packs/one") == "packs/one"


def test_an_unknown_name_says_what_there_is(here: Path) -> None:
    with pytest.raises(PackError, match="^novel: neither a folder nor the name of a pack; there are no packs here$"):
        find_pack("novel")
    put_pack(here / "shipped" / "a", "novelist")
    put_pack(here / "shipped" / "b", "pocket")
    (here / "shipped" / "broken").mkdir()
    (here / "shipped" / "broken" / "pack.json").write_text("{")
    with pytest.raises(PackError) as raised:
        find_pack("novel")
    assert raised.value.problems == [
        "novel: neither a folder nor the name of a pack; the packs here are novelist, pocket. Did you mean novelist?"
    ]


@pytest.mark.parametrize("location", ["gs://bucket/pocket", "some/folder", "/some/folder"])
def test_places_are_taken_as_they_are(here: Path, location: str) -> None:
    assert find_pack(location) == location


def test_a_folder_of_the_name_is_meant_where_it_is_a_pack(here: Path) -> None:
    put_pack(here / "shipped" / "small", "one")
    put_pack(here / "work" / "one", "other")
    (here / "work" / "empty").mkdir()
    assert find_pack("one") == "one" and find_pack("empty") == "empty"
    assert find_pack("~/packs/mine") == f"{here}/home/packs/mine"
