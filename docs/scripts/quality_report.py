"""Writes the measured parts of docs/explanation/quality.md.

Usage: `python docs/scripts/quality_report.py PACK DATA TRAINING [PART ...]`.

PARTS are figures, curves, ablation, photos and samples; all of them where none is named. TRAINING is the folder that
`pipelines.train pack` leaves beside the pack. What people wrote between the parts stays.
"""

import re
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from model_handlers.pack import Pack  # noqa: E402  (the repository's root must be on the path first)
from pipelines.evaluation.photos import find_files, read_table, select  # noqa: E402
from pipelines.evaluation.stories_task import TASK, tell_all  # noqa: E402
from pipelines.evaluation.table import flatten  # noqa: E402
from pipelines.story import load_all  # noqa: E402
from pipelines.telling.settings import SAMPLES  # noqa: E402
from transforms.rows import Row  # noqa: E402

PAGE = ROOT / "docs" / "explanation" / "quality.md"
IMAGES = ROOT / "docs" / "images"
SHOWN, ABLATED = 20, 20  # photos
CAPTIONS = 3

WANTED = {  # path of a figure: what is asked for at least, and what is hoped for
    "retrieval.image_to_text.R@1": ("24", "31"),
    "retrieval.image_to_text.R@5": ("50", "59"),
    "retrieval.image_to_text.R@10": ("62", "74"),
    "retrieval.text_to_image.R@1": ("17", "21"),
    "retrieval.text_to_image.R@5": ("41", "50"),
    "retrieval.text_to_image.R@10": ("54", "65"),
    "captions.*.CIDEr": ("0.45", "0.6"),
    "decoder.perplexity": ("at most 55", "38"),
    "decoder.perplexity_wrong_vector": ("twice the own", ""),
    "decoder.unk_rate": ("at most 0.03", ""),
    "reconstruction.books.bleu": ("10", "30"),
    "reconstruction.books.content": ("30", "60"),
    "reconstruction.captions.bleu": ("15", "30"),
    "reconstruction.captions.content": ("45", "60"),
    "stories.styles.*.novel": ("95", "99"),
    "stories.styles.*.about_photo": ("60", "85"),
    "stories.styles.*.same_story": ("at most 1", "0"),
    "stories.styles.*.repeats": ("at most 2", "0"),
    "stories.styles.romance.words": ("40 to 120", ""),
}
ABLATION = {
    "as the pack chooses": [],
    "no shift": ["style_strength=0"],
    **{f"strength {strength}": [f"style_strength={strength}"] for strength in (0.5, 0.75, 1.25, 1.5)},
    "shift by the mean": ["shift=mean"],
    "shift by spread": ["shift=spread"],
    **{f"k = {count}": [f"captions_per_photo={count}"] for count in (1, 3, 10, 30, 100)},
    **{f"width {width}": [f"beam_width={width}"] for width in (1, 5, 20, 50)},
    "no rules": ["min_words=0", "max_words=1000", "no_repeat=0", "contrast=0"],
    "no contrast": ["contrast=0"],
    "captions retrieved": ["captions=retrieved"],
    "captions written": ["captions=written"],
}
MEASURED = ("novel", "about_photo", "about_another", "rarest_word", "same_story", "repeats", "words", "distinct_2")


def wanted(path: str) -> tuple[str, str]:
    """Returns what is asked of a figure, and hoped for."""
    for pattern, both in WANTED.items():
        if re.fullmatch(re.escape(pattern).replace(r"\*", "[^.]+"), path):
            return both
    return "", ""


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Returns a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def figures(pack: str, data: Path, training: Path) -> Iterator[str]:
    """Yields a table for each task of `pipelines.evaluate`, from the pack's card, with the command behind it."""
    for task, quality in Pack.open(pack).card["quality"].items():
        paths = [(path, value) for path, value in flatten(quality) if path != "command"]
        rows = [(f"`{path}`", value, *wanted(f"{task}.{path}")) for path, value in paths]
        yield f"`python -m {quality['command']}`\n\n" + table(("", "this pack", "at least", "aim"), rows)


def curves(pack: str, data: Path, training: Path) -> Iterator[str]:
    """Yields the learning curves of all networks, whose pictures it copies."""
    for folder in ("joint", "thoughts", "writer", "decoder"):
        if (training / folder / "curves.png").exists():
            shutil.copyfile(training / folder / "curves.png", IMAGES / f"curves_{folder}.png")
            yield f"![{folder}](../images/curves_{folder}.png)\n"


def ablation(pack: str, data: Path, training: Path) -> Iterator[str]:
    """Yields a table of measures of romances under other settings."""
    books = [str(training / "prepared" / "held_out_books" / "*.txt")]
    has_spread = "romance" in Pack.open(pack).spreads
    rows = []
    for name, settings in ABLATION.items():
        if "spread" in name and not has_spread:
            continue
        flags = Namespace(
            pack=pack,
            photos=str(data / "flickr8k" / "images"),
            captions=str(data / "flickr8k" / "captions.tsv"),
            split="dev",
            limit=ABLATED,
            style="romance",
            texts=books,
            probe_captions=None,
            set=settings,
            device="auto",
            batch_size=32,
        )
        measured = TASK.run(flags)["styles"]["romance"]
        rows.append((name, *(f"{measured[key]:.3g}" for key in MEASURED)))
        print(rows[-1], file=sys.stderr)
    yield table(("", *MEASURED), rows)


def told(rows: Sequence[Row]) -> str:
    """Returns a photo's captions, and its story in each style."""
    captions = "".join(f"- {match['similarity']:.2f} {match['caption']}\n" for match in rows[0]["captions"][:CAPTIONS])
    return captions + "\n" + "\n".join(f"**{row['style']}:** {row['story']}\n" for row in rows)


def by_photo(pack: str, listings: Sequence[Any]) -> Iterator[tuple[str, list[Row]]]:
    """Yields each photo's file name, and its rows in all styles of the pack."""
    models = load_all(pack, style=",".join(Pack.open(pack).styles))
    rows = tell_all(models, listings)
    for listing in listings:
        yield listing.uri.rsplit("/", 1)[-1], [row for row in rows if row["uri"] == listing.uri]


def photos(pack: str, data: Path, training: Path) -> Iterator[str]:
    """Yields what the pack tells of the first held-out photos."""
    captions = str(data / "flickr8k" / "captions.tsv")
    chosen = select(read_table(captions), Namespace(split="dev", captions=captions))[:SHOWN]
    for name, rows in by_photo(pack, find_files(chosen, str(data / "flickr8k" / "images"))):
        yield f"### {name}\n\n{told(rows)}"


def samples(pack: str, data: Path, training: Path) -> Iterator[str]:
    """Yields what the pack tells of samples/, with the pictures."""
    chosen = [Namespace(image=path.name) for path in sorted(Path(SAMPLES).glob("*.jpg"))]
    for name, rows in by_photo(pack, find_files(chosen, SAMPLES)):  # type: ignore[arg-type]
        yield f"### {name}\n\n![{name}](../../samples/{name})\n\n{told(rows)}"


PARTS: dict[str, Callable[[str, Path, Path], Iterator[str]]] = {
    part.__name__: part for part in (figures, curves, ablation, photos, samples)
}


def main(argv: list[str]) -> None:
    """Writes the parts anew."""
    pack, data, training, *names = argv
    for name in names or PARTS:
        text = "\n".join(PARTS[name](pack, Path(data), Path(training)))
        page = PAGE.read_text(encoding="utf-8")
        start, end = f"<!-- {name}: written by docs/scripts/quality_report.py -->\n", f"<!-- end of {name} -->"
        before, rest = page.split(start)
        PAGE.write_text(f"{before}{start}\n{text}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
