"""The main job on this machine with photos and stories in an S3 bucket."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

from pipelines.gallery_page.page_folder import Folder
from pipelines.gallery_page.pages import write_page
from pipelines.nightly.main_job import main
from pipelines.tables.manifests import put_if_absent
from transforms.read_photos import list_photos

pytestmark = pytest.mark.services

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("2026/a boat [1] #2.jpg", "2026/below/weiß.jpg")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yields the file system of an emulated S3 with two photos and a broken one."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in (keys | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}).items():
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b"").close()  # all servers share one store
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # whose clients would ask the server of the test before
    filesystem = fsspec.filesystem("s3", skip_instance_cache=True)
    filesystem.mkdir("photos")
    for name in NAMES:
        filesystem.pipe_file(f"photos/{name}", (ROOT / "samples" / "boats.jpg").read_bytes())
    filesystem.pipe_file("photos/2026/broken.jpg", b"no photo")
    yield filesystem
    server.stop()


def test_a_bucket_of_photos_is_processed_once(bucket: Any) -> None:
    command = ["--input=s3://photos/2026/**", "--output=s3://photos/told", "--beam-width=3", "--device=cpu"]
    assert [main(command), main(command)] == [0, 0]
    first, second = (json.loads(bucket.cat_file(f"photos/told/manifests/0000000{n}.json")) for n in (1, 2))
    assert first["counts"] == {"dead_letter": 1, "story": 2}
    assert second["counts"] == {"unchanged": 3}
    (stories,) = [file["path"] for file in first["files"] if file["table"] == "stories"]
    with bucket.open(f"photos/told/{stories}", "rb") as stream:
        told = pq.read_table(stream).to_pylist()
    assert [row["uri"] for row in told] == [f"s3://photos/{name}" for name in NAMES]


def test_a_bucket_tells_checksums(bucket: Any) -> None:
    boat, below, broken = (one.checksum for one in list_photos(["s3://photos/2026/**"]))
    assert boat == below != broken and boat.startswith("md5 ")


def test_a_page_in_a_bucket_opens_in_a_browser(bucket: Any) -> None:
    """A store that does not know what a file is has browsers download it."""
    folder = Folder("s3://photos/page")
    write_page(folder, {"runs": []}, {"photos": [{"uri": "a"}]})
    write_page(folder, {"runs": []}, {"photos": [{"uri": "b"}]})
    build, page = folder.names()
    types = {name: bucket.info(f"photos/page/{build}/{name}")["ContentType"] for name in folder.names(build)}
    assert bucket.info(f"photos/page/{page}")["ContentType"] == "text/html"
    assert types["gallery.css"] == "text/css"
    assert {types[name] for name in types if name.endswith(".js")} <= {"text/javascript", "application/javascript"}


def test_a_manifest_is_put_once(bucket: Any) -> None:
    uri = "s3://photos/told/manifests/00000001.json"
    put_if_absent(uri, b"first")
    with pytest.raises(FileExistsError):
        put_if_absent(uri, b"second")
    assert bucket.cat_file(uri) == b"first"
