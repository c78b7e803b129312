"""Makes the morning page: `python -m pipelines.gallery OUTPUT --output DIR`."""

import sys

from configs.values import at_home
from pipelines.cli.commands import EndingTexts, ExitCode, command_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser

DESCRIPTION = "Makes a page of the published photos, captions and stories, as static files for a browser."
EPILOG = "Exit codes: 0 done; 1 the page could not be made; 2 options are wrong, or nothing is published."
TEXTS = EndingTexts("No page was made:", "Stopped; an earlier page is unchanged", "The page could not be made")


def main(argv: list[str]) -> int:
    """Returns the exit code: 0, 1 if the page could not be made, 2 if an option is wrong."""
    return run_command(_run, argv, TEXTS)


def _run(argv: list[str]) -> int:
    flags = command_line().parse_args(argv)
    from pipelines.gallery_page.page_making import make_gallery

    page = flags.output or f"{flags.stories.rstrip('/')}-page"
    print(make_gallery(flags.stories, page, flags.run, flags.compare or ()))
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = command_parser("gallery", DESCRIPTION, EPILOG)
    parser.add_argument("stories", type=at_home, metavar="OUTPUT", help="--output of the main job, a folder or URI")
    parser.add_argument(
        "--output",
        type=at_home,
        metavar="DIR",
        help="folder or URI of the page: an empty one, or an earlier page (default: OUTPUT-page, beside OUTPUT)",
    )
    parser.add_argument(
        "--run", metavar="RUN", help="show only the stories of one run, named by its id or commit number"
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("RUN_A", "RUN_B"),
        help="show the differences between two runs (default: the last two)",
    )
    return parser


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
