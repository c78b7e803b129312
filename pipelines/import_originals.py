"""Imports the files published in 2015: `python -m pipelines.import_originals --source DIR --output PACK`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from configs.values import at_home
from pipelines.cli.commands import ExitCode, command_parser, nothing_made, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser

if TYPE_CHECKING:
    from pipelines.originals.import_report import ImportReport

DESCRIPTION = (
    "Converts the files published in 2015 into a model pack. It uses those of these that exist: VGG-19 in any of "
    "three formats, the joint embedding, captions, skip-thoughts, story decoders and styles."
)
EPILOG = (
    "Exit codes: 0 the pack is made; 1 the command failed; 2 options are wrong, a file is damaged, or none can be used."
)


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 the pack is made, 1 failed, 2 a file is damaged or nothing can be used."""
    return run_command(_run, argv, nothing_made("pack"))


def _run(argv: list[str]) -> int:
    flags = command_line().parse_args(argv)
    from pipelines.originals.import_report import ImportReport
    from pipelines.originals.importing import import_originals

    report = ImportReport()
    try:
        pack = import_originals(Path(flags.source), flags.output, flags.name, flags.published_only, report)
    finally:
        _summarise(report)
    print(f"{pack.location}: {', '.join(sorted(pack.components))} (digest {pack.digest[:12]})")
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = command_parser("import_originals", DESCRIPTION, EPILOG)
    parser.add_argument("--source", required=True, type=at_home, metavar="DIR", help="folder of original files")
    parser.add_argument("--output", required=True, type=at_home, metavar="DIR", help="new folder of the model pack")
    parser.add_argument("--name", help="name of the pack (default: the folder's)")
    parser.add_argument(
        "--published-only", action="store_true", help="refuse files that differ from the published ones"
    )
    return parser


def _summarise(report: "ImportReport") -> None:
    """Prints every file that is missing or differs from the published one."""
    for line in report.missing:
        print(f"missing  {line}")
    for name, published in report.published.items():
        if not published:
            print(f"warning  {name}: differs from the published file of that name (published: false in the card)")


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
