"""Completion for the shell: `storyteller completion bash`."""

import argparse
import sys

from pipelines.cli.commands import ExitCode, command_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import WORD, StrictParser

DESCRIPTION = (
    "Prints the script with which a shell completes the commands of storyteller, their options,\n"
    "and values such as styles and packs."
)
EPILOG = """Put one line where your shell begins:
  bash, in ~/.bashrc                eval "$(storyteller completion bash)"
  zsh, in ~/.zshrc after compinit   eval "$(storyteller completion zsh)"
  fish, once                        storyteller completion fish > ~/.config/fish/completions/storyteller.fish

Exit codes: 0 printed; 2 there is no such shell."""


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 printed, 2 where there is no such shell."""
    return run_command(_run, argv)


def _run(argv: list[str]) -> int:
    shell = command_line().parse_args(argv).shell
    from argcomplete.shell_integration import shellcode

    print(shellcode([WORD], shell=shell))
    return ExitCode.DONE


def command_line() -> StrictParser:
    """Returns the parser of the options."""
    parser = command_parser("completion", DESCRIPTION, EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="your shell")
    return parser


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
