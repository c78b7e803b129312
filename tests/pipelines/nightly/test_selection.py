"""Selection of a run's photos: feature files of every kind, photos, and what is done already."""

import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.schema import ConfigError, check_config
from model_handlers.pack import Pack
from pipelines.nightly import selection as sources
from pipelines.nightly.selection import (
    collect,
    feature_photo,
    feature_tasks,
    photo_patterns,
    photo_tasks,
    selection_of,
    source_problems,
)
from pipelines.tables.commits import Run
from pipelines.telling.settings import SAMPLES, resolve
from transforms.audit import LostPhotoError
from transforms.due_rules import Selection
from transforms.records import Listing, Photo

ROWS = np.random.RandomState(0).randn(3, 4).astype("f4")
KINDS = [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 4)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_kinds_of_lists_are_the_same_vectors(write_features: Any, kind: pa.DataType) -> None:
    tasks = list(feature_tasks(write_features([(f"é {n}", row) for n, row in enumerate(ROWS)], kind)))
    for place, (listing, feature) in enumerate(tasks):
        assert feature is not None and feature.dtype == np.float32
        np.testing.assert_array_equal(feature, ROWS[place])
        assert listing == Listing(f"é {place}", 16, hashlib.sha256(ROWS[place].astype("<f4").tobytes()).hexdigest())


def test_half_precision_is_widened(tmp_path: Path) -> None:
    halves = pa.array([ROWS[0].astype("f2")], pa.list_(pa.float16()))
    pq.write_table(pa.table({"uri": ["a"], "feature": halves}), tmp_path / "f.parquet")
    ((_, feature),) = feature_tasks(str(tmp_path / "f.parquet"))
    np.testing.assert_array_equal(feature, ROWS[0].astype("f2").astype("f4"))


def test_many_row_groups_and_other_columns(tmp_path: Path) -> None:
    columns = {
        "feature": [row.tolist() for row in ROWS] * 700,
        "more": [1] * 2100,
        "uri": [str(n) for n in range(2100)],
    }
    pq.write_table(pa.table(columns), tmp_path / "f.parquet", row_group_size=500)
    tasks = list(feature_tasks(str(tmp_path / "f.parquet")))
    assert [listing.uri for listing, _ in tasks] == columns["uri"]
    np.testing.assert_array_equal(np.stack([feature for _, feature in tasks]), np.tile(ROWS, (700, 1)))


def test_null_vectors_have_no_numbers(write_features: Any) -> None:
    (_, null), (_, feature) = feature_tasks(write_features([("a", None), ("b", ROWS[0])]))
    assert null is not None and null.shape == (0,)
    np.testing.assert_array_equal(feature, ROWS[0])


def test_the_photo_of_a_vector() -> None:
    vector = ROWS[0]
    photo, feature = feature_photo((Listing("a", 16, "sha", ("romance",)), vector))
    assert photo == Photo("a", "sha", "sha", None, None, ("romance",)) and feature is vector


def test_the_samples_come_where_nothing_was_asked_for() -> None:
    assert photo_patterns(check_config({})) == [SAMPLES]
    assert photo_patterns(check_config({"uris": ["list"]})) == []
    assert photo_patterns(check_config({"features": "f"})) == []
    assert photo_patterns(check_config({"input": ["a"], "uris": ["list"]})) == ["a"]


def test_problems_of_sources(write_features: Any, tmp_path: Path) -> None:
    good = write_features([("a", ROWS[0])])
    assert source_problems(check_config({"features": good})) == []
    assert source_problems(check_config({"input": ["photos/**", "gs://b/x"], "uris": ["a.txt"]})) == []
    found = source_problems(
        check_config({"input": ["https://a.b/c.jpg", "ftp://a/b"], "uris": ["http://x"], "features": f"{tmp_path}/no"})
    )
    assert len(found) == 5
    for problem, part in zip(found, ["https", "ftp", "http", "replaces photos", "cannot be read"], strict=True):
        assert part in problem


def test_an_input_that_matches_nothing_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    config = check_config({"input": [str(tmp_path / "*.jpg")], "uris": [str(tmp_path / "empty.txt")]})
    with pytest.raises(ConfigError) as raised:
        list(photo_tasks(config))
    assert raised.value.problems == [
        f"{tmp_path}/*.jpg: nothing matches",
        f"{tmp_path}/empty.txt: no URI in the list",
    ]


def test_missing_and_empty_folders_are_distinguished(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("Pictures", "empty", "texts"):
        (tmp_path / name).mkdir()
    for name in ("texts/a.txt", "texts/b.txt", "Pictures/a.jpg"):
        (tmp_path / name).write_text("x")
    with pytest.raises(ConfigError) as raised:
        list(photo_tasks(check_config({"input": [f"{tmp_path}/{name}" for name in ("Picture", "empty", "no/where")]})))
    assert raised.value.problems == [
        f"{tmp_path}/Picture: no such file or folder. Did you mean Pictures?",
        f"{tmp_path}/empty: the folder is empty",
        f"{tmp_path}/no/where: no such file or folder",
    ]
    assert len(list(photo_tasks(check_config({"input": [f"{tmp_path}/texts"]})))) == 2
    (warning,) = caplog.messages
    assert warning == f"{tmp_path}/texts: holds no photo; 2 files were ignored, such as a.txt"
    caplog.clear()
    found = list(photo_tasks(check_config({"input": [f"{tmp_path}/Pictures", f"{tmp_path}/empty"]})))
    assert [listing.uri for listing, _ in found] == [f"{tmp_path}/Pictures/a.jpg"]
    assert caplog.messages == [f"{tmp_path}/empty: the folder is empty; the other inputs are processed"]


def test_a_list_that_cannot_be_read_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone.txt"):
        list(photo_tasks(check_config({"uris": [str(tmp_path / "gone.txt")]})))


@pytest.mark.parametrize(
    ("since", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31 06:00", datetime(2026, 1, 31, 6, tzinfo=UTC)),
        ("2026-01-31T06:00:00+02:00", datetime(2026, 1, 31, 4, tzinfo=UTC)),
    ],
)
def test_moments_are_utc(since: str, moment: datetime) -> None:
    assert selection_of(check_config({"since": since})).since == moment.timestamp()


def test_what_a_run_is_to_tell() -> None:
    assert selection_of(check_config({})) == Selection()
    found = selection_of(check_config({"since": "2d", "sample": 7, "limit": 3, "retry_dead_letters": True}))
    assert found == Selection(found.since, 7, 3, True)
    assert found.since is not None and abs(time.time() - 2 * 24 * 3600 - found.since) < 60


def test_no_photo_is_lost_among_copies(photo_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    config = check_config({"pack": photo_pack.location, "device": "cpu", "input": [str(tmp_path)]})
    run = Run(str(tmp_path / "out"), "night", "", {}, "", {"digest": ""}, 0.25)
    ((one, _),), _ = collect(resolve(config), run)
    assert [Path(copy.uri).name for copy in one.copies] == ["b.jpg"]
    monkeypatch.setattr(sources, "find_copies", lambda listings, *_: listings[:1])
    with pytest.raises(LostPhotoError, match="2 photos became 1"):
        collect(resolve(config), run)


def test_listed_objects_part(photo_pack: Pack, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "notes.txt", "empty.png"):
        (tmp_path / name).write_bytes(b"" if name == "empty.png" else name[:1].encode())
    (tmp_path / "list.txt").write_text(f"{tmp_path}/b.jpg\n{tmp_path}/gone.jpg\n")
    inputs = {"input": [str(tmp_path / "[ab]*.jpg"), str(tmp_path)], "uris": [str(tmp_path / "list.txt")]}
    config = check_config({"pack": photo_pack.location, "device": "cpu", "style": "romance,swift", **inputs})
    run = Run(str(tmp_path / "out"), "night", "", {}, "", {"digest": ""}, 0.25)
    tasks, settled = collect(resolve(config), run)
    assert [(Path(listing.uri).name, listing.size) for listing, _ in tasks] == [
        ("a.jpg", 1), ("b.jpg", 1), ("empty.png", 0), ("gone.jpg", -1),
    ]  # fmt: skip
    assert all(listing.styles == ("romance", "swift") and feature is None for listing, feature in tasks)
    found = sorted((Path(outcome.uri).name, outcome.outcome, outcome.style) for outcome in settled)
    expected = [("a.jpg", "repeated"), ("b.jpg", "repeated"), ("b.jpg", "repeated")]
    expected += [("list.txt", "ignored"), ("notes.txt", "ignored")]
    assert found == sorted((name, what, style) for name, what in expected for style in ("romance", "swift"))
