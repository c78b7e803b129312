"""Published stories as a table: `open_stories(root)` in Python, `python -m pipelines.catalog COMMAND ROOT` in a shell.

from pipelines.catalog import open_stories
open_stories("gs://bucket/stories", style="romance").to_table()
"""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from configs.values import at_home
from pipelines.cli.commands import ExitCode, check_output, command_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser

if TYPE_CHECKING:
    from pipelines.tables.read import Stories as Stories
    from pipelines.tables.read import open_stories as open_stories

DESCRIPTION = "Exports published stories, removes them, or merges their files."
EPILOG = "Exit codes: 0 done; 1 the command failed; 2 options are wrong; 4 another run is active, try later."


def __getattr__(name: str) -> object:
    """Returns a name of the table reader, which is imported only on demand."""
    if name not in ("Stories", "open_stories"):
        raise AttributeError(name)
    from pipelines.tables import read

    return getattr(read, name)


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 done, 1 failed, 2 wrong options, 4 another run or command is active."""
    return run_command(_run, argv)


def _run(argv: list[str]) -> int:
    flags = command_line().parse_args(argv)
    from pipelines.tables.manifests import refresh_after_commit

    check_output(flags.root)
    refresh_after_commit(flags.root)  # a crash right after the last commit may have left it out of date
    print(COMMANDS[flags.command](flags))
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the commands and their options."""
    parser = command_parser("catalog", DESCRIPTION, EPILOG)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "export": "writes the newest story of each photo and style to a new folder of Parquet files",
        "forget": "removes all rows of photos; delete the photos themselves first, or the next run adds them again",
        "compact": "merges the files of many runs into a few; nothing else changes",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        command.add_argument("root", type=at_home, metavar="ROOT", help="--output of the main job, a folder or URI")
        if name == "export":
            command.add_argument("--output", required=True, type=at_home, metavar="DIR", help="a new folder or URI")
        if name == "forget":
            command.add_argument("uris", nargs="+", metavar="URI", help="photos, by the uri in their rows")
    return parser


def _export(flags: Namespace) -> str:
    from pipelines.tables.read import export, open_stories

    count = export(open_stories(flags.root), flags.output)
    return f"{flags.output}: {count:,} Parquet file{'s' if count > 1 else ''}"


def _forget(flags: Namespace) -> str:
    from pipelines.tables.rewrites import forget

    manifest = forget(flags.root, flags.uris)
    if manifest is None:
        return f"{flags.root}: no published row is about these photos"
    return (
        f"{flags.root}: rows were removed from {len(manifest['replaces']):,} files. The old files stay for "
        "active readers; pipelines.vacuum removes them, at once with --older-than 0d"
    )


def _compact(flags: Namespace) -> str:
    from pipelines.tables.rewrites import compact

    manifest = compact(flags.root)
    if manifest is None:
        return f"{flags.root}: there is nothing to merge"
    return f"{flags.root}: {len(manifest['replaces']):,} files became {len(manifest['files']):,}"


COMMANDS = {"export": _export, "forget": _forget, "compact": _compact}


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
