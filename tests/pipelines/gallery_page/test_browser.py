"""The page in a real browser, headless: opened from a folder and over http, by mouse and by keyboard."""

import re
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipelines.gallery_page.page_folder import Folder
from pipelines.gallery_page.pages import table_index, write_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
expect = playwright.expect
expect.set_options(timeout=60_000)  # machines may be busy
pytestmark = pytest.mark.slow

HOSTILE = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"> \' & \u2028'


def names(page: Any) -> list[str]:
    """Returns the headings of the cards in view."""
    return page.locator("article:visible h3").all_inner_texts()


def test_pages_are_clicked_through(gallery: Path, visit: Callable[..., Any]) -> None:
    page = visit(gallery)
    status = page.get_by_role("status")
    expect(status).to_have_text("62 photos, page 1 of 3")
    first = names(page)
    assert first[:3] == ["00.jpg", "<b>hostile.jpg", "01.jpg"] and len(first) == 24
    pages = page.get_by_role("navigation", name="Pages")
    expect(pages.get_by_role("button", name="Previous")).to_be_disabled()
    pages.get_by_role("button", name="Next").click()
    expect(status).to_have_text("62 photos, page 2 of 3")
    second = names(page)
    pages.get_by_role("button", name="Last").click()
    expect(status).to_have_text("62 photos, page 3 of 3")
    assert len({*first, *second, *names(page)}) == 62
    expect(pages.get_by_role("button", name="Next")).to_be_disabled()
    page.go_back()
    expect(status).to_have_text("62 photos, page 2 of 3")
    assert names(page) == second


def test_style_and_text_filter(gallery: Path, visit: Callable[..., Any]) -> None:
    page = visit(gallery)
    status = page.get_by_role("status")
    page.get_by_label("Style").select_option("austen")
    expect(status).to_have_text("30 of 62 photos, page 1 of 2")
    assert page.locator("article h4").all_inner_texts() == ["AUSTEN"] * 24
    page.get_by_label("Text").fill("PLAIN tale")
    expect(status).to_have_text("30 of 62 photos, page 1 of 2")
    page.get_by_label("Text").fill("caption of 07")
    expect(status).to_have_text("1 of 62 photos")
    assert names(page) == ["07.jpg"]
    page.reload()
    expect(status).to_have_text("1 of 62 photos")
    expect(page.get_by_label("Text")).to_have_value("caption of 07")
    page.get_by_label("Text").fill("photo 07")  # in the other style's story
    expect(status).to_have_text("None of 62 photos fits")
    page.get_by_role("button", name="Show all").click()
    expect(status).to_have_text("62 photos, page 1 of 3")


def test_markup_in_texts_stays_text(gallery: Path, visit: Callable[..., Any]) -> None:
    page = visit(gallery, "#photos?text=hacked")
    expect(page.get_by_role("status")).to_have_text("1 of 62 photos")
    card = page.get_by_role("article", name="<b>hostile.jpg")
    assert card.locator(".told").text_content() == HOSTILE == card.locator(".caption").text_content()
    assert card.get_by_role("img").get_attribute("alt") == HOSTILE
    page.get_by_role("link", name="Dead letters").click()
    assert page.locator(".message").text_content() == HOSTILE
    page.get_by_role("link", name="Differences").click()
    expect(page.get_by_role("article", name="<b>hostile.jpg").locator(".told")).to_have_text(HOSTILE)
    assert page.evaluate("window.hacked") is None
    assert page.locator("article script, article img:not([src^=thumbnails]), article b").count() == 0


def test_differences_and_dead_letters_are_told(gallery: Path, visit: Callable[..., Any]) -> None:
    page = visit(gallery, "#differences")
    expect(page.get_by_role("status")).to_have_text("33 differences, page 1 of 2")
    assert page.get_by_label("Kind").get_by_role("option").all_inner_texts() == ["All", "changed", "gone", "new"]
    page.get_by_label("Kind").select_option("changed")
    expect(page.get_by_role("status")).to_have_text("1 of 33 differences")
    assert page.locator("article:visible .told").all_inner_texts() == ["The story of photo 00.", "Another story."]
    page.get_by_role("link", name="Dead letters").click()
    expect(page.get_by_role("status")).to_have_text("1 dead letter")
    expect(page.get_by_text("DamagedImage at the stage decode · waits for a new version")).to_be_visible()


def test_plots_lead_to_the_photos(gallery: Path, visit: Callable[..., Any]) -> None:
    page = visit(gallery, "#plots")
    expect(page.get_by_role("img", name="Length, austen: 30 stories, median 7")).to_be_visible()
    assert page.locator("svg").count() == 8
    heights = (
        page.locator("svg").nth(1).locator("rect").evaluate_all("bars => bars.map((bar) => bar.height.baseVal.value)")
    )
    assert max(heights) > 100
    page.get_by_text("Numbers of length").click()
    expect(page.get_by_role("cell", name="30", exact=True)).to_be_visible()
    page.get_by_role("link", name="A plain tale of nothing at all.").click()
    expect(page.get_by_role("status")).to_have_text("30 of 62 photos, page 1 of 2")


def test_a_bucket_serves_it_too(gallery: Path, visit: Callable[..., Any]) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(gallery)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (gallery / "favicon.ico").write_bytes(b"")  # browsers ask servers for one
    try:
        page = visit(gallery, root=f"http://127.0.0.1:{server.server_port}")
        expect(page.get_by_role("status")).to_have_text("62 photos, page 1 of 3")
        assert (
            page.locator("article img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 480
        )
    finally:
        server.shutdown()


def test_ten_thousand_photos_stay_quick(tmp_path: Path, visit: Callable[..., Any], gallery: Path) -> None:
    """One data file and the pictures near the window are loaded at first; a second search loads nothing."""
    shutil.copytree(gallery / "thumbnails", tmp_path / "thumbnails")
    pictures = sorted(path.name for path in (tmp_path / "thumbnails").iterdir())
    texts = {"captions": [["a man on a rock looking at the sea", 0.5]] * 5, "width": 640, "height": 360}
    story = "The man was standing on a rock, and looked at the sea. " * 6
    photos = [
        {"uri": f"gs://photos/{place:05d}.jpg", "thumbnail": pictures[place % len(pictures)], **texts}
        | {
            "stories": [
                {"style": style, "story": f"{story} Number {place}.", "words": 70, "cost": 20.0, "run": 1}
                for style in ("austen", "romance")
            ]
        }
        for place in range(10_000)
    ]
    run = {"number": 1, "run_id": "night", "committed": "2026-11-25T01:00:00+00:00", "counts": {}, "pack": "tiny"}
    tables = {name: table_index([]) for name in ("differences", "letters")}
    tables["photos"] = table_index([["austen", "romance"]] * len(photos))
    figures = {"histograms": [], "shared": []}
    summary = {"runs": [run], "run": None, "compared": [], "tables": tables, "figures": figures}
    write_page(Folder(str(tmp_path)), summary, {"photos": photos})
    asked: list[str] = []
    page = visit(tmp_path, asked=asked)
    status = page.get_by_role("status")
    expect(status).to_have_text("10,000 photos, page 1 of 417")
    assert [Path(url).name for url in asked if "/photos-" in url] == ["photos-00000.js"]
    assert page.locator("article").count() == 24
    images = page.locator("article img")
    assert images.first.evaluate("image => image.decode().then(() => image.complete)")
    assert not images.last.evaluate("image => image.complete && image.naturalWidth > 0")
    for text, found in (("number 9876.", "09876.jpg"), ("number 123.", "00123.jpg")):
        begun = time.monotonic()
        page.get_by_label("Text").fill(text)
        expect(page.get_by_role("article")).to_have_text([re.compile(found)])
        expect(status).to_have_text("1 of 10,000 photos")
        print(f"{text} found in {time.monotonic() - begun:.1f} s")
    assert sum("/photos-" in url for url in asked) == 50
    assert time.monotonic() - begun < 20  # a fraction of a second on a machine that is not busy
