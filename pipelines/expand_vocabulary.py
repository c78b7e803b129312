"""Adds words to a sentence encoder: `python -m pipelines.expand_vocabulary --pack OLD --output NEW --texts GLOB`."""

import sys

from configs.values import at_home
from pipelines.cli.commands import ExitCode, nothing_made, pack_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser

DESCRIPTION = (
    "Adds words from your texts to a pack's sentence encoder. A linear map from wordllama's vectors gives their word "
    "vectors."
)


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 the pack is made, 1 failed, 2 options, texts or pack are wrong."""
    return run_command(_run, argv, nothing_made("pack"))


def _run(argv: list[str]) -> int:
    flags = command_line().parse_args(argv)
    from pipelines.pack_tools.vocabulary import expand_vocabulary, made_before

    made, new, share = expand_vocabulary(flags.pack, flags.output, flags.texts, flags.most)
    print(f"{made.location}: {len(new):,} new words, most frequent {new[0]!r} (digest {made.digest[:12]})")
    print(f"The map predicts {share:.0%} of the variance of the encoder's own word vectors, on words held out")
    for line in made_before(made.components):
        print(line)
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = pack_parser("expand_vocabulary", DESCRIPTION, runs_networks=False)
    flag = parser.add_argument
    flag("--texts", required=True, action="append", type=at_home, metavar="GLOB", help="UTF-8 text files; repeatable")
    flag(
        "--most",
        type=int,
        default=20_000,
        metavar="N",
        help="maximum words to add, the most frequent ones (default: 20000)",
    )
    return parser


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
