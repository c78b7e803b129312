"""The whole page: published stories become records, pictures, figures and files."""

from collections.abc import Sequence

from configs.schema import ConfigError
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
from transforms.uris import check_uri


def make_gallery(stories: str, output: str, run: str | None = None, compare: Sequence[str] = ()) -> str:
    """Returns a sentence on the page that was written.

    Args:
        stories: OUTPUT of the main job, a folder or URI.
        output: folder or URI of the page.
        run: the run whose stories are shown; None for the newest stories of all runs.
        compare: two runs to compare; None for the last two.

    Raises:
        ConfigError: lists everything that is wrong with the options.
    """
    manifests, folder = check(stories, output, [run] if run is not None else [], compare)
    shown = [find_run(manifests, run)] if run else manifests
    told = newest_stories(stories, shown)
    photos, letters = photo_records(told), letter_records(stories, shown, told)
    compared = [find_run(manifests, name) for name in compare] if compare else manifests[-2:]
    pair = compared if len(compared) == 2 else []
    changes = compare_runs(stories, manifests, pair[0], pair[1]) if pair else []
    add_pictures([*photos, *changes], folder, manifests)
    summary = {
        "runs": run_records(manifests),
        "run": run and shown[0]["number"],
        "compared": [manifest["number"] for manifest in pair],
        "tables": {
            "photos": table_index([[story["style"] for story in photo["stories"]] for photo in photos]),
            "differences": table_index([[change["kind"]] for change in changes]),
            "letters": table_index([[letter["error"]] for letter in letters]),
        },
        "figures": figures(told.values()),
    }
    write_page(folder, summary, {"photos": photos, "differences": changes, "letters": letters})
    return (
        f"{folder.location.rstrip('/')}/{PAGE}: {len(photos):,} photos, {len(told):,} stories, "
        f"{len(letters):,} dead letters, {len(changes):,} differences"
    )


def check(stories: str, output: str, shown: Sequence[str], compared: Sequence[str]) -> tuple[list[Manifest], Folder]:
    """Returns the manifests and the folder of the page.

    Args:
        stories: OUTPUT of the main job.
        output: folder or URI of the page.
        shown: the run whose stories are shown, if any.
        compared: runs to compare.

    Raises:
        ConfigError: lists everything that is wrong with the options.
    """
    problems = [problem for place in (stories, output) if (problem := check_uri(place))]
    if problems:
        raise ConfigError(problems)
    manifests: list[Manifest] = list(read_manifests(stories))
    if not manifests:
        problems.append(f"{stories}: no run is published there")
    for name in [*shown, *compared] if manifests else []:
        try:
            find_run(manifests, name)
        except ConfigError as error:
            problems += error.problems
    folder = Folder(output)
    if not is_free(folder):
        problems.append(f"--output {output}: holds other files; name an empty folder, or one of an earlier page")
    if problems:
        raise ConfigError(problems)
    return manifests, folder


def add_pictures(records: Sequence[Row], folder: Folder, manifests: Sequence[Manifest]) -> None:
    """Adds to each record the name of its thumbnail, or the reason why it has none."""
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
