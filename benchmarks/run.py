"""The benchmark: `python -m benchmarks.run --work DIR`; see benchmarks/README.md."""

import argparse
import json
import os
import platform
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.bench import SCALES, Bench, LeftOut, find_photos
from benchmarks.jobs import end_to_end, two_processes
from benchmarks.limits import processor
from benchmarks.networks import retrieval, searches, sentences, start
from benchmarks.photos import decode, features
from benchmarks.results import Result, markdown
from transforms.cores import cores

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "apache-beam", "ray", "daft")
DIFFERENT, WRONG_OPTIONS = 1, 2

STAGES: dict[str, Callable[[Bench], Iterator[Result]]] = {
    "beam_search": searches,
    "sentences": sentences,
    "retrieval": retrieval,
    "start": start,
    "features": features,
    "decode": decode,
    "end_to_end": end_to_end,
    "two_processes": two_processes,
}


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="Measures the program beside the program of 2015, other frameworks and what the machine can do.",
        epilog="Exit codes: 0 all outputs are equal; 1 some differ, or a stage failed; 2 an option is wrong.",
    )
    options.add_argument("--stages", metavar="A,B", default=",".join(STAGES), help="default: %(default)s")
    options.add_argument("--work", metavar="DIR", type=Path, required=True, help="random packs are made and kept there")
    options.add_argument("--scale", choices=SCALES, default="original", help="tiny: seconds, to see that all runs")
    options.add_argument("--full", action="store_true", help="the original's start embeds all captions, no sample")
    options.add_argument("--rounds", metavar="N", type=int, default=5)
    options.add_argument("--threads", metavar="N", type=int, default=cores(), help="default: one a core")
    options.add_argument(
        "--photos", metavar="DIR", type=Path, default=ROOT / "samples", help="JPEG files, all different"
    )
    options.add_argument("--pack", metavar="DIR", type=Path, default=ROOT / "packs" / "pocket", help="the pocket pack")
    options.add_argument("--json", metavar="FILE", type=Path, help="all figures, round by round")
    options.add_argument("--markdown", metavar="FILE", type=Path, help="the report, which is printed too")
    return options


def problems(options: argparse.Namespace) -> list[str]:
    """Returns all that is wrong with the options."""
    there = ", ".join(STAGES)
    found = [
        f"--stages: there is no stage {name!r}; there are {there}" for name in chosen(options) if name not in STAGES
    ]
    found += [f"--{name} must be at least 1" for name in ("rounds", "threads") if getattr(options, name) < 1]
    if not options.photos.is_dir():
        found.append(f"--photos {options.photos}: no such folder")
    if not (options.pack / "pack.json").is_file():
        found.append(f"--pack {options.pack}: no model pack there")
    for name in ("json", "markdown"):
        file = getattr(options, name)
        if file is not None and not file.absolute().parent.is_dir():
            found.append(f"--{name} {file}: its folder is not there")
    return found


def chosen(options: argparse.Namespace) -> list[str]:
    """Returns the stages that were asked for, each once."""
    return list(dict.fromkeys(name.strip() for name in options.stages.split(",")))


def machine(threads: int) -> dict[str, Any]:
    """Returns what the figures depend on: processor, cores, threads, load and versions."""
    facts: dict[str, Any] = {"processor": processor(), "cores": cores(), "threads": threads}
    facts |= {"load before": round(os.getloadavg()[0], 2), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def measure(bench: Bench, names: Sequence[str]) -> tuple[list[Result], dict[str, str], bool]:
    """Returns the results of stages, why others did not run, and whether one of them failed."""
    results: list[Result] = []
    left_out: dict[str, str] = {}
    failed = False
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            for result in STAGES[name](bench):
                results.append(result)
        except LeftOut as reason:
            left_out[name] = str(reason)
        except Exception as error:  # the stages before it took an hour
            traceback.print_exc()
            left_out[name] = f"it failed: {type(error).__name__}: {error}"
            failed = True
    if bench.scale.name != "original":  # targets are told for the original's sizes
        results = [replace(result, targets={}, most_seconds=None) for result in results]
    return results, left_out, failed


def main(argv: list[str]) -> int:
    """Returns the exit code, after measuring and writing the report."""
    options = parser().parse_args(argv)
    wrong = problems(options)
    if wrong:
        print("The benchmark was not started:", *wrong, sep="\n  ", file=sys.stderr)
        return WRONG_OPTIONS
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    scale = SCALES[options.scale]
    if options.full:
        scale = replace(scale, embedded=scale.sizes.captions)
    photos = find_photos(options.photos)
    bench = Bench(scale, options.rounds, options.threads, options.work.absolute(), options.pack.absolute(), photos)
    facts = machine(options.threads)
    results, left_out, failed = measure(bench, chosen(options))
    facts["load after"] = round(os.getloadavg()[0], 2)
    report = markdown(facts, results, left_out)
    print(report)
    if options.markdown:
        options.markdown.write_text(report)
    if options.json:
        stages = [result.as_json() for result in results]
        told = {"format": 1, "machine": facts, "rounds": options.rounds, "scale": scale.name}
        options.json.write_text(json.dumps(told | {"stages": stages, "left_out": left_out}, indent=1) + "\n")
    return DIFFERENT if failed or any(result.check.different for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
