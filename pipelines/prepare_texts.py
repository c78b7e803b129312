"""Corpora to train on: `python -m pipelines.prepare_texts --books 'novels/*.txt' --captions captions.tsv --output DIR`.

See docs/how-to/prepared-texts.md for what it leaves; `pipelines.training.data.prepared.read_prepared` reads it.
"""

import argparse
import sys

from configs.values import at_home
from pipelines.cli.commands import BEAM, MADE, ExitCode, command_parser, nothing_made, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser
from pipelines.cli.options import parse_with_beam

DESCRIPTION = (
    "Turns books and captions into corpora to train on: texts cut, filtered, each kept once, as memory-mapped ids. "
    "PLACE is a folder, a file, a glob or a URI; a name before it (romantic=PLACE) makes a kind of its own."
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
        help="text with one caption a line, or tab-separated with a column caption, and image and split where there "
        "are such (dev is held out, test left out); .txt, .tsv, or either with .gz; repeatable",
    )
    flag("--output", required=True, type=at_home, metavar="DIR", help="new folder or URI for the corpora")
    flag("--vocabulary", type=int, default=28000, metavar="N", help="ids of the vocabulary, two of them no words")
    flag(
        "--words",
        type=at_home,
        default="",
        metavar="PLACE",
        help="words of the corpus, in place of the most frequent ones: those of a model pack's sentence encoder, which "
        "a story decoder needs, or a JSON list such as a training's words.json",
    )
    flag("--caption-weight", type=float, default=2.0, metavar="X", help="a caption's word against a book's, in counts")
    flag("--least", type=int, default=5, metavar="N", help="least words of a passage")
    flag("--most", type=int, default=64, metavar="N", help="most words of a passage or caption")
    flag("--unknown", type=float, default=0.1, metavar="X", help="largest share of unknown words in a text")
    flag(
        "--held-out",
        type=number,
        default=0.05,
        metavar="N",
        help="books to keep apart whole (kind dev_books), as a number or, with a point, as a share; their bytes decide",
    )
    flag("--unit", choices=("passage", "sentence"), default="passage", help="what books are cut into")
    flag("--lower", action=argparse.BooleanOptionalAction, default=True, help="lower case")
    flag("--shard-words", type=int, default=1 << 24, metavar="N", help="words of a file, about")
    for action in parser._actions:
        if action.default not in (None, "", [], argparse.SUPPRESS):
            action.help = f"{action.help} (default: {action.default})"
    return parser


def number(text: str) -> int | float:
    """Returns a number or, where the text has a point, a share."""
    return float(text) if "." in text else int(text)


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
