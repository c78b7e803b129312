"""Committed runs made without any network, and their photos."""

import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest
from PIL import Image

from pipelines.gallery import main
from pipelines.tables.commits import Run, commit
from pipelines.tables.manifests import read_manifests
from transforms.records import DeadLetter, Outcome
from transforms.rows import dead_letter_row, ledger_row
from transforms.write import write_shard

CHROMIUM = shutil.which("chromium")
PHOTOS = 60
HOSTILE = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"> \' & \u2028'
GPS = {1: "N", 2: (47.0, 22.0, 0.0), 3: "E", 4: (8.0, 32.0, 0.0)}


def photo_bytes(colour: str, size: tuple[int, int] = (640, 360), orientation: int = 1) -> bytes:
    """Returns a JPEG that says where it was taken and who took it."""
    image = Image.new("RGB", size, colour)
    exif = image.getexif()
    exif[0x0112] = orientation
    exif[0x013B] = "A. Photographer"
    exif.get_ifd(0x8825).update(GPS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif, comment=b"taken at home")
    return buffer.getvalue()


@dataclass(frozen=True)
class Nights:
    """An OUTPUT that runs are committed to, and a folder of photos."""

    output: str
    photos: Path
    hostile: str = HOSTILE

    def photo(self, name: str, colour: str = "teal", **options: Any) -> str:
        """Returns the path of a photo, written."""
        self.photos.mkdir(exist_ok=True)
        (self.photos / name).write_bytes(photo_bytes(colour, **options))
        return str(self.photos / name)

    def told(self, uri: str, story: str, style: str = "romance", **changes: Any) -> dict[str, Any]:
        """Returns a story row of a photo as it is now."""
        content = Path(uri).read_bytes() if Path(uri).is_file() else uri.encode()
        return {
            "uri": uri,
            "photo_id": hashlib.sha256(content).hexdigest(),
            "width": 640,
            "height": 360,
            "captions": [{"caption": f"a caption of {Path(uri).name}", "similarity": 0.5}],
            "style": style,
            "story": story,
            "passage": story,
            "cost": 20.0,
            "words": len(story.split()),
            "decoder": "books",
            "pack": "tiny",
            "pack_digest": "pack",
            "settings_digest": "settings",
        } | changes

    def letter(self, uri: str, message: str, **changes: Any) -> DeadLetter:
        """Returns a dead letter of a photo."""
        facts: dict[str, Any] = {"photo_id": None, "stage": "decode", "error": "DamagedImage", "retryable": False}
        return DeadLetter(**{"uri": uri, "version": "1", "message": message} | facts | changes)

    def night(
        self, name: str, stories: list[dict[str, Any]], letters: list[DeadLetter] | None = None, **others: list[str]
    ) -> dict[str, Any]:
        """Returns the manifest of a committed run; `others` are uris by outcome, in the style romance."""
        letters = letters or []
        run = Run(self.output, name, "2026-11-25T01:00:00+00:00", {}, name, {"digest": "pack", "name": "tiny"}, 1.0)
        outcomes = [(row["uri"], row["style"], "story") for row in stories]
        outcomes += [(letter.uri, "romance", "dead_letter") for letter in letters]
        outcomes += [(uri, "romance", outcome) for outcome, uris in others.items() for uri in uris]
        tables = {
            "stories": stories,
            "dead_letters": [dead_letter_row(letter) for letter in letters],
            "ledger": [
                ledger_row(Outcome(uri, "1", None, style, outcome), "pack", name) for uri, style, outcome in outcomes
            ],
        }
        return commit(
            run,
            [write_shard((0, rows), self.output, f"{run.folder}/", table, 1) for table, rows in tables.items() if rows],
        )

    @property
    def manifests(self) -> list[dict[str, Any]]:
        return read_manifests(self.output)


@pytest.fixture(scope="session")
def nights_in() -> Callable[[Path], Nights]:
    """Returns a function from a folder to an OUTPUT in it, without a run."""
    return lambda folder: Nights(str(folder / "stories"), folder / "photos")


@pytest.fixture
def nights(nights_in: Callable[[Path], Nights], tmp_path: Path) -> Nights:
    """Returns an OUTPUT without a run."""
    return nights_in(tmp_path)


@pytest.fixture
def store() -> Iterator[str]:
    """Yields a folder in a store that has no folders."""
    yield "memory://page"
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Yields Debian's Chromium."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, nights_in: Callable[[Path], Any]) -> Path:
    """Returns a page of two nights: photos in one style or two, hostile texts, a photo that is gone, dead letters."""
    folder = tmp_path_factory.mktemp("gallery")
    nights = nights_in(folder)
    uris = [nights.photo(f"{number:02d}.jpg", f"hsl({number * 6}, 60%, 50%)") for number in range(PHOTOS)]
    stories = [nights.told(uri, f"The story of photo {Path(uri).stem}.") for uri in uris]
    stories += [nights.told(uri, "A plain tale of nothing at all.", "austen") for uri in uris[:30]]
    nights.night("first", [*stories, nights.told(f"{nights.photos}/gone.jpg", "It is gone.")])
    hostile = nights.photo("<b>hostile.jpg", "crimson")
    captions = [{"caption": nights.hostile, "similarity": 0.9}]
    told = [nights.told(hostile, nights.hostile, captions=captions), nights.told(uris[0], "Another story.")]
    nights.night("second", told, [nights.letter("broken.jpg", nights.hostile)], unchanged=uris[1:])
    assert main([nights.output, "--output", str(folder / "page")]) == 0
    return folder / "page"


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Yields a function that opens a page and lists what it asks for; at the end no page has had an error, or asked for
    what is not its own."""
    problems: list[str] = []
    contexts = []

    def open_page(folder: Path, view: str = "", root: str = "", asked: list[str] | None = None, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        root = root or folder.as_uri()
        page.on("console", lambda line: problems.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(f"{request.url} failed"))
        requests = [] if asked is None else asked
        page.on("request", lambda request: requests.append(request.url))
        page.on("request", lambda request: request.url.startswith(root) or problems.append(f"{request.url} asked for"))
        page.goto(f"{root}/index.html{view}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
