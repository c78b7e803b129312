"""Quality of a new pack: the figures of each evaluation task on photos and books that no training has seen."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.evaluation.tasks import TASKS
from pipelines.training.data.corpus import Corpus

Options = dict[str, str | list[str]]

PHOTOS: Options = {"photos": "DATA/flickr8k/images"}
CAPTIONS: Options = {"captions": "DATA/flickr8k/captions.tsv"}
BOOKS: Options = {"texts": ["HELD_OUT/*.txt"]}
MEASURED: dict[str, Options] = {
    "retrieval": PHOTOS | CAPTIONS,
    "captions": PHOTOS | CAPTIONS,
    "sentences": BOOKS | CAPTIONS,
    "decoder": BOOKS,
    "reconstruction": BOOKS | CAPTIONS,
    "stories": PHOTOS | CAPTIONS | BOOKS,
}
"""The tasks with their options; DATA stands for the data folder, HELD_OUT for a folder of held-out books."""


def measure(pack: Path, corpus: Corpus) -> dict[str, Any]:
    """Returns for each task of `pipelines.evaluate` its figures and the command that computes them.

    The photos are the dev split of Flickr8k; no training has seen the books.
    """
    held_out = corpus.prepared / "held_out_books"
    held_out.mkdir(parents=True, exist_ok=True)
    for path in corpus.held_out_files:
        shutil.copyfile(path, held_out / path.name)
    places = {"DATA": str(corpus.data), "HELD_OUT": str(held_out)}
    quality = {}
    for task, options in MEASURED.items():
        found = {name: _placed(value, places) for name, value in options.items()}
        quality[task] = rounded(TASKS[task].measure(pack=str(pack), **found)) | {"command": _command(task, options)}
    return quality


def _placed(value: str | list[str], places: Mapping[str, str]) -> str | list[str]:
    """Returns an option's value, or each of its values, with the placeholder replaced by its folder."""
    if isinstance(value, list):
        return [f"{_placed(one, places)}" for one in value]
    word, _, rest = value.partition("/")
    return f"{places[word]}/{rest}"


def _command(task: str, options: Mapping[str, str | list[str]]) -> str:
    words = [f"--{name} {value if isinstance(value, str) else ' '.join(value)}" for name, value in options.items()]
    return " ".join(["pipelines.evaluate", task, *words])


def rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Returns figures rounded to four significant digits."""
    return {
        name: rounded(value)
        if isinstance(value, dict)
        else float(f"{value:.4g}")
        if isinstance(value, float)
        else value
        for name, value in figures.items()
    }
