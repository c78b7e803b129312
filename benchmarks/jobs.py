"""The stages that run the main job on the pocket pack, by the settings of 2015: photos on disk to published stories."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks import original
from benchmarks.bench import Bench, LeftOut
from benchmarks.checks import Check, Story
from benchmarks.results import Result
from benchmarks.timing import Marginal, Side, Timed, play
from model_handlers.pack import Pack
from pipelines.nightly import main_job
from pipelines.tables.read import newest_rows
from transforms.cores import cores

ROOT = Path(__file__).parents[1]
STYLE, DECODER, CAPTIONS = "romance", "romance", 100
SETTINGS = {
    "captions": "retrieved",
    "captions-per-photo": CAPTIONS,
    "shift": "mean",
    "style-strength": 1.0,
    "min-words": 0,
    "max-words": 1000,
    "no-repeat": 0,
    "contrast": 0.0,
    "device": "cpu",
    "style": STYLE,
    "decoder": DECODER,
}
"""Settings of 2015, which a pack's own choices would override."""

TWO_WORKERS = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]

Rows = dict[str, dict[str, Any]]
"""By the photo's file name: its captions with similarities, passage and cost."""


def flags(bench: Bench, photos: Sequence[Path], folder: str) -> list[str]:
    """Returns the main job's command line over photos, whose list is written into the folder."""
    listed = Path(folder) / "photos.txt"
    listed.write_text("".join(f"{photo}\n" for photo in photos))
    places = {"uris": listed, "output": Path(folder) / "stories", "pack": bench.pocket, "beam-width": bench.scale.width}
    return [f"--{name}={value}" for name, value in (places | SETTINGS).items()]


def rows_of(folder: str) -> Rows:
    """Returns the stories that a run left in the folder."""
    return {Path(row["uri"]).name: row for row in newest_rows(str(Path(folder) / "stories"))}


def run_here(bench: Bench, photos: Sequence[Path]) -> Rows:
    """Returns the stories of the main job, run in this process.

    Raises:
        RuntimeError: it failed.
    """
    printed = io.StringIO()
    with TemporaryDirectory(dir=bench.work) as folder:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            code = main_job.main(flags(bench, photos, folder))
        if code:
            raise RuntimeError(f"the main job ended with {code}:\n{printed.getvalue()}")
        return rows_of(folder)


def tell_each(teller: original.Storyteller, photos: Sequence[Path]) -> Rows:
    """Returns the original's stories, in the form of rows."""
    rows: Rows = {}
    for photo in photos:
        captions, _, words, cost = teller.tell(photo)
        found = [{"caption": text, "similarity": similarity} for text, similarity in captions]
        passage = " ".join(teller.decoder.words[word] for word in words[:-1])
        rows[photo.name] = {"captions": found, "passage": passage, "cost": cost}
    return rows


def check_rows(check: Check, pack: Pack, ours: Rows, theirs: Rows) -> None:
    """Compares captions and stories of the photos that both sides processed."""
    decoder, encoder = original.Decoder(pack, DECODER, torch.float64), original.Sentences(pack)
    source, target = (pack.array(file) for file in (pack.source_style, pack.styles[STYLE]))
    ids = {word: number for number, word in decoder.words.items()}
    check.equal("photos without a story", sorted(theirs.keys() - ours.keys()), [])
    for name in sorted(ours.keys() & theirs.keys()):
        captions = [_captions(row) for row in (ours[name], theirs[name])]
        check.captions(name, *captions)

        def cost(words: Sequence[int], texts: list[tuple[str, float]] = captions[1]) -> float:
            vectors = encoder.encode([text for text, _ in texts])  # [K, S]
            return decoder.cost(original.shifted(vectors, source, target), words)

        check.story(name, _story(ours[name], ids), _story(theirs[name], ids), cost)


def _captions(row: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(match["caption"], match["similarity"]) for match in row["captions"]]


def _story(row: Mapping[str, Any], ids: Mapping[str, int]) -> Story:
    return [*(ids[word] for word in row["passage"].split()), 0], row["cost"]


def end_to_end(bench: Bench) -> Iterator[Result]:
    """Yields the figures from files to stories: the main job in this process, and the original photo by photo.

    Raises:
        LeftOut: there is no photo.
    """
    photos, told, pack = bench.different(bench.scale.run[1]), bench.different(bench.scale.told), bench.pocket_pack
    teller = original.Storyteller(pack, STYLE, DECODER, CAPTIONS, bench.scale.width)
    teller.captions.start()
    product = Timed(lambda: run_here(bench, photos), len(photos), lambda: run_here(bench, photos[: bench.scale.run[0]]))
    theirs = Timed(lambda: tell_each(teller, told), len(told), lambda: tell_each(teller, told[:1]))
    figures, check = play({"product": product, "original": theirs}, bench.rounds), Check()
    check_rows(check, pack, product.output, theirs.output)
    yield Result(
        "end_to_end", "pocket pack", "photo", figures, targets={"original": 8},
        amounts={"product": len(photos), "original": len(told)}, check=check,
        notes=[f"beam width {bench.scale.width}, networks loaded and captions embedded before"],
    )  # fmt: skip


def two_processes(bench: Bench) -> Iterator[Result]:
    """Yields the figures of the main job in two processes that share the threads.

    Beside them it is measured in one process with half of the threads, and in one with all.

    Raises:
        LeftOut: there are too few photos or threads.
    """
    few, many = bench.scale.run[0], min(bench.scale.run[1], len(bench.photos))
    threads = cores()
    if many <= few or threads < 2:
        raise LeftOut(f"it needs two cores and more than {few} photos; name a folder of JPEG files by --photos")
    sides: dict[str, Side] = {
        "product": Marginal(partial(run_apart, bench, threads // 2, TWO_WORKERS), few, many),
        "one_process_half_the_cores": Marginal(partial(run_apart, bench, threads // 2, []), few, many),
        "one_process_all_cores": Marginal(partial(run_apart, bench, threads, []), few, many),
    }
    figures, check = play(sides, bench.rounds), Check()
    runs = {name: side for name, side in sides.items() if isinstance(side, Marginal)}
    for name in list(runs)[1:]:
        check_rows(check, bench.pocket_pack, runs["product"].output, runs[name].output)
    yield Result(
        "two_processes", "pocket pack", "photo", figures,
        targets={"one_process_half_the_cores": 1.7, "one_process_all_cores": 0.95},
        amounts={"photos": many, "cores": threads}, check=check,
        starts={name: run.starts for name, run in runs.items()},
        notes=[f"torch threads: {threads // 2} in each of two processes and in that of half, {threads} in the other"],
    )  # fmt: skip


def run_apart(bench: Bench, threads: int, options: list[str], count: int) -> Rows:
    """Returns the stories of the first photos, made by a separate process.

    Raises:
        RuntimeError: it failed.
    """
    with TemporaryDirectory(dir=bench.work) as folder:
        command = [sys.executable, "-m", "pipelines.run", *flags(bench, bench.photos[:count], folder), *options]
        around = os.environ | {"OMP_NUM_THREADS": str(threads)}
        run = subprocess.run(command, cwd=ROOT, env=around, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"the main job ended with {run.returncode}:\n{run.stderr}")
        return rows_of(folder)
