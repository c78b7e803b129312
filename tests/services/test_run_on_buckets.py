"""The main job on this machine with photos, pack and stories in a bucket."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.services

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "packs" / "pocket"
PHOTOS = "photos/2026"
CHECKSUMS = """
from transforms.read_photos import list_photos
print("\\n".join(one.checksum for one in list_photos(["gs://photos/twins/**"])))
"""
NAMES = ("boats.jpg", "a cat [1] #2.jpg", "weiß/caf\u00e9.jpg")


@pytest.fixture
def bucket(cloud: Any) -> Any:
    """Returns the cloud with three photos, a broken one, a text and the pocket pack in its bucket."""
    cloud.put_folder("packs/pocket", PACK)
    for name, sample in zip(NAMES, ("boats", "cat", "coffee"), strict=True):
        cloud.put(f"{PHOTOS}/{name}", (ROOT / "samples" / f"{sample}.jpg").read_bytes())
    cloud.put(f"{PHOTOS}/broken.jpg", (ROOT / "samples" / "boats.jpg").read_bytes()[:5000])
    cloud.put(f"{PHOTOS}/notes.txt", b"not a photo")
    return cloud


def rows(cloud: Any, manifest: dict[str, Any], table: str, output: str = "told") -> list[dict[str, Any]]:
    files = [file["path"] for file in manifest["files"] if file["table"] == table]
    found = [pq.read_table(io.BytesIO(cloud.get(f"gs://photos/{output}/{path}"))).to_pylist() for path in files]
    return sorted((row for part in found for row in part), key=lambda row: row["uri"])


def test_a_bucket_of_photos_is_processed_once(bucket: Any) -> None:
    command = ["-m", "pipelines.run", f"--input=gs://photos/{PHOTOS}/**", "--output=gs://photos/told"]
    command += ["--pack=gs://photos/packs/pocket", "--beam-width=5", "--device=cpu"]
    for _ in range(2):
        process = bucket.python(*command, seconds=300)
        assert process.returncode == 0, process.stderr
    first, second = (json.loads(bucket.get(f"gs://photos/told/manifests/0000000{n}.json")) for n in (1, 2))
    assert first["counts"] == {"dead_letter": 1, "ignored": 1, "story": 3}
    assert second["counts"] == {"ignored": 1, "unchanged": 4}
    told = [row["uri"] for row in rows(bucket, first, "stories")]
    assert told == sorted(f"gs://photos/{PHOTOS}/{name}" for name in NAMES)
    (letter,) = rows(bucket, first, "dead_letters")
    assert (letter["uri"], letter["error"]) == (f"gs://photos/{PHOTOS}/broken.jpg", "TruncatedImage")
    assert not [name for name in bucket.names("told/") if "/scratch/" in name]


def test_another_style_of_a_bucket_takes_what_was_kept(bucket: Any) -> None:
    for name, sample in (("boats", "boats"), ("again", "boats"), ("cat", "cat")):
        bucket.put(f"twins/{name}.jpg", (ROOT / "samples" / f"{sample}.jpg").read_bytes())
    command = ["-m", "pipelines.run", "--input=gs://photos/twins/**", "--output=gs://photos/told-twins"]
    command += ["--pack=gs://photos/packs/pocket", "--beam-width=5", "--device=cpu"]
    nights = [["--style=romance"], ["--style=adventure", "--since=1d"], ["--style=austen", "--since=2100-01-01"]]
    for options in nights:
        process = bucket.python(*command, *options, seconds=300)
        assert process.returncode == 0, process.stderr
    first, second, third = (
        json.loads(bucket.get(f"gs://photos/told-twins/manifests/0000000{n}.json")) for n in (1, 2, 3)
    )
    assert first["counts"] == second["counts"] == {"story": 3}
    assert third["counts"] == {"deferred": 3}
    kept = rows(bucket, first, "features", "told-twins")
    assert [row["uri"] for row in kept] == [f"gs://photos/twins/{name}.jpg" for name in ("again", "boats", "cat")]
    assert rows(bucket, second, "features", "told-twins") == []  # no network looked at a photo again
    before, after = (rows(bucket, one, "stories", "told-twins") for one in (first, second))
    same = ("uri", "photo_id", "width", "height", "captions")
    assert [[row[name] for name in same] for row in before] == [[row[name] for name in same] for row in after]
    assert before[0] == before[1] | {"uri": before[0]["uri"]} and before[1]["story"] != before[2]["story"]


def test_a_bucket_tells_checksums(bucket: Any) -> None:
    for name, sample in (("boats", "boats"), ("again", "boats"), ("cat", "cat")):
        bucket.put(f"twins/{name}.jpg", (ROOT / "samples" / f"{sample}.jpg").read_bytes())
    again, boats, cat = bucket.python("-c", CHECKSUMS, seconds=60).stdout.splitlines()
    assert again == boats != cat and again.startswith("crc32c ")
