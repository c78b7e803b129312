"""A folder of the files published in 2015 becomes a model pack."""

from pathlib import Path

from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.pack_writer import PackWriter
from pipelines.originals.import_report import ImportReport
from pipelines.originals.originals_folder import OriginalsFolder

LICENCE = (
    "The code of skip-thoughts and visual-semantic-embedding is Apache-2.0; neural-storyteller names no licence, and "
    "nothing is said of the model files, save VGG-19's: non-commercial use only."
)
TRAINING_DATA = "VGG-19: ImageNet. Joint embedding and captions: COCO. Skip-thoughts and decoders: BookCorpus."


def import_originals(
    source: Path, output: str, name: str | None = None, published_only: bool = False, report: ImportReport | None = None
) -> Pack:
    """Returns the model pack made of the original files in `source`.

    Args:
        source: folder of original files; those in folders right below it count too.
        output: new local folder of the pack.
        name: the pack's name, by default the folder's.
        published_only: treat files that are not the published ones as damaged.
        report: receives every problem, missing file and remark.

    Raises:
        PackError: files are damaged or none can be used, or the output exists already or is not local; lists all.
    """
    report = report or ImportReport()
    if not source.is_dir():
        raise PackError([f"{source}: no such folder; name the one that holds the original files"])
    writer = PackWriter(output)
    try:
        folder = OriginalsFolder(source, writer, report)
        folder.convert()
        folder.check_published(published_only)
        if not writer.components and not report.problems:
            report.problem(f"{source}: holds no original file that can be used; see what is missing above")
        if report.problems:
            raise PackError(report.problems)
        _fill_card(writer, folder, name)
        report.say("hashing the pack")
        return writer.finish()
    finally:
        writer.discard()


def _fill_card(writer: PackWriter, folder: OriginalsFolder, name: str | None) -> None:
    """Writes the entries of the card other than components and files."""
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
