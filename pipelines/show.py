"""Shows published stories: `python -m pipelines.show OUTPUT`."""

import sys

from configs.schema import ConfigError
from pipelines.cli.commands import EndingTexts, ExitCode, check_output, output_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser

DESCRIPTION = "Shows published stories."
EPILOG = "Exit codes: 0 shown; 1 the command failed; 2 nothing is published there, or options are wrong."
SHOWN = 3  # captions of each photo


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 shown, 1 failed, 2 nothing is published or options are wrong."""
    return run_command(_run, argv, EndingTexts("Nothing can be shown:"))


def _run(argv: list[str]) -> int:
    output = command_line().parse_args(argv).output
    from pipelines.tables.read import newest_rows

    rows = newest_rows(output)
    if not rows:
        check_output(output)
        raise ConfigError([f"{output}: no story is published there"])
    for row in rows:
        print(f"{row['uri']} ({row['style']})")
        for match in row["captions"][:SHOWN]:
            print(f"  {match['similarity']:.2f}  {match['caption']}")
        print(f"\n{row['story']}\n")
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    return output_parser("show", DESCRIPTION, EPILOG)


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
