"""Loading: bulk reads by literal names, sizes checked first, a dead letter for each bad file and no good one."""

import hashlib
import io
import os
from pathlib import Path

import apache_beam as beam
import fsspec
import numpy as np
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from transforms import load_images, read_errors
from transforms.infer import DEAD_LETTERS, RESULTS
from transforms.load_images import LoadImages, batch_listings, load_batch, load_photo, read_batch
from transforms.preprocessing import RecipeError, preprocess
from transforms.records import DeadLetter, Listing, Photo

RECIPE = {"name": "original"}
NAMES = ["plain.jpg", "with space.jpg", "a#1.jpg", "b[1].jpg", "c*.jpg", "d?.jpg", "ünï 写真.jpg", "%20.jpg"]


def picture(value: int = 90) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), (value, 20, 30)).save(stream, "PNG")
    return stream.getvalue()


def listed(uri: str, data: bytes) -> Listing:
    return Listing(uri, len(data), "1", ("romance",))


def read(listings: list[Listing], max_bytes: int = 1_000_000) -> list:
    return [content for _, content in read_batch(listings, max_bytes)]


@pytest.fixture
def memory():
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()


def test_batches_by_count_and_bytes():
    sizes = [1, 1, 1, 5, 9, 1, -1, 1]
    batches = batch_listings([Listing(str(size), size, "") for size in sizes], files=3, size=6)
    assert [[item.size for item in batch] for batch in batches] == [[1, 1, 1], [5], [9], [1, -1, 1]]
    assert list(batch_listings([])) == []


def test_names_are_literal(tmp_path, memory):
    listings = []
    for place, name in enumerate(NAMES):
        data = picture(place)
        (tmp_path / name).write_bytes(data)
        memory.pipe_file(f"/photos/{name}", data)
        listings += [listed(f"{tmp_path}/{name}", data), listed(f"memory://photos/{name}", data)]
    for listing, content in read_batch(listings, 1_000_000):
        assert isinstance(content, bytes), content
        assert len(content) == listing.size


def test_a_call_reads_a_whole_batch(memory, monkeypatch):
    for place in range(5):
        memory.pipe_file(f"/p/{place}", b"abc")
    calls = []
    bulk = type(memory).cat_ranges
    monkeypatch.setattr(type(memory), "cat_ranges", lambda *args, **kw: calls.append(args[1]) or bulk(*args, **kw))
    assert read([Listing(f"memory://p/{place}", 3, "") for place in range(5)]) == [b"abc"] * 5
    assert [len(paths) for paths in calls] == [5]


def test_a_bucket_object_that_grew_is_reported(memory):
    memory.pipe_file("/p/a", b"x" * 100)
    (grown,) = read([Listing("memory://p/a", 50, "")])
    assert type(grown).__name__ == "SizeMismatch"


def test_sizes_are_checked_before_and_after(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x" * 100)
    other = tmp_path / "b.jpg"
    other.write_bytes(b"x" * 100)
    asked = []
    whole = load_images.read_all
    monkeypatch.setattr(load_images, "read_all", lambda uris, *rest: asked.extend(uris) or whole(uris, *rest))
    (large,) = read([Listing(str(path), 100, "")], max_bytes=99)
    assert type(large).__name__ == "FileTooLarge"
    assert not large.retryable
    assert asked == []
    shrunk, grown = read([Listing(str(path), 150, ""), Listing(str(other), 50, "")])
    assert type(shrunk).__name__ == type(grown).__name__ == "SizeMismatch"
    assert shrunk.retryable
    assert "and has 100" in str(shrunk)
    assert "and has more" in str(grown)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_missing_permissions_are_reported(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"abc")
    (tmp_path / "a.jpg").chmod(0)
    (error,) = read([Listing(str(tmp_path / "a.jpg"), 3, "")])
    assert type(error).__name__ == "AccessDenied"


def test_what_cannot_be_read_has_a_name(tmp_path, memory):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "late.jpg").write_bytes(b"abc")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    cases = {
        f"{tmp_path}/gone.jpg": ("MissingFile", True),
        f"{tmp_path}/late.jpg/x.jpg": ("MissingFile", True),
        f"{tmp_path}/folder.jpg": ("NotAFile", False),
        f"{tmp_path}/pipe.jpg": ("NotAFile", False),
        f"{tmp_path}/loop.jpg": ("LinkLoop", True),
        f"{tmp_path}/late.jpg": ("MissingFile", True),
        "memory://nowhere/x.jpg": ("MissingFile", True),
        "https://example.org/x.jpg": ("RefusedUri", False),
    }
    errors = read([Listing(uri, -1, "") for uri in cases])
    assert [(type(error).__name__, error.retryable) for error in errors] == list(cases.values())
    gone = read(
        [Listing(uri, 5, "") for uri in (f"{tmp_path}/gone.jpg", "memory://nowhere/x.jpg", f"{tmp_path}/folder.jpg")]
    )
    assert [type(error).__name__ for error in gone] == ["MissingFile", "MissingFile", "NotAFile"]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(read_errors, "PAUSES", (0.0, 0.0))


def test_a_client_error_is_the_photos_and_a_bug_is_not(memory, monkeypatch):
    memory.pipe_file("/p/a", b"abc")
    listing = Listing("memory://p/a", 3, "")
    timeout = TimeoutError("slow")
    monkeypatch.setattr(type(memory), "cat_ranges", lambda *args, **kw: [timeout])
    (error,) = read([listing])
    assert type(error).__name__ == "ReadTimeout"
    client = type("HttpError", (Exception,), {"__module__": "gcsfs.retry", "code": 403})("no")
    monkeypatch.setattr(type(memory), "cat_ranges", lambda *args, **kw: [client])
    (error,) = read([listing])
    assert type(error).__name__ == "AccessDenied"
    monkeypatch.setattr(type(memory), "cat_ranges", lambda *args, **kw: [TypeError("bug")])
    with pytest.raises(TypeError, match="bug"):
        read([listing])


def test_load_photo_takes_the_same_steps(tmp_path, monkeypatch):
    data = picture()
    (tmp_path / "a.png").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    loaded = load_photo("a.png", LoadImages(RECIPE), ("romance",))
    assert not isinstance(loaded, DeadLetter)
    photo, pixels = loaded
    status = (tmp_path / "a.png").stat()
    version = f"{status.st_size}-{status.st_mtime_ns}"
    assert photo == Photo(str(tmp_path / "a.png"), version, hashlib.sha256(data).hexdigest(), 40, 30, ("romance",))
    np.testing.assert_array_equal(pixels, preprocess(np.asarray(Image.open(io.BytesIO(data))), RECIPE))
    missing = load_photo("b.png", LoadImages(RECIPE))
    assert isinstance(missing, DeadLetter)
    assert (missing.stage, missing.error, missing.retryable) == ("read", "MissingFile", True)


def test_wrong_settings_are_refused_at_once():
    with pytest.raises(RecipeError, match="unknown key 'crop'.*decoding must be one of strict, original"):
        LoadImages({"name": "original", "crop": 1}, "loose")


def write_photos(folder: Path) -> list[Listing]:
    files = {f"good{place}.png": picture(place) for place in range(70)}  # more than one batch
    files |= {"empty.jpg": b"", "text.jpg": b"hello", "cut.png": picture()[:50]}
    listings = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        listings.append(listed(f"{folder}/{name}", data))
    huge = Listing(f"{folder}/good0.png#huge", 10_000_001, "1")
    return [*listings, Listing(f"{folder}/gone.jpg", 5, "1"), huge]


def check_loaded(loaded):
    assert len(loaded) == 70
    assert len({photo.uri for photo, _ in loaded}) == 70
    for photo, pixels in loaded:
        data = Path(photo.uri).read_bytes()
        assert photo.photo_id == hashlib.sha256(data).hexdigest()
        assert photo.styles == ("romance",)
        assert (photo.width, photo.height) == (40, 30)
        assert pixels.shape == (3, 224, 224)
        assert abs(pixels[2, 0, 0] + 123.68 - int(Path(photo.uri).stem[4:])) < 1e-4


def check_letters(letters):
    found = {Path(letter.uri).name: letter for letter in letters}
    assert len(letters) == len(found) == 5
    told = {name: (item.stage, item.error, item.retryable, item.photo_id is None) for name, item in found.items()}
    assert told == {
        "empty.jpg": ("decode", "EmptyFile", False, False),
        "text.jpg": ("decode", "NotAnImage", False, False),
        "cut.png": ("decode", "TruncatedImage", False, False),
        "gone.jpg": ("read", "MissingFile", True, True),
        "good0.png#huge": ("read", "FileTooLarge", False, True),
    }


def test_composite(tmp_path):
    listings = write_photos(tmp_path)
    with TestPipeline() as pipeline:
        outputs = (
            pipeline
            | "Create listings" >> beam.Create(listings)
            | "Load images" >> LoadImages(RECIPE, max_bytes=10_000_000)
        )
        assert_that(outputs[RESULTS], check_loaded, label="Check photos")
        assert_that(outputs[DEAD_LETTERS], check_letters, label="Check dead letters")


def test_composite_without_photos():
    def nothing(elements):
        assert elements == []

    with TestPipeline() as pipeline:
        outputs = pipeline | "Create listings" >> beam.Create([]) | "Load images" >> LoadImages(RECIPE)
        assert_that(outputs[RESULTS], nothing, label="Check photos")
        assert_that(outputs[DEAD_LETTERS], nothing, label="Check dead letters")


@pytest.mark.parametrize("processes", [1, 2])
def test_what_some_photos_do_changes_no_order(tampered, tmp_path, processes):
    words = ["", "CRASH", "", "KILL", "SLEEP", "", "POISON", "", "FILL", "", ""]
    listings = []
    for place, word in enumerate(words):
        data = picture(place) + word.encode()
        (tmp_path / f"{place}.png").write_bytes(data)
        listings.append(listed(f"{tmp_path}/{place}.png", data))
    load = LoadImages(RECIPE, max_pixels=1_000_000, max_bytes=1_000_000, seconds=3.0, processes=processes)
    found = list(load_batch(listings, load.decoders, load.max_bytes, load.allowed))
    names = {
        "CRASH": "DecoderCrashed",
        "KILL": "DecoderKilled",
        "SLEEP": "DecoderTimeout",
        "FILL": "DecoderOutOfMemory",
    }
    for place, (one, word) in enumerate(zip(found, words, strict=True)):
        if word in names:
            assert one.tag == DEAD_LETTERS
            assert (one.value.uri, one.value.error) == (listings[place].uri, names[word])
        else:
            assert one[0].uri == listings[place].uri
            assert round(float(one[1][2, 0, 0] + 123.68)) == place


def test_a_bug_is_no_dead_letter_and_a_batch_may_be_left(tampered, tmp_path):
    listings = []
    for place, word in enumerate(["", "", "BUG", "", ""]):
        data = picture(place) + word.encode()
        (tmp_path / f"{place}.png").write_bytes(data)
        listings.append(listed(f"{tmp_path}/{place}.png", data))
    load = LoadImages(RECIPE, processes=2)
    loading = load_batch(listings, load.decoders, load.max_bytes, load.allowed)
    assert [next(loading)[0].uri for _ in range(2)] == [listing.uri for listing in listings[:2]]
    with pytest.raises(RuntimeError, match="not the photo's fault"):
        next(loading)
    loading = load_batch(listings[:2], load.decoders, load.max_bytes, load.allowed)
    next(loading)
    loading.close()
    assert all(process.ask(picture()) for process in load.decoders.get()._idle)  # none is in the midst of an answer


def test_the_next_pipeline_goes_on_with_the_same_processes(tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    load, processes = LoadImages(RECIPE, processes=1), []
    for _ in range(2):
        with TestPipeline("FnApiRunner") as root:
            loaded = root | beam.Create([listed(str(tmp_path / "a.png"), picture())]) | load
            assert_that(loaded[RESULTS] | beam.Map(len), equal_to([2]))
        (process,) = load.decoders.get()._idle
        processes.append(process._process)
    assert processes[0] is processes[1] and processes[0].poll() is None
