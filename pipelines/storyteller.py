"""The console command: `storyteller COMMAND ...` is `python -m pipelines.COMMAND ...`.

A command's module is imported only when it is the one that was asked for.
"""

import importlib
import os
import sys
from importlib.metadata import version

from configs.spelling import did_you_mean
from pipelines.cli.ending import end_process

GROUPS = {
    "Stories": {
        "run": "make the stories of a folder, a bucket or a list of photos",
        "story": "show the story of one photo, or a few, on the screen",
        "plan": "say what a run would take: hours, workers, cost",
    },
    "What runs have published": {
        "show": "print the stories",
        "gallery": "make a page of photos and stories for a browser",
        "status": "say how old the newest commit is, and what the last runs did",
        "explain": "show how a story came about, step by step",
        "catalog": "export stories, forget photos, merge files",
        "vacuum": "remove what no reader needs",
    },
    "Model packs": {
        "packs": "list, show, verify, compare and copy packs",
        "import-originals": "make a pack of the files published in 2015",
        "index-captions": "embed a pack's captions ahead of all runs",
        "fit-style": "add a style made from your own texts",
        "add-decoder": "add a story decoder that you have trained",
        "expand-vocabulary": "add words to a pack's sentence encoder",
    },
    "Networks of your own": {
        "prepare-texts": "make a corpus of books and captions",
        "train": "train one network, or all of a pack",
        "evaluate": "measure a pack, beside published figures",
    },
    "The shell": {
        "completion": "print the script that completes commands and options",
    },
}
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}
USAGE = "usage: storyteller COMMAND ...\n       storyteller COMMAND --help"
DONE, WRONG = 0, 2


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code of a command, or 2 where there is none of that name.

    Args:
        argv: the command and its command line; None is that of the process, which then ends.
    """
    if argv is None:
        end_process(main(sys.argv[1:]))
    if "_ARGCOMPLETE" in os.environ:
        from pipelines.cli.completers import complete

        complete(COMMANDS)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(help_text())
        return DONE if argv else WRONG
    if argv[0] == "--version":
        print(f"storyteller {version('beam-storyteller')}")
        return DONE
    name = argv[0].replace("_", "-")
    if name not in COMMANDS:
        print(f"storyteller {argv[0]}: no such command{did_you_mean(name, COMMANDS)}", file=sys.stderr)
        print(f"The commands are {', '.join(COMMANDS)}; see storyteller --help", file=sys.stderr)
        return WRONG
    command = importlib.import_module(f"pipelines.{name.replace('-', '_')}")
    return int(command.main(argv[1:]))


def help_text() -> str:
    """Returns the commands, grouped by their use."""
    lines = ["Short stories from photos, on Apache Beam and PyTorch.", "", USAGE]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {name:<18} {text}" for name, text in commands.items())]
    lines += ["", "  storyteller --version   print the version", "", "To begin: storyteller run ~/Pictures"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
