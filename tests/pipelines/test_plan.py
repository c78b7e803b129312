"""A plan: the photos to process and the resources they need; it neither adds nor removes a file."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import yaml

from model_handlers.pack import Pack
from model_handlers.stories import StoryHandler
from pipelines.plan import main
from transforms import load_images
from transforms.read_errors import ReadError

SAMPLES = Path(__file__).parents[2] / "samples"
PRICES = Path(__file__).parents[2] / "configs" / "prices.yaml"
FLAGS = ("--captions-per-photo=5", "--beam-width=3", "--max-words=8", "--device=cpu")
STAGES = ["read", "decode", "features", "captions", "sentences"]

Plan = Callable[..., tuple[int, str, str]]


@pytest.fixture
def plan(run_here: Plan) -> Plan:
    """Returns a function that runs the command here; it returns the exit code, stdout and stderr."""
    return partial(run_here, main)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Returns a folder of six photos, one that is none, and a text."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("cat", "boats", "coffee", "rocket", "mountains", "old-house"):
        shutil.copy(SAMPLES / f"{name}.jpg", folder)
    (folder / "bad.jpg").write_bytes(b"no photo")
    (folder / "notes.txt").write_text("of the holidays")
    return folder


@pytest.fixture
def places(photos: Path, output: Any, photo_pack: Pack) -> tuple[str, ...]:
    """Returns the flags of a run over the photos."""
    return (f"--input={photos}", f"--output={output.location}", f"--pack={photo_pack.location}", *FLAGS)


def everything(*folders: Path) -> dict[str, Any]:
    """Returns all files and folders below some, with what they hold and when they were changed."""
    found: dict[str, Any] = {}
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            status = path.stat()
            found[str(path)] = (status.st_mtime_ns, path.read_bytes() if path.is_file() else None)
    return found


@pytest.mark.parametrize("told_before", [False, True])
def test_nothing_at_all_changes(
    plan: Plan, run_job: Any, places: tuple[str, ...], tmp_path: Path, monkeypatch: Any, told_before: bool
) -> None:
    home = Path(os.environ["HOME"])
    if told_before:
        assert run_job(*places)[0] == 0
    plan(*places)  # the caption index of a pack without one is kept in the cache, whoever needs it first
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = everything(tmp_path, home)
    assert plan(*places, "--style=romance,swift", f"--prices={PRICES}", "--json")[0] == 0
    assert everything(tmp_path, home) == before
    assert (tmp_path / "stories").exists() == told_before


def test_nothing_changes_in_a_bucket(plan: Plan, photos: Path, photo_pack: Pack) -> None:
    store = fsspec.filesystem("memory")
    for path in photos.glob("*.jpg"):
        store.pipe_file(f"/photos/{path.name}", path.read_bytes())
    before = dict(store.store)
    try:
        flags = ("--input=memory://photos/*", "--output=memory://planned", f"--pack={photo_pack.location}", *FLAGS)
        code, out, _ = plan(*flags, f"--prices={PRICES}", "--json")
        assert store.store == before and not store.exists("/planned")
    finally:
        store.store.clear()
    found = json.loads(out)
    assert code == 0 and (found["cost"]["reads"], found["cost"]["writes"]) == (7 + 1, 4 + 2)
    assert found["cost"]["operations"] == pytest.approx((8 + 6) / 1000)


def test_photos_to_process_are_counted(plan: Plan, run_job: Any, places: tuple[str, ...], photos: Path) -> None:
    found = json.loads(plan(*places, "--json")[1])
    assert found["listed"]["photos"] == 8 and found["settled"] == {"ignored": 1}
    assert found["to_tell"]["why"] == {"new": 7, "changed": 0, "retried": 0, "otherwise": 0}
    assert found["to_tell"]["stories"] == {"romance": 7}
    assert found["to_tell"]["bytes"] == sum(path.stat().st_size for path in photos.glob("*.jpg"))

    assert run_job(*places)[0] == 0
    found = json.loads(plan(*places, "--json")[1])
    assert found["settled"] == {"ignored": 1, "unchanged": 7} and found["waiting_dead_letters"] == 1
    assert found["to_tell"]["photos"] == found["sample"]["photos"] == 0 and found["stages"] == {}
    assert "Nothing is due" in plan(*places)[1]

    shutil.copy(SAMPLES / "flower.jpg", photos / "cat.jpg")
    shutil.copy(SAMPLES / "airplane.jpg", photos)
    found = json.loads(plan(*places, "--style=romance,swift", "--json")[1])
    assert found["settled"] == {"ignored": 1} and found["waiting_dead_letters"] == 0
    assert found["to_tell"]["why"] == {"new": 1, "changed": 1, "retried": 0, "otherwise": 6}
    assert found["to_tell"]["stories"] == {"romance": 2, "swift": 8}
    assert found["to_tell"]["kept"] == 5, "neither new nor changed, nor a dead letter"
    found = json.loads(plan(*places, f"--input={photos}/c*.jpg", "--json")[1])
    assert found["settled"] == {"ignored": 1, "repeated": 2, "unchanged": 6} and found["listed"]["photos"] == 9


def test_copies_each_get_a_story_and_are_seen_once(plan: Plan, places: tuple[str, ...], photos: Path) -> None:
    alone = json.loads(plan(*places, "--json")[1])
    shutil.copy(photos / "cat.jpg", photos / "copy.jpg")
    found = json.loads(plan(*places, "--json")[1])
    assert found["to_tell"]["photos"] == found["to_tell"]["why"]["new"] == found["to_tell"]["stories"]["romance"] == 8
    assert found["to_tell"]["bytes"] == alone["to_tell"]["bytes"] + (photos / "cat.jpg").stat().st_size
    assert found["sample"]["photos"] == alone["sample"]["photos"] == 7


def test_a_dead_letter_that_another_night_may_help(
    plan: Plan, run_job: Any, places: tuple[str, ...], photos: Path, monkeypatch: Any
) -> None:
    read = load_images.read_all

    def fail(uris: Sequence[str], *more: Any) -> list[Any]:
        contents = read(uris, *more)
        return [
            ReadError("no answer") if uri.endswith("/cat.jpg") else one for uri, one in zip(uris, contents, strict=True)
        ]

    with monkeypatch.context() as patch:
        patch.setattr(load_images, "read_all", fail)
        assert run_job(*places)[0] == 0
    found = json.loads(plan(*places, "--json")[1])
    assert found["to_tell"]["why"] == {"new": 0, "changed": 0, "retried": 1, "otherwise": 0}
    assert found["settled"] == {"ignored": 1, "unchanged": 6} and found["waiting_dead_letters"] == 1
    assert "retried  1  dead letters that are tried again" in plan(*places)[1]


def test_every_stage_is_measured(plan: Plan, places: tuple[str, ...]) -> None:
    code, out, err = plan(*places, "--style=romance,swift", "--workers=4", f"--prices={PRICES}", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert list(found["stages"]) == [*STAGES, "story romance", "story swift"]
    assert all(0 <= one["low"] <= one["median"] <= one["high"] for one in found["stages"].values())
    assert found["sample"]["photos"] == 7 and found["sample"]["groups"] == 3
    assert found["sample"]["failures"] == [{"stage": "decode", "error": "NotAnImage", "count": 1}]
    assert found["sample"]["failed"] == found["expected_dead_letters"] == 1
    alone, shared = (found["seconds"][name]["median"] for name in ("this_machine", "workers"))
    once = found["start_seconds"] + found["listed"]["seconds"]
    assert shared - once == pytest.approx((alone - once) / 4 / found["workers"]["pace"], rel=0.02, abs=0.01)
    assert found["cost"]["workers"]["median"] == pytest.approx(4 * shared / 3600, rel=0.01)
    assert found["cost"]["bytes"] > 14 * 200


def test_a_smaller_sample_stands_for_all(plan: Plan, places: tuple[str, ...], photos: Path) -> None:
    (photos / "bad.jpg").unlink()
    whole, part = (json.loads(plan(*places, *more, "--json")[1]) for more in ((), ("--photos=2",)))
    assert (whole["sample"]["photos"], part["sample"]["photos"]) == (6, 2)
    assert part["to_tell"] == whole["to_tell"]
    assert "only 2 of 6 photos were measured" in part["warnings"][0] and whole["warnings"] == []


def test_feature_vectors_are_neither_read_nor_decoded(
    plan: Plan, story_pack: Pack, output: Any, write_features: Any
) -> None:
    draw = np.random.RandomState(3)
    vectors = [(f"gs://b/{name}.jpg", draw.rand(4096).astype("f4")) for name in "abcd"]
    given = write_features([*vectors, ("gs://b/zero.jpg", np.zeros(4096, "f4"))])
    flags = (f"--features={given}", f"--output={output.location}", f"--pack={story_pack.location}", *FLAGS)
    code, out, err = plan(*flags, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert list(found["stages"]) == ["captions", "sentences", "story romance"]
    assert found["sample"]["failures"] == [{"stage": "captions", "error": "ValueError", "count": 1}]


def test_a_person_reads_it(plan: Plan, places: tuple[str, ...]) -> None:
    code, out, err = plan(*places, "--within=10h", f"--prices={PRICES}")
    assert code == 0 and err == ""
    for part in ("listed   8", "due      7", "never processed", "Milliseconds a photo, of 7 in 3 groups", "together"):
        assert part in out
    assert "1 of them fail (1 NotAnImage at decode): about 1 dead letters in all." in out
    assert "To end within 10.0 h: 1 worker." in out and f"Cost in EUR, by the prices in {PRICES}" in out


def test_too_many_failures_are_predicted(plan: Plan, places: tuple[str, ...], photos: Path) -> None:
    for number in range(100):
        (photos / f"{number}.jpg").write_bytes(b"no photo either %d" % number)
    found = json.loads(plan(*places, "--photos=20", "--json")[1])
    assert found["expected_dead_letters"] > 50
    assert any("the run would end with exit code 3" in warning for warning in found["warnings"])
    for path in photos.glob("*.jpg"):
        path.write_bytes(b"nothing left")
    code, out, _ = plan(*places, "--photos=5")
    assert code == 0 and "no photo of the sample could be processed" in out


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        (("--photos=0",), ["'0' is not a whole number above 0"]),
        (("--within=soon",), ["'soon' is not a time"]),
        (("--prices=nowhere.yaml",), ["--prices nowhere.yaml: cannot be read"]),
        (("--beam-with=3",), ["--beam-with=3: neither this job nor Apache Beam knows this option"]),
        (("--input=nowhere/*",), ["nowhere/*: nothing matches"]),
        (("--style=noir", "--device=cuda"), ["--style 'noir'", "--device"]),
        (("--runner=DaskRunner",), ["--runner=DaskRunner is refused"]),
        (("--runner=DataflowRunner",), ["a local path, which the workers of DataflowRunner cannot see"]),
    ],
)
def test_wrong_options_are_named(
    plan: Plan, photo_pack: Pack, output: Any, more: tuple[str, ...], parts: list[str]
) -> None:
    code, out, err = plan(f"--pack={photo_pack.location}", f"--output={output.location}", *more)
    assert code == 2 and out == "" and all(part in err for part in parts), err


def test_help_names_the_flags_of_both(plan: Plan, capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        plan("--help")
    printed = capsys.readouterr().out
    assert caught.value.code == 0 and all(flag in printed for flag in ("--within", "--beam-width", "0 planned"))


def test_a_bug_is_no_plan(plan: Plan, places: tuple[str, ...], monkeypatch: Any) -> None:
    def fail(*_: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(StoryHandler, "infer", fail)
    code, out, _ = plan(*places)
    assert code == 1 and out == ""


def test_a_workers_shape_and_price(plan: Plan, places: tuple[str, ...], tmp_path: Path) -> None:
    values = yaml.safe_load(PRICES.read_text("utf-8")) | {"worker_pace": 20, "worker_gpus": 1, "gpu_hour": 2.5}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    found = json.loads(plan(*places, f"--prices={tmp_path}/mine.yaml", "--workers=1", "--json")[1])
    shared = found["seconds"]["workers"]["median"]
    assert found["workers"]["pace"] == 20 and shared < found["seconds"]["this_machine"]["median"]
    assert found["cost"]["workers"]["median"] == pytest.approx(shared / 3600 * 3.5, rel=0.01)


@pytest.mark.slow
def test_a_night_over_the_samples(plan: Plan, output: Any) -> None:
    """The pocket pack: captions are written too, and the sample goes through in three groups."""
    code, out, err = plan(f"--output={output.location}", "--photos=6", "--within=30m", f"--prices={PRICES}", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["to_tell"]["photos"] == 11 and found["sample"]["groups"] == 3 and found["sample"]["failures"] == []
    assert list(found["stages"]) == [*STAGES, "story romance"] and found["photo"]["median"] > 0.01
    seconds = found["seconds"]["this_machine"]
    assert seconds["low"] < seconds["high"] and seconds["median"] > 11 * 0.5 * found["photo"]["low"]
    assert found["workers"]["needed"]["high"] >= 1 and not Path(output.location).exists()
