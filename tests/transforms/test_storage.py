"""Objects are read by their very names."""

from typing import Any

import fsspec
import pytest
from fsspec.asyn import AsyncFileSystem

from transforms.storage import read_all, stat_all
from transforms.uris import open_remote


class Bucket(AsyncFileSystem):
    """A store in which every object holds its own name."""

    protocol = "obs"

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        return path.encode("utf-8", "surrogateescape")[start:end]

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": len(path.encode("utf-8", "surrogateescape")), "type": "file"}


NAMES = ["a::b.jpg", "zip::b.jpg", "a[1].jpg", "a*?.jpg", "a#b%20c.jpg", "a b.jpg", "caf\udce9.jpg"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_taken_literally(name: str) -> None:
    fsspec.register_implementation("obs", Bucket, clobber=True)
    expected = f"bucket/{name}".encode("utf-8", "surrogateescape")
    uri = f"obs://bucket/{name}"
    assert open_remote(uri)[1] == f"bucket/{name}"
    assert read_all([uri], [len(expected)]) == [expected]
    (found,) = stat_all([uri])
    assert found.size == len(expected)
