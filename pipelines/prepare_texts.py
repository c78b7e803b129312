"""Prepares corpora: `python -m pipelines.prepare_texts --books 'novels/*.txt' --captions captions.tsv --output DIR`.

docs/how-to/prepared-texts.md describes its output; `pipelines.training.data.prepared.read_prepared` reads it.
"""

import argparse
import sys

from configs.values import at_home
from pipelines.cli.commands import BEAM, MADE, ExitCode, command_parser, nothing_made, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser
from pipelines.cli.options import parse_with_beam

DESCRIPTION = (
    "Turns books and captions into corpora for training: cuts and filters the texts, removes duplicates, and stores "
    "them as memory-mapped ids. PLACE is a folder, a file, a glob or a URI; with a name before it (romantic=PLACE) "
    "its texts become a separate kind."
)


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 the corpus is made, 1 the pipeline failed, 2 options or inputs are wrong."""
    return run_command(_run, argv, nothing_made("corpus"))


def _run(argv: list[str]) -> int:
    flags, options = parse_with_beam(command_line(), argv)
    from pipelines.corpora.preparation.prepare_command import prepare_texts

    print(prepare_texts(flags, options))
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = command_parser("prepare_texts", DESCRIPTION, BEAM + MADE)
    flag = parser.add_argument
    flag("--books", action="append", default=[], metavar="[NAME=]PLACE", help=".txt or .txt.gz in UTF-8; repeatable")
    flag(
        "--captions",
        action="append",
        default=[],
        metavar="[NAME=]PLACE",
        help="text with one caption a line, or tab-separated with a column caption, and optional columns "
        "image and split (dev is held out, test left out); .txt, .tsv, or either with .gz; repeatable",
    )
    flag("--output", required=True, type=at_home, metavar="DIR", help="new folder or URI for the corpora")
    flag(
        "--vocabulary",
        type=int,
        default=28000,
        metavar="N",
        help="size of the vocabulary, including two ids that are not words",
    )
    flag(
        "--words",
        type=at_home,
        default="",
        metavar="PLACE",
        help="vocabulary to use instead of the most frequent words: that of a model pack's sentence encoder, which a "
        "story decoder needs, or a JSON list such as a training's words.json",
    )
    flag(
        "--caption-weight",
        type=float,
        default=2.0,
        metavar="X",
        help="weight of a word in captions when words are counted; a word in books has 1",
    )
    flag("--least", type=int, default=5, metavar="N", help="minimum words of a passage")
    flag("--most", type=int, default=64, metavar="N", help="maximum words of a passage or caption")
    flag("--unknown", type=float, default=0.1, metavar="X", help="maximum share of unknown words in a text")
    held_out = (
        "whole books to hold out (kind dev_books): a number or, with a point, a share; their content decides which"
    )
    flag("--held-out", type=number, default=0.05, metavar="N", help=held_out)
    flag("--unit", choices=("passage", "sentence"), default="passage", help="what books are cut into")
    flag("--lower", action=argparse.BooleanOptionalAction, default=True, help="convert texts to lower case")
    flag("--shard-words", type=int, default=1 << 24, metavar="N", help="approximate number of words in a file")
    _show_defaults(parser)
    return parser


def _show_defaults(parser: StrictParser) -> None:
    """Adds the defaults to the help of a parser's options."""
    for action in parser._actions:
        if action.default not in (None, "", [], argparse.SUPPRESS):
            action.help = f"{action.help} (default: {action.default})"


def number(text: str) -> int | float:
    """Returns a number, or a share if the text has a decimal point."""
    return float(text) if "." in text else int(text)


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
