"""Shows how a story came about: `python -m pipelines.explain OUTPUT --uri URI`."""

import json
import sys

from pipelines.cli.commands import EndingTexts, ExitCode, check_output, output_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import DEVICES, StrictParser, a_pack

DESCRIPTION = (
    "Repeats a stored story from its photo, with the pack and the settings of its run. Prints the result of each step, "
    "and whether the story is the same as before. Writes nothing."
)
EPILOG = (
    "Exit codes: 0 the story is the same (texts equal, floats to 1e-5); 1 it differs, or cannot be repeated; "
    "2 options or pack are wrong, or there is no such story."
)


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 equal, 1 not equal or failed, 2 wrong options, photo or pack."""
    return run_command(explain, argv, EndingTexts("Nothing can be explained:"))


def explain(argv: list[str]) -> int:
    """Returns 0 or 1, after printing how a stored story was made.

    Raises:
        ConfigError: options are wrong, there is no such story, or its pack is not available.
    """
    flags = command_line().parse_args(argv)
    from pipelines.explanation.explain_report import as_text, make_report
    from pipelines.explanation.retelling import read_again, tell_again
    from pipelines.explanation.stored import find_story, open_models
    from pipelines.telling.chain import StoryError

    check_output(flags.output)
    stored = find_story(flags.output, flags.uri, flags.style)
    models = open_models(stored, flags.pack, flags.device)
    retold, reason = None, None
    try:
        retold = tell_again(models, *read_again(models, stored.uri, stored.row["style"]))
    except StoryError as error:
        reason = error.reason
    report = make_report(stored, models, retold, reason)
    print(json.dumps(report) if flags.json else as_text(report))
    return ExitCode.DONE if report["equal"] else ExitCode.FAILED


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = output_parser("explain", DESCRIPTION, EPILOG)
    parser.add_argument("--uri", required=True, help="photo, by the uri in its row, or by its path if it is local")
    parser.add_argument("--style", help="style of the story; needed if the photo has stories in several")
    parser.add_argument(
        "--pack",
        type=a_pack,
        metavar="PACK",
        help="pack that the story was made with, if it has moved. Default: the location in the run's manifest",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where the networks run (default: auto)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
