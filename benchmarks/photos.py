"""The stages before the captions: feature vectors of photos on disk, and decoding of large photos."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import apache_beam as beam
import numpy as np
import torch
from PIL import Image

from benchmarks.bench import Bench, LeftOut
from benchmarks.checks import Check
from benchmarks.frameworks import Network, Task, load, ray_cluster, there
from benchmarks.limits import decode_seconds, network_flops
from benchmarks.results import Result
from benchmarks.timing import Marginal, Reckoned, Side, Timed, play
from model_handlers.features import FeatureHandler
from model_handlers.pack import Pack
from pipelines.cli.options import beam_options
from transforms.extract_features import ExtractFeatures
from transforms.infer import RESULTS
from transforms.load_images import LoadImages
from transforms.photo_decoders import Decoders
from transforms.preprocessing import crop_side
from transforms.records import Listing, Photo

BATCH = 32
COSINE = 0.99  # of joint embeddings by fast and by full decoding, at least
LARGE = 20  # photos decoded a round, at most
_FOUND: list[tuple[Photo, np.ndarray]] = []  # what the pipeline's last step was handed: it runs in this process


def keep(found: tuple[Photo, np.ndarray]) -> None:
    """Keeps what the pipeline found."""
    _FOUND.append(found)


def by_pipeline(load_images: LoadImages, handler: FeatureHandler, paths: Sequence[str]) -> np.ndarray:
    """Returns feature vectors `[N, F]` by the main job's steps, as its waves run them."""
    _FOUND.clear()
    listings = [Listing(path, Path(path).stat().st_size, str(place)) for place, path in enumerate(paths)]
    with beam.Pipeline(options=beam_options([])) as root:
        pixels = root | "Name photos" >> beam.Create(listings, reshuffle=False) | "Load images" >> load_images
        found = pixels[RESULTS] | "Extract features" >> ExtractFeatures(handler)
        _ = found[RESULTS] | "Keep features" >> beam.Map(keep)
    by_place = {int(photo.version): feature for photo, feature in _FOUND}
    return np.stack([by_place[place] for place in range(len(paths))])  # [N, F]


def features(bench: Bench) -> Iterator[Result]:
    """Yields the figures of feature vectors, of VGG-19 and of the pocket pack's network."""
    yield _features(bench, bench.random, "features_vgg19", bench.scale.name, bench.scale.seen)
    yield _features(bench, bench.pocket_pack, "features_pocket", "pocket pack", bench.scale.seen_pocket)


def _features(bench: Bench, pack: Pack, stage: str, sizes: str, counts: tuple[int, int]) -> Result:
    entry, few, many = pack.features, *counts
    recipe, paths = entry.preprocessing, [str(path) for path in bench.repeated(many)]
    handler = FeatureHandler(bench.place(pack), BATCH)
    task, (frameworks, missing) = Task(pack.location, bench.threads, BATCH), there()
    pipeline = partial(by_pipeline, LoadImages(recipe, processes=bench.threads), handler)
    flops = network_flops(lambda: entry.build(), crop_side(recipe))
    contents = [Path(path).read_bytes() for path in paths[:BATCH]]
    runs: dict[str, Marginal] = {"product": Marginal(lambda count: pipeline(paths[:count]), few, many)}
    for name, run in frameworks.items():
        runs[name] = Marginal(lambda count, run=run: run(task, paths[:count]), few, many)  # type: ignore[misc]
    sides: dict[str, Side] = {
        **runs,
        "forward": Timed(bare_loop(task, paths), many),
        "limit": Reckoned(lambda: decode_seconds(contents) / bench.threads + flops / bench.rate()),
    }
    with ray_cluster(bench.threads) as ray_start:
        figures, check = play(sides, bench.rounds), Check()
    for name in frameworks:
        check.floats(f"features by {name}", runs["product"].output, runs[name].output)
    return Result(
        stage, sizes, "photo", figures,
        targets={"forward": 0.9} | dict.fromkeys(frameworks, 1.0),
        amounts={
            "photos": many, "different files": len(set(paths)), "operations a photo": flops, "start of Ray": ray_start,
        },
        starts={name: run.starts for name, run in runs.items()},
        check=check, left_out=missing,
        notes=[
            "files to feature vectors, by the program's network everywhere; forward is that alone, over ready pixels, "
            "limit is decoding and arithmetic on all threads"
        ],
    )  # fmt: skip


def bare_loop(task: Task, paths: Sequence[str]) -> "partial[None]":
    """Returns what runs the network over the photos' pixels, which are ready in batches."""
    different = {path: load(path, task.recipe) for path in dict.fromkeys(paths)}
    pixels = [different[path] for path in paths]
    batches = [np.stack(pixels[first : first + task.batch]) for first in range(0, len(pixels), task.batch)]
    return partial(_see, Network(task), batches)


def _see(network: Network, batches: Sequence[np.ndarray]) -> None:
    for batch in batches:
        network(batch)


def decode(bench: Bench) -> Iterator[Result]:
    """Yields the figures of decoding large photos, by the process that decodes.

    Progressive ones, all of whose scans must be read before there is a pixel, have figures of their own.

    Raises:
        LeftOut: there is no photo of so many pixels.
    """
    found = large_photos(bench.photos, bench.scale.large)
    if not found:
        raise LeftOut(f"no photo has {bench.scale.large:,} pixels; name a folder of such JPEG files by --photos")
    for stage in sorted(found):
        yield _decode(bench, stage, found[stage])


def _decode(bench: Bench, stage: str, contents: list[bytes]) -> Result:
    pack = bench.pocket_pack
    recipe = pack.features.preprocessing
    ways = {"product": LoadImages(recipe, preprocessing="fast"), "full": LoadImages(recipe)}
    decoders = {name: Decoders(load_images.settings) for name, load_images in ways.items()}
    timed = {name: Timed(partial(decode_each, one, contents), len(contents)) for name, one in decoders.items()}
    limit = Reckoned(lambda: decode_seconds(contents))
    figures = play({**timed, "limit": limit}, bench.rounds)
    for one in decoders.values():
        one.close()
    fast, full = (embed(bench, pack, side.output) for side in timed.values())  # [N, J] each
    cosine = float((fast * full).sum(dim=1).min())
    return Result(
        stage, f"photos of {bench.scale.large:,} pixels and more", "photo", figures, targets={"full": 3},
        amounts={"photos": len(contents), "bytes": sum(map(len, contents)), "least cosine": cosine},
        notes=[
            "product is the preprocessing `fast`, full the pocket pack's own, limit Pillow's full decoding and no more",
            f"the least cosine of joint embeddings by the two is {cosine:.4f}; {COSINE:g} is asked for",
        ],
    )  # fmt: skip


def embed(bench: Bench, pack: Pack, pixels: list[np.ndarray]) -> torch.Tensor:
    """Returns the joint embeddings `[N, J]` of photos."""
    backbone = FeatureHandler(bench.place(pack)).load_model().get()
    features = backbone.see(torch.from_numpy(np.stack(pixels)))  # [N, F]
    return pack.joint_embedding.open(pack, torch.device("cpu")).embed_photos(features)  # [N, J]


def large_photos(paths: Sequence[Path], least: int) -> dict[str, list[bytes]]:
    """Returns by stage the first files of at least so many pixels; progressive JPEGs are a stage of their own."""
    found: dict[str, list[bytes]] = {}
    for path in paths:
        with Image.open(path) as image:
            enough = image.width * image.height >= least
            stage = "decode_progressive" if image.info.get("progressive") else "decode"
        if enough and len(found.setdefault(stage, [])) < LARGE:
            found[stage].append(path.read_bytes())
    return found


def decode_each(decoders: Decoders, contents: Sequence[bytes]) -> list[np.ndarray]:
    """Returns the pixels of files (see `cut`), decoded one after the other."""
    return [decoders.decode(data)[0] for data in contents]
