"""A hook of mkdocs: pages and pictures from outside docs/ come into the site, and links lead to the same files there.

Links in all pages are those of the repository, so that they work where the repository is read too. In the site docs/ is
the root, beside what is named here.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "NOTICE",
    "benchmarks/README.md",
    "configs/nightly.yaml",
    "configs/prices.yaml",
    "configs/training/own_decoder.yaml",
    "configs/training/pocket.yaml",
    "deploy/README.md",
    "samples/README.md",
    "samples/*.jpg",
)
LINK = re.compile(r"(\]\()([^)#:\s]+)(?=[#)])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Returns the site's files with those from outside docs/."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Returns a page's text with links as the site's folders have them."""
    return with_site_links(markdown, page.file.src_uri, outside=page.file.generated_by is not None)


def with_site_links(markdown: str, uri: str, outside: bool) -> str:
    """Returns a page's text with links as the site's folders have them.

    Args:
        markdown: a page's text, with links as the repository's folders have them.
        uri: the page in the site.
        outside: whether the page lies outside docs/ in the repository.
    """
    here = posixpath.dirname(uri if outside else f"docs/{uri}")

    def site_link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, found[2])).removeprefix("docs/")
        return found[1] + posixpath.relpath(target, posixpath.dirname(uri) or ".")

    return LINK.sub(site_link, markdown)
