"""The morning page: `python -m pipelines.gallery OUTPUT --output DIR`."""

import sys
from argparse import Namespace
from collections.abc import Sequence

from configs.schema import ConfigError
from pipelines.cli.commands import ExitCode, Texts, command_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser
from pipelines.gallery_page.differences import compare_runs
from pipelines.gallery_page.page_figures import figures
from pipelines.gallery_page.page_folder import Folder
from pipelines.gallery_page.page_records import (
    Manifest,
    find_run,
    letter_records,
    newest_stories,
    photo_records,
    run_records,
)
from pipelines.gallery_page.pages import PAGE, is_free, table_index, write_page
from pipelines.gallery_page.thumbnails import Limits, thumbnail_name, update_thumbnails
from pipelines.tables.manifests import read_manifests
from transforms.decoding import DEFAULT_MAX_PIXELS
from transforms.load_images import DEFAULT_MAX_BYTES
from transforms.rows import Row
from transforms.storage import check_uri

DESCRIPTION = "Makes a page of the published photos, captions and stories, as static files that a browser opens."
EPILOG = "Exit codes: 0 done; 1 the page could not be made; 2 options are wrong, or nothing is published."
TEXTS = Texts("No page was made:", "Stopped; an earlier page is still whole", "The page could not be made")


def main(argv: list[str]) -> int:
    """Returns the exit code: 0, 1 where the page could not be made, 2 where an option is wrong."""
    return run_command(_run, argv, TEXTS)


def _run(argv: list[str]) -> int:
    make_gallery(command_line().parse_args(argv))
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = command_parser("gallery", DESCRIPTION, EPILOG)
    parser.add_argument("stories", metavar="OUTPUT", help="OUTPUT of the main job, a folder or URI")
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="folder or URI of the page: an empty one, or an earlier page"
    )
    parser.add_argument("--run", metavar="RUN", help="shows what one run told, by its id or the number of its commit")
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("RUN_A", "RUN_B"),
        help="shows what differs between two runs (default: between the last two)",
    )
    return parser


def make_gallery(flags: Namespace) -> None:
    """Writes the page and prints where it is.

    Raises:
        ConfigError: lists everything that is wrong with the options.
    """
    manifests, folder = check(flags)
    shown = [find_run(manifests, flags.run)] if flags.run else manifests
    stories = newest_stories(flags.stories, shown)
    photos, letters = photo_records(stories), letter_records(flags.stories, shown, stories)
    compared = [find_run(manifests, name) for name in flags.compare] if flags.compare else manifests[-2:]
    pair = compared if len(compared) == 2 else []
    changes = compare_runs(flags.stories, manifests, pair[0], pair[1]) if pair else []
    add_pictures([*photos, *changes], folder, manifests)
    summary = {
        "runs": run_records(manifests),
        "run": flags.run and shown[0]["number"],
        "compared": [manifest["number"] for manifest in pair],
        "tables": {
            "photos": table_index([[story["style"] for story in photo["stories"]] for photo in photos]),
            "differences": table_index([[change["kind"]] for change in changes]),
            "letters": table_index([[letter["error"]] for letter in letters]),
        },
        "figures": figures(stories.values()),
    }
    write_page(folder, summary, {"photos": photos, "differences": changes, "letters": letters})
    print(
        f"{folder.location.rstrip('/')}/{PAGE}: {len(photos):,} photos, {len(stories):,} stories, "
        f"{len(letters):,} dead letters, {len(changes):,} differences"
    )


def check(flags: Namespace) -> tuple[list[Manifest], Folder]:
    """Returns the manifests and the folder of the page.

    Raises:
        ConfigError: lists everything that is wrong with the options.
    """
    problems = [problem for place in (flags.stories, flags.output) if (problem := check_uri(place))]
    if problems:
        raise ConfigError(problems)
    manifests: list[Manifest] = list(read_manifests(flags.stories))
    if not manifests:
        problems.append(f"{flags.stories}: no run is published there")
    for name in [flags.run, *(flags.compare or [])] if manifests else []:
        try:
            if name is not None:
                find_run(manifests, name)
        except ConfigError as error:
            problems += error.problems
    folder = Folder(flags.output)
    if not is_free(folder):
        problems.append(f"--output {flags.output}: holds other files; name an empty folder, or one of an earlier page")
    if problems:
        raise ConfigError(problems)
    return manifests, folder


def add_pictures(records: Sequence[Row], folder: Folder, manifests: Sequence[Manifest]) -> None:
    """Gives each record the name of its thumbnail, or the reason that there is none."""
    used = [manifest["settings"] for manifest in manifests]
    limits = Limits(
        max_bytes=max(settings.get("max_bytes", DEFAULT_MAX_BYTES) for settings in used),
        max_pixels=max(settings.get("max_pixels", DEFAULT_MAX_PIXELS) for settings in used),
    )
    missing = update_thumbnails([(record["uri"], record["photo_id"]) for record in records], folder, limits)
    for record in records:
        photo_id = record.pop("photo_id")
        reason = missing.get((record["uri"], photo_id))
        record |= {"missing": reason} if reason else {"thumbnail": thumbnail_name(photo_id)}


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
