"""Adds your own story decoder: `python -m pipelines.add_decoder --pack OLD --output NEW --name X --trained DIR`."""

import sys
from pathlib import Path

from configs.values import at_home
from pipelines.cli.commands import ExitCode, nothing_made, pack_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser

DESCRIPTION = "Adds a story decoder made by `train` to a model pack, and makes it the default."


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 the pack is made, 1 failed, 2 options, training or pack are wrong."""
    return run_command(_run, argv, nothing_made("pack"))


def _run(argv: list[str]) -> int:
    flags = command_line().parse_args(argv)
    from pipelines.training.packing.trained_decoder import add_trained, describe_decoder

    made = add_trained(flags.pack, flags.output, flags.name, Path(flags.trained))
    print(describe_decoder(made, flags.name))
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = pack_parser("add_decoder", DESCRIPTION, runs_networks=False)
    parser.add_argument(
        "--name", required=True, help="name of the decoder; replaces a decoder of the pack with this name"
    )
    parser.add_argument("--trained", required=True, type=at_home, metavar="DIR", help="the training's output folder")
    return parser


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
