"""Drift of the chain in other precisions from float32: `python -m benchmarks.drift --photos DIR`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from configs.schema import ConfigError
from model_handlers.handler import resolve_device
from model_handlers.precision import PRECISIONS
from pipelines.telling.chain import SentenceVectors, extract_features, whole
from pipelines.telling.one_photo import Models, load_all, tell_batch
from transforms.load_images import load_photo
from transforms.records import DeadLetter, Photo
from transforms.rows import Row

BATCH = 32
VECTORS = ("features", "embeddings", "sentences")
COLUMNS = ("precision", *VECTORS, "other captions", "other stories", "cost of a word", "of equals")
LEGEND = """
Cosines to float32's, the least and the mean: of the photos' feature vectors and joint embeddings, and of the sentence
vectors of float32's captions. Photos whose captions are others, and stories that are. What a word costs, in the mean of
all stories; and by how much the costs of equal stories differ at most, relative to float32's.
"""

Loaded = Sequence[tuple[Photo, np.ndarray]]


@dataclass
class Made:
    """Results of one precision for the photos.

    Attributes:
        features: feature vectors `[N, F]`.
        embeddings: joint embeddings `[N, J]`.
        sentences: sentence vectors `[K, S]` of some captions.
        rows: stories, in the order of photos and styles.
    """

    features: np.ndarray
    embeddings: np.ndarray
    sentences: np.ndarray
    rows: list[Row]


def make(models: Models, photos: Loaded, captions: Sequence[str] | None = None) -> Made:
    """Returns the models' results for photos `[3, 224, 224]`.

    Sentence vectors are those of `captions`, by default the photos' own.

    Raises:
        StoryError: a network failed on a photo.
    """
    steps = models.photo_steps()
    features: list[np.ndarray] = []
    rows: list[Row] = []
    for start in range(0, len(photos), BATCH):
        batch = photos[start : start + BATCH]
        found = whole(extract_features(steps.features, batch))
        rows += whole(tell_batch(models, found))
        features += [feature for _, feature in found]
    vectors = SentenceVectors(steps).of(captions or captions_of(rows))
    stacked = np.stack(features)  # [N, F]
    return Made(stacked, embed(models, stacked), vectors, rows)


def captions_of(rows: Sequence[Row]) -> list[str]:
    """Returns all captions, each once."""
    return list(dict.fromkeys(match["caption"] for row in rows for match in row["captions"]))


def embed(models: Models, features: np.ndarray) -> np.ndarray:
    """Returns joint embeddings `[N, J]` of feature vectors `[N, F]`."""
    device = resolve_device(models.settings.config.device)
    embedder = models.settings.pack.joint_embedding.open(models.settings.pack, device)
    return embedder.embed_photos(torch.from_numpy(features).to(device)).cpu().numpy()


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the cosine of each row of `[N, D]` with the same row of another such array, `[N]` float64."""
    one, other = (rows.astype(np.float64) for rows in (one, other))  # [N, D], [N, D]
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)  # [N]
    return (one * other).sum(axis=1) / lengths


def compare(name: str, made: Made, exact: Made) -> list[str]:
    """Returns a row of the table: the results of a precision compared with float32's."""
    pairs = list(zip(made.rows, exact.rows, strict=True))
    captions = {row["uri"] for row, other in pairs if captions_of([row]) != captions_of([other])}
    equal = [abs(row["cost"] / other["cost"] - 1) for row, other in pairs if row["story"] == other["story"]]
    vectors = [(getattr(made, part), getattr(exact, part)) for part in VECTORS]
    return [
        name,
        *(f"{found.min():.6f}, {found.mean():.6f}" for found in (cosines(*both) for both in vectors)),
        f"{len(captions)} of {len({row['uri'] for row in exact.rows})}",
        f"{len(pairs) - len(equal)} of {len(pairs)}",
        f"{np.mean([row['cost'] / (row['words'] + 1) for row in made.rows]):.4f}",
        f"{max(equal):.1e}" if equal else "none",
    ]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def read(models: Models, folder: str) -> Loaded:
    """Returns the photos of a folder with their pixels; files that are not photos are left out."""
    load = models.photo_steps().load
    assert load is not None
    files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    loaded = [load_photo(str(path), load, tuple(models.steps.styles)) for path in files]
    return [one for one in loaded if not isinstance(one, DeadLetter)]


def main(argv: list[str]) -> int:
    """Returns 0 after printing the table, 2 if options or pack are wrong."""
    parser = argparse.ArgumentParser("python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--pack", help="default: the pocket pack")
    parser.add_argument("--photos", required=True, help="folder of photos")
    parser.add_argument("--precision", default="bfloat16", help=f"several with commas; of {', '.join(PRECISIONS)}")
    parser.add_argument("--device", default="auto")
    flags = parser.parse_args(argv)
    try:
        names = ["float32", *flags.precision.split(",")]
        models = [load_all(flags.pack, device=flags.device, precision=name) for name in names]
    except ConfigError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    if not (photos := read(models[0], flags.photos)):
        print(f"--photos {flags.photos}: holds no photo", file=sys.stderr)
        return 2
    exact = make(models[0], photos)
    rows = [compare("float32", exact, exact)]
    for name, one in zip(names[1:], models[1:], strict=True):
        rows.append(compare(name, make(one, photos, captions_of(exact.rows)), exact))
    device = resolve_device(flags.device).type
    print(f"{table(rows)}\n{LEGEND}\n{len(photos)} photos on {device}, torch {torch.__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
