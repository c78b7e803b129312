"""The pages: links lead somewhere, tables are fresh and complete, and the site is built strictly."""

import importlib
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.scripts.option_table import PAGE, main, table, with_table
from docs.scripts.site_files import with_site_links
from pipelines.storyteller import COMMANDS
from transforms.rows import SCHEMAS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *ROOT.glob("*.md"),
    *DOCS.rglob("*.md"),
    *(ROOT / name / "README.md" for name in ("deploy", "samples", "benchmarks")),
]
SLUG = re.compile(r"[^\w\- ]")
FILE = re.compile(
    r"(?:configs|model_handlers|transforms|pipelines|tests|docs|benchmarks|deploy)/[\w/-]+\.(?:py|md|ya?ml|json|svg)"
)
LEFT_OUT = re.compile(
    r"\bforet(?:ell|old)|\bdearest\b|\bappetite|\bkin\b|\btell(?:s|ing)? (?:\w+ ){0,2}photos?\b"
    r"|\bphotos? (?:that )?(?:is|are|was|were|be) told\b",
    re.IGNORECASE,
)


def text_of(page: Path) -> str:
    """Returns a page's text."""
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as mkdocs and code hosts make them."""
    return {
        SLUG.sub("", heading.strip().lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    }


def broken_links(page: Path) -> Iterator[str]:
    """Yields the links and pictures of a page that lead nowhere."""
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", [*PAGES, *DOCS.rglob("*.svg")], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_exist(page: Path) -> None:
    assert [file for file in FILE.findall(text_of(page)) if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_words_that_nobody_says_are_left_out(page: Path) -> None:
    assert LEFT_OUT.findall(text_of(page)) == []


def test_site_is_built_strictly(tmp_path: Path) -> None:
    run = build_site(ROOT / "mkdocs.yml", tmp_path / "site")
    assert run.returncode == 0, run.stderr
    start = (tmp_path / "site/index.html").read_text()
    assert not re.findall(r'(?:src|href)="https?://(?!squidfunk|beam\.apache)', start), "the site asks another host"
    assert (tmp_path / "site/samples/boats.jpg").exists() and not list((tmp_path / "site").rglob("*.py"))
    assert "Returns the newest story of each photo" in (tmp_path / "site/reference/python.html").read_text()


@pytest.mark.parametrize(
    "wrong",
    [
        "[a](nowhere.md)",
        "[a](reference/options.md#nowhere)",
        "![a](images/nowhere.png)",
        "::: pipelines.catalog.nowhere",
    ],
)
def test_site_fails_where_something_is_missing(tmp_path: Path, wrong: str) -> None:
    settings = re.sub(r"^nav:.*", "", text_of(ROOT / "mkdocs.yml"), flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "docs/reference").mkdir(parents=True)
    (tmp_path / "docs/reference/options.md").write_text("# Options\n")
    (tmp_path / "docs/site.css").touch()
    page = tmp_path / "docs/index.md"
    for text, code in ((f"# A page\n\n{wrong}\n", 1), ("# A page\n\n[a](reference/options.md#options)\n", 0)):
        page.write_text(text)
        (tmp_path / "mkdocs.yml").write_text(
            re.sub(r"^hooks:.*$", "", settings, flags=re.MULTILINE).replace("paths: [.]", f"paths: [{ROOT}]")
        )
        run = build_site(tmp_path / "mkdocs.yml", tmp_path / "site")
        assert run.returncode == code, run.stderr


def build_site(settings: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Returns the finished build of a site."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(settings), "-d", str(site)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("uri", "outside", "link", "expected"),
    [
        ("how-to/gpu.md", False, "../reference/options.md", "../reference/options.md"),
        ("how-to/gpu.md", False, "../../deploy/README.md#airflow", "../deploy/README.md#airflow"),
        ("deploy/README.md", True, "../docs/how-to/gpu.md", "../how-to/gpu.md"),
        ("CHANGELOG.md", True, "docs/how-to/gpu.md", "how-to/gpu.md"),
        ("index.md", False, "https://example.org/docs/a", "https://example.org/docs/a"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(uri: str, outside: bool, link: str, expected: str) -> None:
    assert with_site_links(f"a [b]({link}) c", uri, outside) == f"a [b]({expected}) c"


def test_table_of_options_is_fresh(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["option_table.py", "--check"])
    assert main() == 0, capsys.readouterr().err
    stale = text_of(PAGE).replace("| `--input` |", "| `--inputs` |")
    assert stale != text_of(PAGE) == with_table(stale)
    assert "`--beam-width`" in table()


def test_every_column_is_explained() -> None:
    page = text_of(DOCS / "reference/table.md")
    for name, heading in (
        ("stories", "Stories"),
        ("dead_letters", "Dead letters"),
        ("ledger", "Ledger"),
        ("features", "Features"),
    ):
        section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        first_cells = " ".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE))
        assert set(SCHEMAS[name].names) <= set(re.findall(r"`(\w+)`", first_cells)), name


def test_every_command_has_its_line() -> None:
    listed = re.findall(r"^\| `([\w-]+)` \|", text_of(DOCS / "reference/commands.md"), re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


def test_readme_is_short_and_begins_with_the_commands_that_people_want() -> None:
    readme = text_of(ROOT / "README.md")
    assert len(readme.splitlines()) <= 250
    for command in ("make demo", "make test", "storyteller run", "storyteller story", "storyteller gallery"):
        assert re.search(rf"^    {command}\b", readme, re.MULTILINE), command


def test_map_says_where_a_change_goes_and_what_tests_it() -> None:
    section = text_of(ROOT / "CONTRIBUTING.md").partition("\n## You want to change X\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 20
    for change, places, test in rows:
        named = re.findall(r"`([^`]+)`", places)
        assert named and all((ROOT / name).is_file() for name in named), change
        assert FILE.fullmatch(test.strip("`")) and test.startswith("`tests/"), change


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/explanation/architecture.md", "docs/images/folders.svg"])
def test_each_folder_of_the_code_is_explained(page: str) -> None:
    folders = {path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py")}
    assert {"tables", "nightly"} <= folders
    assert [name for name in sorted(folders) if not re.search(rf"\b{name}\b", text_of(ROOT / page))] == []


def test_contributing_has_the_order_of_imports_that_is_checked() -> None:
    layout = runpy.run_path(str(ROOT / "tests/test_import_rules.py"))["LAYOUT"]
    rows = re.findall(r"^\| `pipelines/(\w+)/` \| .* \|(.*)\|$", text_of(ROOT / "CONTRIBUTING.md"), re.MULTILINE)
    assert {name: set(re.findall(r"`(\w+)`", imports)) for name, imports in rows} == layout
    for place, (_, imports) in enumerate(rows):
        assert set(re.findall(r"`(\w+)`", imports)) <= {name for name, _ in rows[:place]}, "from above to below"


def test_figures_of_the_readme_are_those_of_the_page() -> None:
    section = text_of(ROOT / "README.md").partition("\n## How fast\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)`.* \| ([\d.]+ \w+).* \| ([\d.]+ times)", section, re.MULTILINE)
    assert len(rows) == 5
    page = text_of(DOCS / "explanation/speed.md")
    for stage, ours, theirs in rows:
        assert re.search(rf"^\| `{stage}`.* \| {re.escape(ours)}\b.* \| {re.escape(theirs)}", page, re.MULTILINE), stage


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_of_a_page_imports_what_there_is(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL):
        compile(block, str(page), "exec")
        for module, names in re.findall(r"^from (\S+) import (.+)$", block, re.MULTILINE):
            found = importlib.import_module(module)
            assert [name for name in names.split(", ") if not hasattr(found, name)] == [], module
