"""Adds your own style: `python -m pipelines.fit_style --pack OLD --output NEW --name X --texts 'books/*.txt'`."""

import sys

from configs.values import at_home
from pipelines.cli.commands import ExitCode, nothing_made, pack_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser
from pipelines.cli.options import parse_with_beam

DESCRIPTION = "Adds a style to a model pack: the mean sentence vector of your own texts."


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 the pack is made, 1 failed, 2 options, texts or pack are wrong."""
    return run_command(_run, argv, nothing_made("pack"))


def _run(argv: list[str]) -> int:
    flags, options = parse_with_beam(command_line(), argv)
    from pipelines.pack_tools.styles import NewStyle, describe_style, fit_style

    style = NewStyle(flags.name, tuple(flags.texts), flags.min_words, flags.spread, flags.passages)
    print(describe_style(fit_style(flags.pack, flags.output, style, flags.device, options), style.name))
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = pack_parser("fit_style", DESCRIPTION)
    flag = parser.add_argument
    flag(
        "--name",
        required=True,
        help="name of the style; 'caption' replaces the source style, which the shift subtracts",
    )
    flag(
        "--texts",
        required=True,
        action="append",
        type=at_home,
        metavar="GLOB",
        help="UTF-8 text files, one passage a line; repeatable",
    )
    flag("--min-words", type=int, default=0, metavar="N", help="cut whole books into passages of N words or more")
    flag(
        "--spread",
        action="store_true",
        help="also measure the spread of the passages, for --shift spread; this encodes captions of the pack's bank",
    )
    flag(
        "--passages",
        type=int,
        metavar="N",
        help="keep up to N short passages of the texts, those nearest to the pack's captions, for --shift nearest "
        "(default: 2000 if the pack chooses this shift, else none)",
    )
    return parser


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
