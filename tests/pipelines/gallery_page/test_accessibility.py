"""The page with only a keyboard, for screen readers, in light and dark, and on a small phone, in a real browser."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
expect = playwright.expect
expect.set_options(timeout=60_000)  # machines may be busy
pytestmark = pytest.mark.slow

CONTRAST = 4.5  # least of text and background, by WCAG 2


def test_the_keyboard_alone_does_it(gallery: Path, visit: Callable[..., Any]) -> None:
    page = visit(gallery)
    status = page.get_by_role("status")
    focused = partial(page.evaluate, "document.activeElement.textContent.trim() || document.activeElement.name")
    press = page.keyboard.press
    press("Tab")
    assert focused() == "Skip to the content"
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    press("Enter")
    press("Tab")
    assert focused() == "text"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.type("story of photo")
    expect(status).to_have_text("59 of 62 photos, page 1 of 3")
    press("Tab")
    page.keyboard.type("austen")
    expect(status).to_have_text("None of 62 photos fits")
    press("Tab")
    assert focused() == "Show all"
    press("Enter")
    expect(status).to_have_text("62 photos, page 1 of 3")
    press("Tab")
    assert focused() == "Next"
    press("Enter")
    expect(status).to_have_text("62 photos, page 2 of 3")
    assert focused() == "Photos"  # the heading, where the next Tab goes on from
    page.get_by_role("link", name="Plots").focus()
    press("Enter")
    expect(page.get_by_role("heading", name="Plots")).to_be_focused()


def test_a_screen_reader_finds_its_way(gallery: Path, visit: Callable[..., Any]) -> None:
    page = visit(gallery, "#photos?text=of+07")
    expect(page.get_by_role("status")).to_have_text("1 of 62 photos")
    expect(page.locator("body")).to_match_aria_snapshot(
        """
        - link "Skip to the content"
        - banner:
          - heading "Beam Storyteller" [level=1]
          - navigation "Views":
            - list:
              - listitem:
                - link "Photos"
              - listitem:
                - link "Differences"
              - listitem:
                - link "Dead letters"
              - listitem:
                - link "Plots"
        - main:
          - region "Photos":
            - heading "Photos" [level=2]
            - search:
              - text: Text
              - searchbox "Text"
              - text: Style
              - combobox "Style"
              - button "Show all"
            - status: 1 of 62 photos
            - list:
              - listitem:
                - article "07.jpg":
                  - img "a caption of 07.jpg"
                  - list "Nearest captions":
                    - listitem: a caption of 07.jpg similarity 0.50
                  - heading "07.jpg" [level=3]
                  - heading "austen" [level=4]
                  - heading "romance" [level=4]
        """
    )
    expect(page.get_by_role("link", name="Photos")).to_have_attribute("aria-current", "page")
    for view in ("Differences", "Dead letters", "Plots"):
        page.get_by_role("link", name=view).click()
        expect(page.get_by_role("region", name=view)).to_be_visible()
        assert page.locator("section[id]:visible").count() == 1
        unnamed = page.locator("img:not([alt]), svg:not([aria-label]), button:empty, [role=img]:not([aria-label])")
        assert unnamed.count() == 0
    assert page.title() == "Plots – Beam Storyteller"


def test_a_photo_that_is_gone_has_a_placeholder(gallery: Path, visit: Callable[..., Any]) -> None:
    page = visit(gallery, "#photos?text=gone.jpg")
    placeholder = page.get_by_role("article", name="gone.jpg").get_by_role("img")
    expect(placeholder).to_have_accessible_name(
        f"a caption of gone.jpg (no picture: {gallery.parent}/photos/gone.jpg does not exist, or not any more)"
    )


READ_CONTRASTS = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" ? ground(element.parentElement) : colour;
  };
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.querySelectorAll("body *")]
    .filter((element) => own(element) && element.checkVisibility() && !element.disabled && element.tagName !== "title")
    .map((element) => {
      const style = getComputedStyle(element);
      const colour = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
      const [high, low] = [light(colour), light(ground(element))].sort((one, other) => other - one);
      return [`${element.tagName}.${element.className.baseVal ?? element.className}`, (high + 0.05) / (low + 0.05)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["photos", "differences", "letters", "plots"])
def test_all_text_stands_out(gallery: Path, visit: Callable[..., Any], view: str, scheme: str) -> None:
    page = visit(gallery, f"#{view}", color_scheme=scheme)
    expect(page.locator("article, svg").locator("visible=true").first).to_be_visible()
    found = page.evaluate(READ_CONTRASTS)
    assert len(found) > 10
    assert [(name, ratio) for name, ratio in found if ratio < CONTRAST] == []


@pytest.mark.parametrize("view", ["photos", "differences", "letters", "plots"])
def test_nothing_is_cut_off_on_a_small_phone(gallery: Path, visit: Callable[..., Any], view: str) -> None:
    page = visit(gallery, f"#{view}", viewport={"width": 320, "height": 640})
    expect(page.locator("article, svg").locator("visible=true").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
