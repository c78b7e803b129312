"""Turns the files published in 2015 into a model pack.

    python -m pipelines.import_originals --source DIR --output PACK

Whatever of them is there is used: VGG-19 in any of three forms, the joint embedding, captions, skip-thoughts, story
decoders and styles. Exit codes: 0 the pack is made, 2 a file is damaged or nothing can be used.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.pack_writer import PackWriter
from pipelines.originals.import_report import Report
from pipelines.originals.originals_folder import Folder

LICENCE = (
    "The code of skip-thoughts and visual-semantic-embedding is Apache-2.0; neural-storyteller names no licence, and "
    "nothing is said of the model files, save VGG-19's: non-commercial use only."
)
TRAINING_DATA = "VGG-19: ImageNet. Joint embedding and captions: COCO. Skip-thoughts and decoders: BookCorpus."


def main(argv: Sequence[str] | None = None) -> int:
    """Imports a folder and returns the exit code."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="pipelines.import_originals", description=__doc__, formatter_class=raw)
    parser.add_argument("--source", required=True, help="folder of original files")
    parser.add_argument("--output", required=True, help="new folder of the model pack")
    parser.add_argument("--name", help="name of the pack (default: the folder's)")
    parser.add_argument("--published-only", action="store_true", help="refuse files that are not those once published")
    options = parser.parse_args(argv)
    report = Report()
    try:
        pack = import_originals(Path(options.source), options.output, options.name, options.published_only, report)
    except PackError as error:
        report.problem(*error.problems)
        pack = None
    _summarise(report, pack)
    return 0 if pack is not None else 2


def import_originals(
    source: Path, output: str, name: str | None = None, published_only: bool = False, report: Report | None = None
) -> Pack | None:
    """Returns the model pack made of the original files in `source`, or None if something is damaged.

    Args:
        source: folder of original files; those in folders right below it count too.
        output: new local folder of the pack.
        name: the pack's name, by default the folder's.
        published_only: take files that are not the published ones for damaged.
        report: keeps every problem, missing file and remark.

    Raises:
        PackError: the output exists already, or is not local.
    """
    report = report or Report()
    if not source.is_dir():
        report.problem(f"{source}: no such folder; name the one that holds the original files")
        return None
    writer = PackWriter(output)
    try:
        folder = Folder(source, writer, report)
        folder.convert()
        folder.check_published(published_only)
        if not writer.components and not report.problems:
            report.problem(f"{source}: holds no original file that can be used; see what is missing above")
        if report.problems:
            return None
        _fill_card(writer, folder, name)
        report.say("hashing the pack")
        return writer.finish()
    finally:
        writer.discard()


def _fill_card(writer: PackWriter, folder: Folder, name: str | None) -> None:
    """Writes everything into the card but the components and the files."""
    card = writer.card
    card["name"] = name or card["name"]
    card["licence"] = LICENCE
    card["provenance"] = {
        "imported_from": {name: folder.files[name].stat().st_size for name in sorted(folder.used)},
        "notes": folder.report.notes,
        "missing": folder.report.missing,
    }
    card["training_data"] = TRAINING_DATA
    card["quality"] = {}
    card["published"] = folder.report.published
    card["defaults"] = {
        kind: "romance" if "romance" in names else min(names)
        for kind, names in (("decoder", writer.components.get("decoders")), ("style", writer.components.get("styles")))
        if names
    }


def _summarise(report: Report, pack: Pack | None) -> None:
    """Says in the end what came out, everything at once."""
    for line in report.missing:
        print(f"missing  {line}")
    for name, published in report.published.items():
        if not published:
            print(f"warning  {name}: not the published file of that name (published: false in the card)")
    for line in report.problems:
        print(f"problem  {line}")
    if pack is None:
        print("No pack was made.")
    else:
        print(f"{pack.location}: {', '.join(sorted(pack.components))} (digest {pack.digest[:12]})")


if __name__ == "__main__":
    sys.exit(main())
