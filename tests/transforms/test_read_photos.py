"""Listing: names of every kind, globs, links, lists of URIs, versions, and each uri once."""

import os
import time
from datetime import UTC, datetime, timedelta, timezone

import apache_beam as beam
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that

from transforms.folders import Entry, _RemoteFolders
from transforms.object_stats import entry_checksum, entry_modified, entry_version
from transforms.read_photos import (
    ListingError,
    ReadPhotos,
    SplitRepeated,
    check_input,
    classify,
    list_photos,
    split_repeated,
)
from transforms.records import Listing
from transforms.storage import read_all
from transforms.uri_lists import read_uris
from transforms.uris import Allowed

TREE = ["a.jpg", "b.JPG", ".hidden.jpg", "x/c.jpg", "x/y/d.jpg", "x/y/e.txt", "z [1]/f#1.jpg", "ü/写.jpg", "w*/g?.jpg"]


@pytest.fixture
def tree(tmp_path):
    for name in TREE:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "photos"


@pytest.fixture
def memory():
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    for name in TREE:
        fs.pipe_file(f"/photos/{name}", name.encode())
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def names(pattern: str, base: str) -> list[str]:
    uris = [listing.uri for listing in list_photos([pattern])]
    assert all(uri.startswith(f"{base}/") for uri in uris), uris
    return [uri.removeprefix(f"{base}/") for uri in uris]


CASES = [
    ("", sorted(TREE)),
    ("/", sorted(TREE)),
    ("/**", sorted(TREE)),
    ("/*", [".hidden.jpg", "a.jpg", "b.JPG"]),
    ("/*.jpg", [".hidden.jpg", "a.jpg"]),
    ("/**/*.jpg", [".hidden.jpg", "a.jpg", "w*/g?.jpg", "x/c.jpg", "x/y/d.jpg", "z [1]/f#1.jpg", "ü/写.jpg"]),
    ("/**/y/**", ["x/y/d.jpg", "x/y/e.txt"]),
    ("/**/**/d.jpg", ["x/y/d.jpg"]),
    ("/x/*/*.jpg", ["x/y/d.jpg"]),
    ("/?.jpg", ["a.jpg"]),
    ("/[ab].*", ["a.jpg", "b.JPG"]),
    ("/[!a].*", ["b.JPG"]),
    ("/z [1]/f#1.jpg", ["z [1]/f#1.jpg"]),
    ("/z [1]", ["z [1]/f#1.jpg"]),
    ("/z [1]/*.jpg", ["z [1]/f#1.jpg"]),
    ("/w*/g?.jpg", ["w*/g?.jpg"]),
    ("/w*", ["w*/g?.jpg"]),
    ("/ü/*", ["ü/写.jpg"]),
    ("/x/y/e.txt", ["x/y/e.txt"]),
    ("/nothing/**", []),
    ("/nothing.jpg", []),
    ("/a.jpg/*", []),
]


@pytest.mark.parametrize(("pattern", "expected"), CASES)
def test_local_patterns(tree, pattern, expected):
    found = names(f"{tree}{pattern}", str(tree))
    assert found == sorted(found)
    assert found == expected
    assert names(f"file://{tree}{pattern}", str(tree)) == expected


@pytest.mark.parametrize(("pattern", "expected"), CASES)
def test_fsspec_patterns(memory, pattern, expected):
    assert names(f"memory://photos{pattern}", "memory://photos") == expected


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
@pytest.mark.parametrize("pattern", ["b", "b/", "b/p", "b/p/", "b/p/*.jpg", "b/p [1]/**"])
def test_uris_keep_their_scheme_and_bucket(scheme, pattern, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")  # nobody listens, nothing is asked
    folders = _RemoteFolders(f"{scheme}://{pattern}")
    assert folders.listing(Entry("b/p/a#1.jpg", False, 3, "v")) == Listing(f"{scheme}://b/p/a#1.jpg", 3, "v")
    assert folders.path(f"{scheme}://{pattern}") == pattern.rstrip("/")


def test_relative_patterns_become_absolute(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert names("x/../x/*.jpg", str(tree)) == ["x/c.jpg"]
    assert names(".", str(tree)) == sorted(TREE)


def test_sizes_and_versions(tree, memory):
    status = (tree / "a.jpg").stat()
    (listing,) = list_photos([str(tree / "a.jpg")])
    assert listing == Listing(str(tree / "a.jpg"), 5, f"5-{status.st_mtime_ns}")
    (listing,) = list_photos(["memory://photos/a.jpg"])
    assert (listing.uri, listing.size) == ("memory://photos/a.jpg", 5)
    assert listing.version.startswith("5-20")


@pytest.mark.parametrize(
    ("entry", "version"),
    [
        ({"size": 3, "generation": "17", "etag": "e", "mtime": 5}, "17"),
        ({"size": 3, "ETag": '"abc"', "LastModified": 1}, "abc"),
        ({"size": 3, "mtime": 1.5}, "3-1.5"),
        ({"size": None}, "0-"),
    ],
)
def test_version_prefers_generation_then_etag(entry, version):
    assert entry_version(entry) == version


@pytest.mark.parametrize(
    ("entry", "checksum"),
    [
        ({"crc32c": "AAAAAA==", "md5Hash": "m", "etag": "e"}, "crc32c AAAAAA=="),
        ({"ETag": '"d41d8cd98f00b204e9800998ecf8427e"'}, "md5 d41d8cd98f00b204e9800998ecf8427e"),
        ({"ETag": '"d41d8cd98f00b204e9800998ecf8427e-3"'}, ""),
        ({"size": 3, "mtime": 5, "crc32c": "", "ETag": None}, ""),
    ],
    ids=["Google's", "S3 in one piece", "S3 in three pieces", "none"],
)
def test_checksums_are_of_all_bytes_or_none(entry, checksum):
    assert entry_checksum(entry) == checksum


@pytest.mark.parametrize(
    ("entry", "modified"),
    [
        ({"mtime": 1.5}, 1.5),
        ({"mtime": datetime(1970, 1, 1, 0, 1, tzinfo=UTC)}, 60.0),
        ({"LastModified": datetime(1970, 1, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))}, 60.0),
        ({"created": datetime(1970, 1, 1, 0, 1)}, 60.0),
        ({"timeCreated": "1970-01-01T00:01:00.000Z", "updated": "1970-01-01T00:02:00.000Z"}, 60.0),
        ({"updated": "Thu, 1 Jan 1970"}, None),
        ({"size": 3}, None),
    ],
)
def test_modification_times(entry, modified):
    assert entry_modified(entry) == modified


def test_listings_say_when_photos_were_modified(tree, memory):
    os.utime(tree / "a.jpg", (60, 60))
    (tree / "list.txt").write_text(f"{tree}/a.jpg\nmemory://photos/a.jpg\n{tree}/gone.jpg\n")
    now = time.time()
    listed = [*list_photos([str(tree / "a.jpg"), "memory://photos/a.jpg"]), *list_photos([], [str(tree / "list.txt")])]
    assert [one.modified if one.modified is None else now - one.modified < 60 for one in listed] == [
        False, True, False, True, None,
    ]  # fmt: skip


def test_links_do_not_go_round(tree):
    (tree / "x" / "up").symlink_to(tree)
    (tree / "beside").symlink_to(tree / "x" / "y")
    (tree / "broken.jpg").symlink_to(tree / "gone")
    found = list(list_photos([str(tree)]))
    uris = [listing.uri.removeprefix(f"{tree}/") for listing in found]
    assert sorted(set(uris)) == sorted(uris)
    assert sorted(uris) == sorted([*TREE, "beside/d.jpg", "beside/e.txt", "broken.jpg"])
    assert [listing.size for listing in found if listing.uri.endswith("broken.jpg")] == [-1]


@pytest.mark.parametrize("pattern", ["", "/**/*.jpg"])
def test_an_unreadable_folder_is_an_error(tree, pattern, monkeypatch):
    listdir = os.listdir

    def refuse(folder):
        if str(folder).endswith("/x/y"):
            raise PermissionError(13, "Permission denied", folder)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(ListingError, match="cannot be listed: .* may not be read: .*Permission denied.*x/y"):
        list(list_photos([f"{tree}{pattern}"]))


def test_empty_patterns_are_reported(tree):
    empty: list[str] = []
    (tree / "void").mkdir()
    (tree / "list.txt").write_text("\n\n")
    sources = [f"{tree}/*.png", f"{tree}/a.jpg", f"{tree}/void"]
    assert len(list(list_photos(sources, [str(tree / "list.txt")], empty=empty))) == 1
    assert empty == [f"{tree}/*.png", f"{tree}/void", str(tree / "list.txt")]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("http://x/a.jpg", "not fetched over http"),
        ("HTTPS://x/a.jpg", "not fetched over http"),
        ("zip://a.jpg::/x.zip", "scheme zip:// is not allowed"),
        ("simplecache://x", "is not allowed"),
        ("sftp://me:secret@host/a.jpg", "a password in a URI"),
        ("", "not the name of anything"),
    ],
)
def test_refused_inputs(pattern, problem):
    assert problem in (check_input(pattern) or "")
    assert "secret" not in (check_input(pattern) or "")
    with pytest.raises(ListingError, match=problem):
        list(list_photos([pattern]))


def test_roots():
    assert check_input("gs://b/2026/**", Allowed(roots=("gs://b/2026",))) is None
    assert check_input("gs://b/2026/a.jpg", Allowed(roots=("gs://b",))) is None
    assert check_input("/data/photos/a.jpg", Allowed(roots=("/data/photos/",))) is None
    allowed = Allowed(roots=("gs://b/2026", "/data/photos"))
    for pattern in ("gs://b/20267/**", "gs://b/2026/../x", "/data/photos/../x", "gs://c/2026/a", "/data"):
        assert "outside the allowed places" in (check_input(pattern, allowed) or "")
    assert "outside the allowed places" in (check_input("file:///data/photos/a.jpg", Allowed(roots=("gs://b",))) or "")


def test_schemes():
    allowed = Allowed(schemes=("gs", "s3"))
    assert check_input("gs://b/**", allowed) is None
    for pattern in ("/data/photos", "file:///data/photos", "photos/*.jpg"):
        assert "the scheme file:// is not allowed; allowed are gs, s3" in (check_input(pattern, allowed) or "")


def test_links_out_of_the_roots_are_listed_and_never_followed(tree, tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key.jpg").write_bytes(b"secret")
    inside, x = Allowed(roots=(str(tree),)), tree / "x"
    (x / "out").symlink_to(tmp_path / "private")
    (x / "out.jpg").symlink_to(tmp_path / "private" / "key.jpg")
    (x / "in.jpg").symlink_to(tree / "a.jpg")
    found = {listing.uri.removeprefix(f"{x}/"): listing.size for listing in list_photos([str(x)], allowed=inside)}
    assert found == {"c.jpg": 7, "in.jpg": 5, "out": -1, "out.jpg": -1, "y/d.jpg": 9, "y/e.txt": 9}
    (tmp_path / "l.txt").write_text(f"{x}/out/key.jpg\n{x}/out.jpg\nfile://{x}/in.jpg\n")
    assert [listing.size for listing in list_photos([], [str(tmp_path / "l.txt")], inside)] == [-1, -1, 5]
    assert "a symbolic link leads out" in (check_input(f"{x}/out/**", inside) or "")
    for uri in (f"{x}/out.jpg", f"{x}/out/key.jpg", f"{x}/out"):
        (error,) = read_all([uri], [6], inside)
        assert type(error).__name__ == "RefusedUri" and "a symbolic link leads out of the allowed places" in str(error)
    (tmp_path / "door").symlink_to(tree)  # a root may itself be a link
    assert len(list(list_photos([f"{tmp_path}/door/x/y"], allowed=Allowed(roots=(f"{tmp_path}/door",))))) == 2


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("gs://b/folder/", "ignored"),
        ("gs://b/folder_$folder$", "ignored"),
        ("/p/Thumbs.db", "ignored"),
        ("/p/.DS_Store", "ignored"),
        ("/p/._a.jpg", "ignored"),
        ("/p/A.MOV", "ignored"),
        ("/p/notes.Txt", "ignored"),
        ("/p/a.jpg", "photo"),
        ("/p/.hidden.jpg", "photo"),
        ("/p/noending", "photo"),
        ("/p/a.xyz", "photo"),
        ("/p/a.txt.jpg", "photo"),
        ("/p/txt", "photo"),
    ],
)
def test_classify(uri, kind):
    assert classify(Listing(uri, 0, "")) == kind


def write_lists(folder, uris):
    (folder / "l.txt").write_bytes("\ufeff".encode() + "\r\n".join(["", *uris, "  ", ""]).encode())
    quoted = ['"' + uri.replace('"', '""') + '"' for uri in uris]
    (folder / "l.csv").write_text("id,uri\n" + "".join(f"1,{uri}\n" for uri in quoted) + "2,\n", "utf-8")
    pq.write_table(pa.table({"uri": [*uris, None], "x": range(len(uris) + 1)}), folder / "l.parquet")
    return [str(folder / f"l.{ending}") for ending in ("txt", "csv", "parquet")]


def test_lists_of_uris(tree, memory, tmp_path):
    there = [f"{tree}/z [1]/f#1.jpg", "memory://photos/w*/g?.jpg", f"file://{tree}/ü/写.jpg"]
    uris = [
        *there,
        f"{tree}/gone,1.jpg",
        "memory://photos/a.jpg?X-Goog-Signature=s&x=1",
        "https://x/a.jpg",
        f"{tree}/x",
    ]
    expected = [
        (f"{tree}/z [1]/f#1.jpg", 13),
        ("memory://photos/w*/g?.jpg", 9),
        (f"{tree}/ü/写.jpg", 10),
        (f"{tree}/gone,1.jpg", -1),
        ("memory://photos/a.jpg", 5),
        ("https://x/a.jpg", -1),
        (f"{tree}/x", -1),
    ]
    for path in write_lists(tmp_path, uris):
        assert list(read_uris(path)) == uris
        assert [(listing.uri, listing.size) for listing in list_photos([], [path])] == expected


def test_a_list_may_lie_in_a_bucket(memory, tree):
    memory.pipe_file("/lists/l.txt", f"{tree}/a.jpg\n".encode())
    assert [listing.size for listing in list_photos([], ["memory://lists/l.txt"])] == [5]


def test_uris_outside_the_roots_are_never_lost(tree, tmp_path):
    (tmp_path / "l.txt").write_text(f"{tree}/a.jpg\n{tree}/x/c.jpg\n")
    found = list_photos([], [str(tmp_path / "l.txt")], allowed=Allowed(roots=(f"{tree}/x",)))
    assert [listing.size for listing in found] == [-1, 7]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"name\nx\n", "no column 'uri'; it has name"),
        ("a.csv", b"", "no column 'uri'; it has none"),
        ("a.parquet", b"PAR1", "not a valid list"),
        ("a.txt", b"\xff\xfe\n", "not a valid list"),
    ],
)
def test_broken_lists(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ListingError, match=f"{name}.*{problem}"):
        list(list_photos([], [str(tmp_path / name)]))


def test_a_list_that_is_not_there():
    with pytest.raises(ListingError, match="does not exist"):
        list(list_photos([], ["/nowhere/a.txt"]))


def test_split_repeated_keeps_the_one_that_was_seen():
    seen, unseen, older = Listing("a", 3, "3-2"), Listing("a", -1, ""), Listing("a", 3, "3-1")
    first, *others = split_repeated((b"a", [unseen, older, seen]))
    assert first == seen
    assert all(isinstance(other, TaggedOutput) for other in others)
    assert [other.value for other in others] == [older, unseen]


def test_composites(tree, tmp_path):
    (tmp_path / "l.txt").write_text(f"{tree}/a.jpg\n{tree}/gone.jpg\n")
    undecodable = os.fsdecode(b"not\xffutf8.jpg")
    (tree / undecodable).write_bytes(b"x")

    def check_listed(listings):
        uris = [listing.uri for listing in listings]
        assert sorted(uris) == sorted([f"{tree}/{name}" for name in [*TREE, "gone.jpg", undecodable]])

    def check_repeated(listings):
        assert sorted(listing.uri for listing in listings) == [f"{tree}/a.jpg", f"{tree}/a.jpg", f"{tree}/b.JPG"]

    with TestPipeline() as pipeline:
        read = ReadPhotos([str(tree), f"{tree}/?.[jJ]*"], [str(tmp_path / "l.txt")])
        outputs = pipeline | "Read photos" >> read | "Split" >> SplitRepeated()
        assert_that(outputs.listed, check_listed, label="Check listed")
        assert_that(outputs.repeated, check_repeated, label="Check repeated")


def test_composites_of_nothing(tmp_path):
    with TestPipeline() as pipeline:
        outputs = pipeline | "Read photos" >> ReadPhotos([str(tmp_path)]) | "Split" >> SplitRepeated()
        count = outputs.listed | "Count" >> beam.combiners.Count.Globally()
        assert_that(count, lambda counts: counts == [0] or pytest.fail(str(counts)), label="Check count")
