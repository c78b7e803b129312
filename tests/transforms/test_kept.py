"""Rows of earlier runs come back to the last bit, by uri and version; without usable rows photos are read again."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from fsspec.implementations.local import LocalFileSystem

from transforms.kept import (
    KEPT_CAPTIONS,
    KEPT_FEATURES,
    UNREAD,
    FindKept,
    KeptFile,
    KeptPhoto,
    ReadKept,
    ReadLimits,
    carry_feature,
    feature_rows,
    read_group,
    read_kept,
    take_kept,
)
from transforms.records import KeptPlace, Listing, Networks, Photo
from transforms.rows import FEATURES
from transforms.uris import Allowed
from transforms.write import GROUP_ROWS, write_shard

NETWORKS = Networks("features 1", "captions 1")
LIMITS = ReadLimits(1000, 100)
ODD = "caf\udce9.jpg"


def id_of(name: str) -> str:
    return f"id of {name!a}"


def photo(name: str, **changes: Any) -> Photo:
    return replace(Photo(name, "1", id_of(name), 4, 3, ("romance",)), **changes)


def vector(name: str) -> np.ndarray:
    draw = np.random.RandomState(int(hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:6], 16))
    return (draw.randn(7) * 10.0 ** draw.randint(-30, 30, 7)).astype("f4")


CAPTIONS = [("a dog in a caf\udce9 .", 0.1), ("a boat .", np.float64(1) / 3)]


def write(root: str, photos: list[Photo], networks: Networks = NETWORKS, prefix: str = "runs/night/") -> KeptFile:
    rows = [
        row for one in photos for row in feature_rows((carry_feature((one, vector(one.uri)))[0], CAPTIONS), networks)
    ]
    return KeptFile(write_shard((0, rows), root, prefix, "features", 1).path, 1)


def listing(name: str, kept: KeptPlace | None = None, **changes: Any) -> Listing:
    return replace(Listing(name, 12, "1", ("swift",), kept=kept, photo_id=id_of(name)), **changes)


def test_rows_are_of_each_photo_that_was_not_kept() -> None:
    one = photo("a", copies=(photo("b", kept=True), photo("c")))
    rows = list(feature_rows((carry_feature((one, vector("a")))[0], CAPTIONS), NETWORKS))
    assert [row["uri"] for row in rows] == ["a", "c"] and list(rows[0]) == FEATURES.names
    assert list(feature_rows((carry_feature((photo("a", kept=True), vector("a")))[0], []), NETWORKS)) == []


@pytest.mark.parametrize("scheme", ["", "memory:/"])
def test_what_was_kept_comes_back_to_the_last_bit(tmp_path: Path, scheme: str) -> None:
    root = f"{scheme}{tmp_path}/out"
    file = write(root, [photo("b"), photo(ODD), photo("a")])
    found = {one.uri: one for one in read_kept(file, root, NETWORKS)}
    assert list(found) == ["a", "b", "caf\\xe9.jpg"]
    assert found["b"] == KeptPhoto("b", "1", id_of("b"), 12, KeptPlace(file.path, 0, 1, True), 1)
    pairs = [("a", found["a"]), (ODD, found["caf\\xe9.jpg"])]
    wanted = [take_kept(listing(name, photo_id=None), [kept], LIMITS) for name, kept in pairs]
    assert [one.photo_id for one in wanted] == [id_of("a"), id_of(ODD)]
    results = list(read_group((f"0 {file.path}".encode(), wanted), root))
    assert all(isinstance(one, TaggedOutput) and one.tag == KEPT_CAPTIONS for one in results)
    for (seen, pairs), name in zip([one.value for one in results], ["a", ODD], strict=True):
        assert seen.photo == photo(name, styles=("swift",), kept=True)
        assert seen.feature.dtype == np.float32 and seen.feature.tobytes() == vector(name).tobytes()
        assert pairs == [(text, float(np.float32(similarity))) for text, similarity in CAPTIONS]


def test_files_are_closed_once_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    file = write(str(tmp_path), [photo("a")])
    real = LocalFileSystem._open
    monkeypatch.setattr(LocalFileSystem, "_open", lambda *a, **k: opened.append(real(*a, **k)) or opened[-1])
    (found,) = read_kept(file, str(tmp_path), NETWORKS)
    list(read_group((f"0 {file.path}".encode(), [listing("a", found.kept)]), str(tmp_path)))
    assert len(opened) == 2 and all(one.closed for one in opened)


def test_vectors_take_no_more_room_than_they_need(tmp_path: Path) -> None:
    draw = np.random.RandomState(1)
    seen = [carry_feature((photo(f"{number:03d}"), draw.rand(1000).astype("f4")))[0] for number in range(100)]
    rows = [row for one in seen for row in feature_rows((one, CAPTIONS), NETWORKS)]
    assert write_shard((0, rows), str(tmp_path), "runs/night/", "features", 1).bytes < 100 * (4000 + 100)


def test_only_what_the_same_networks_made_counts(tmp_path: Path) -> None:
    file = write(str(tmp_path), [photo("a")])
    assert list(read_kept(file, str(tmp_path), Networks("features 2", "captions 1"))) == []
    (found,) = read_kept(file, str(tmp_path), Networks("features 1", "captions 2"))
    assert not found.kept.captions
    ((one, feature),) = read_group((f"0 {file.path}".encode(), [listing("a", found.kept)]), str(tmp_path))
    assert one == photo("a", styles=("swift",)) and feature.tobytes() == vector("a").tobytes()


def test_rows_are_found_in_their_groups(tmp_path: Path) -> None:
    names = [f"{number:05d}" for number in range(GROUP_ROWS + 3)]
    file = write(str(tmp_path), [photo(name) for name in names])
    places = [(one.uri, one.kept.group, one.kept.row) for one in read_kept(file, str(tmp_path), NETWORKS)]
    assert places[GROUP_ROWS - 1 :] == [
        (names[-4], 0, GROUP_ROWS - 1), (names[-3], 1, 0), (names[-2], 1, 1), (names[-1], 1, 2),
    ]  # fmt: skip
    late = list(read_kept(replace(file, groups=(1,)), str(tmp_path), NETWORKS))
    assert [one.uri for one in late] == names[-3:]
    (result,) = read_group((f"1 {file.path}".encode(), [listing(names[-1], late[-1].kept)]), str(tmp_path))
    assert result.value[0].feature.tobytes() == vector(names[-1]).tobytes()


def kept_photo(run: int = 1, captions: bool = True, version: str = "1", pixels: int = 12) -> KeptPhoto:
    return KeptPhoto("a", version, "id", pixels, KeptPlace(f"file {run}", 0, 0, captions), run)


@pytest.mark.parametrize(
    ("photos", "path"),
    [
        ([], None),
        ([kept_photo()], "file 1"),
        ([kept_photo(1), kept_photo(3), kept_photo(2)], "file 3"),
        ([kept_photo(1), kept_photo(2, captions=False)], "file 1"),
        ([kept_photo(version="2")], None),
        ([kept_photo(pixels=101)], None),
    ],
)
def test_the_best_of_what_was_kept_is_taken(photos: list[KeptPhoto], path: str | None) -> None:
    one = take_kept(listing("a", photo_id=None), photos, LIMITS)
    assert (one.kept and one.kept.path) == path and one.photo_id == (path and "id")


@pytest.mark.parametrize(
    ("changes", "limits"),
    [
        ({"size": -1}, LIMITS),
        ({"size": 1001}, LIMITS),
        ({}, ReadLimits(1000, 100, Allowed(roots=("/elsewhere",)))),
        ({}, ReadLimits(1000, 100, Allowed(schemes=("gs",)))),
    ],
)
def test_what_may_not_be_read_is_not_taken(changes: dict[str, Any], limits: ReadLimits) -> None:
    assert take_kept(listing("a", **changes), [kept_photo()], limits).kept is None


def break_whole(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_rows(data: bytes) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pq.read_table(pa.BufferReader(data)).slice(0, 0), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("damage", [None, break_whole, without_rows])
def test_what_is_gone_or_broken_is_read_anew(tmp_path: Path, damage: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("transforms.read_errors.PAUSES", (0.0,))
    file = write(str(tmp_path), [photo("a"), photo("b")])
    first, second = (one.kept for one in read_kept(file, str(tmp_path), NETWORKS))
    path = tmp_path / file.path
    path.write_bytes(damage(path.read_bytes())) if damage else path.unlink()
    copies = (listing("c"),)
    wanted = [listing("a", first, copies=copies), listing("b", second)]
    results = list(read_group((f"0 {file.path}".encode(), wanted), str(tmp_path)))
    assert [(one.tag, one.value) for one in results] == [(UNREAD, replace(one, kept=None)) for one in wanted]
    assert list(read_kept(file, str(tmp_path), NETWORKS)) == []


def test_a_row_of_another_photo_is_not_taken(tmp_path: Path) -> None:
    file = write(str(tmp_path), [photo("a"), photo("b")])
    wanted = [
        listing("a", KeptPlace(file.path, 0, 1, True)),
        listing("b", KeptPlace(file.path, 0, 1, True), version="2"),
    ]
    results = read_group((f"0 {file.path}".encode(), wanted), str(tmp_path))
    assert [one.tag for one in results] == [UNREAD, UNREAD]


def test_composites(tmp_path: Path) -> None:
    file = write(str(tmp_path), [photo("a"), photo("b")])
    other = write(str(tmp_path), [photo("c")], Networks("features 1", "captions 0"), "runs/other/")
    found = [one for one in (file, other) for one in read_kept(one, str(tmp_path), NETWORKS)]
    listings = [listing(name, photo_id=None) for name in "abcd"]
    with TestPipeline("FnApiRunner") as root:
        photos = root | "Kept" >> beam.Create(found)
        wanted = root | "Listings" >> beam.Create(listings) | FindKept(photos, LIMITS)
        read = wanted | ReadKept(str(tmp_path))
        seen = read[KEPT_CAPTIONS] | "Name seen" >> beam.Map(lambda pair: pair[0].photo.uri)
        features = read[KEPT_FEATURES] | "Name photos" >> beam.Map(lambda pair: pair[0].uri)
        assert_that(seen, equal_to(["a", "b"]), label="captions")
        assert_that(features, equal_to(["c"]), label="features")
        assert_that(read[UNREAD], equal_to([listings[3]]), label="unread")
