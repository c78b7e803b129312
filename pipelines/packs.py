"""Handles model packs: `python -m pipelines.packs list | show | verify | diff | push`."""

import json
import sys
from argparse import Namespace

from configs.values import at_home
from model_handlers.pack_card import PackError
from pipelines.cli.commands import EndingTexts, ExitCode, command_parser, run_command
from pipelines.cli.ending import end_process
from pipelines.cli.flags import StrictParser, a_pack
from pipelines.cli.logs import say, say_problems
from pipelines.cli.packs_at_hand import pack_places

DESCRIPTION = (
    "Lists, shows, checks, compares and copies model packs; a pack is a folder or a URI such as gs://bucket/pack."
)
EPILOG = "Exit codes: 0 done; 1 damage or a difference was found, or a copy failed; 2 options or a pack are wrong."
TEXTS = EndingTexts(stopped="Stopped; the next push continues an unfinished copy")


def main(argv: list[str]) -> int:
    """Returns the exit code.

    It is 1 if a check, a comparison or a copy found a problem, and 2 if an option or a pack is wrong.
    """
    return run_command(_run, argv, TEXTS)


def _run(argv: list[str]) -> int:
    flags = command_line().parse_args(argv)
    return COMMANDS[flags.command](flags)


def command_line() -> StrictParser:
    """Returns the parser of the commands and their options."""
    parser = command_parser("packs", DESCRIPTION, EPILOG)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "list": "lists packs with their digests, sizes, styles and decoders",
        "show": "shows a pack's card: components, terms, origin and measured quality",
        "verify": "checks every file of a pack and loads every component; 0 complete, 1 damaged",
        "diff": "compares two packs; 0 equal, 1 different",
        "push": "copies a pack to a bucket or folder, its card last; a second call continues an interrupted copy",
    }
    parts = {
        name: commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        for name, text in texts.items()
    }
    parts["list"].add_argument(
        "places",
        nargs="*",
        metavar="FOLDER",
        help="packs, or folders of packs (default: the included packs, the cache's, and those in packs/)",
    )
    parts["show"].add_argument("pack", type=a_pack, metavar="PACK", help="name, folder or URI of a pack")
    parts["show"].add_argument("--json", action="store_true", help="print the card as one JSON object")
    parts["verify"].add_argument("pack", type=a_pack, metavar="PACK", help="name, folder or URI of a pack")
    parts["diff"].add_argument("pack", type=a_pack, metavar="A", help="name, folder or URI of a pack")
    parts["diff"].add_argument("other", type=a_pack, metavar="B", help="name, folder or URI of another pack")
    parts["push"].add_argument("pack", type=a_pack, metavar="PACK", help="name, folder or URI of a pack")
    parts["push"].add_argument(
        "target", type=at_home, metavar="URI", help="new location of the pack, such as gs://bucket/packs/mine"
    )
    return parser


def list_packs(flags: Namespace) -> int:
    """Prints a table of packs; returns 1 if one of their cards cannot be read.

    Raises:
        PackError: a folder that was named holds no pack.
    """
    from pipelines.pack_tools.pack_show import columns, find_packs, listing

    found = [pack for place in flags.places or map(str, pack_places()) for pack in find_packs(place)]
    if flags.places and not found:
        raise PackError([f"{place}: no pack there, nor in the folders directly below it" for place in flags.places])
    rows, problems = listing(found)
    print("\n".join(columns(rows)) if found else "No packs found in the installation, the cache or packs/")
    for problem in problems:
        say(problem)
    return ExitCode.FAILED if problems else ExitCode.DONE


def show_pack(flags: Namespace) -> int:
    """Prints a pack's card for people, or with --json as one JSON object; returns 0."""
    from pipelines.pack_tools.pack_show import card_facts, card_text

    facts = card_facts(flags.pack)
    print(json.dumps(facts, indent=1) if flags.json else card_text(facts))
    return ExitCode.DONE


def verify_pack(flags: Namespace) -> int:
    """Prints what is wrong with a pack, or that nothing is; returns 1 or 0."""
    from pipelines.pack_tools.pack_show import card_facts
    from pipelines.pack_tools.pack_verify import verify

    problems, loaded = verify(flags.pack)
    if problems:
        say_problems(f"{flags.pack} is not a complete pack:", problems)
        return ExitCode.FAILED
    facts = card_facts(flags.pack)
    print(f"{flags.pack}: complete; {len(facts['files'])} files, {facts['bytes']:,} bytes, digest {facts['digest']}")
    print(f"Loaded: {', '.join(loaded)}")
    return ExitCode.DONE


def diff_packs(flags: Namespace) -> int:
    """Prints the differences between two packs; returns 1, or 0 if there are none."""
    from pipelines.pack_tools.pack_diff import differences
    from pipelines.pack_tools.pack_show import card_facts

    first, second = card_facts(flags.pack), card_facts(flags.other)
    if first["digest"] == second["digest"]:
        print(f"Equal: both have the digest {first['digest']}")
        return ExitCode.DONE
    print("\n".join(differences(first, second)))
    return ExitCode.FAILED


def push_pack(flags: Namespace) -> int:
    """Prints what was copied; returns 0, or 1 if copied files differ from their sources."""
    from pipelines.pack_tools.pack_push import push
    from pipelines.pack_tools.pack_show import card_facts

    copied, problems = push(flags.pack, flags.target)
    if problems:
        say_problems("The copy is not complete:", problems)
        return ExitCode.FAILED
    facts = card_facts(flags.target)
    there = len(facts["files"]) - copied
    print(f"{flags.target}: {copied} files copied, {there} were there already, all verified (digest {facts['digest']})")
    return ExitCode.DONE


COMMANDS = {"list": list_packs, "show": show_pack, "verify": verify_pack, "diff": diff_packs, "push": push_pack}


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
