"""Prints the shell's completion script: `storyteller completion bash`."""

import argparse
import sys

from pipelines.cli.commands import ExitCode, command_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import WORD, StrictParser

DESCRIPTION = (
    "Prints a script that lets a shell complete storyteller's commands, their options,\n"
    "and values such as styles and packs."
)
EPILOG = """Add one line to your shell's start-up file:
  bash, in ~/.bashrc                eval "$(storyteller completion bash)"
  zsh, in ~/.zshrc after compinit   eval "$(storyteller completion zsh)"
  fish, once                        storyteller completion fish > ~/.config/fish/completions/storyteller.fish

Exit codes: 0 printed; 2 unknown shell."""


def main(argv: list[str]) -> int:
    """Returns the exit code: 0 printed, 2 unknown shell."""
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
