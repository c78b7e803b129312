"""Makes the caption index ahead of all runs: `python -m pipelines.index_captions --pack OLD --output NEW`."""

import sys

from configs.values import at_home
from pipelines.cli.commands import ExitCode, nothing_made, pack_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser
from pipelines.cli.options import parse_with_beam

DESCRIPTION = "Makes a pack's caption index ahead of all runs: embeds the pack's own captions, or new ones."


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 the pack is made, 1 failed, 2 options, captions or pack are wrong."""
    return run_command(_run, argv, nothing_made("pack"))


def _run(argv: list[str]) -> int:
    flags, options = parse_with_beam(command_line(), argv)
    from pipelines.pack_tools.indexing import index_captions

    made, count = index_captions(
        flags.pack, flags.output, flags.captions, flags.sentence_vectors, flags.device, options
    )
    ready = " with sentence vectors" if flags.sentence_vectors else ""
    print(f"{made.location}: {count:,} captions indexed{ready} (digest {made.digest[:12]})")
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = pack_parser("index_captions", DESCRIPTION)
    parser.add_argument(
        "--captions", type=at_home, metavar="FILE", help="new captions, one a line, instead of the pack's own"
    )
    parser.add_argument("--sentence-vectors", action="store_true", help="also store the captions' sentence vectors")
    return parser


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
