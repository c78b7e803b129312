"""Draws docs/images/gallery.png, the morning page in Chromium: `python docs/scripts/gallery_picture.py PAGE_FOLDER`."""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1200, 1000


def draw(page: Path, target: Path) -> None:
    """Writes what a reader sees first of a page that `python -m pipelines.gallery` made."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium")
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        tab.goto(f"{page.resolve().as_uri()}/index.html")
        tab.locator("article img").first.wait_for()
        tab.wait_for_load_state("networkidle")
        tab.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).parents[1] / "images" / "gallery.png")
