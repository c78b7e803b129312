"""The same photos through the same network with other frameworks: a plain DataLoader, Ray Data and Daft.

Each reads, decodes and prepares one photo at a time and gives the network batches of one size. Each loads the network
itself in every run, so that none has an advantage.
"""

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset

from model_handlers.features import FeatureHandler
from model_handlers.handler import Placement
from model_handlers.pack import Pack
from transforms.preprocessing import Recipe, crop_side, preprocess

ENVIRONMENT = {
    "DAFT_RUNNER": "native",  # else it runs on Ray where that has been started
    "DAFT_PROGRESS_BAR": "0",
    "DAFT_ANALYTICS_ENABLED": "0",
    "DO_NOT_TRACK": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""In which neither uses the other, and nobody reports to anybody."""

OBJECT_STORE = 1 << 30  # bytes that Ray keeps pixels in
DECODING_SHARE = 0.5  # of a core, that a task of Ray's which decodes asks for


@dataclass(frozen=True)
class Task:
    """Input of each framework.

    Attributes:
        location: of the pack.
        threads: of torch, and of decoding.
        batch: photos that the network sees at once.
    """

    location: str
    threads: int
    batch: int

    @property
    def recipe(self) -> Recipe:
        """The pack's preprocessing."""
        return Pack.open(self.location).features.preprocessing


def load(path: str, recipe: Recipe) -> np.ndarray:
    """Returns a file's pixels `[3, crop, crop]` as the network takes them."""
    with Image.open(path) as image:
        return preprocess(np.asarray(ImageOps.exif_transpose(image).convert("RGB")), recipe)


class Network:
    """The network as the program makes it ready: pixels `[N, 3, crop, crop]` to feature vectors `[N, F]`."""

    def __init__(self, task: Task) -> None:
        torch.set_num_threads(task.threads)
        pack = Pack.open(task.location)
        self.backbone = FeatureHandler(Placement(pack.location, pack.digest)).build(pack, torch.device("cpu"))

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Returns feature vectors `[N, F]` of pixels."""
        return self.backbone.see(torch.from_numpy(pixels)).numpy()  # [N, F]


class Photos(Dataset):
    """Pixels of files."""

    def __init__(self, paths: Sequence[str], recipe: Recipe) -> None:
        self.paths, self.recipe = paths, recipe

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> torch.Tensor:
        return torch.from_numpy(load(self.paths[place], self.recipe))  # [3, crop, crop]


def by_data_loader(task: Task, paths: Sequence[str]) -> np.ndarray:
    """Returns feature vectors `[N, F]`; as many processes as threads decode beside the network."""
    network = Network(task)
    loader = DataLoader(Photos(paths, task.recipe), task.batch, num_workers=task.threads)
    return np.concatenate([network(pixels.numpy()) for pixels in loader])  # [N, F]


class RayNetwork(Network):
    """The network as Ray Data calls it."""

    def __call__(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:  # type: ignore[override]
        """Returns the rows with a feature vector in place of the pixels."""
        return {"place": rows["place"], "feature": super().__call__(np.ascontiguousarray(rows["pixels"]))}


def load_row(row: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Returns a row of Ray Data with pixels in place of the path."""
    return {"place": row["place"], "pixels": load(row["path"], recipe)}


def by_ray(task: Task, paths: Sequence[str], share: float = 0.4) -> np.ndarray:
    """Returns feature vectors `[N, F]` by Ray Data: tasks that decode, and one actor that holds the network.

    Args:
        task: see Task.
        paths: of the photos.
        share: of a core that the actor asks for; where it is that of the tasks, Ray lets the actor decode too.
    """
    import ray.data

    items = [{"place": place, "path": path} for place, path in enumerate(paths)]
    photos = ray.data.from_items(items, override_num_blocks=max(1, len(items) // task.batch))
    loaded = photos.map(load_row, fn_kwargs={"recipe": task.recipe}, num_cpus=DECODING_SHARE)
    actor = ray.data.ActorPoolStrategy(size=1)
    options = {"batch_size": task.batch, "compute": actor, "num_cpus": share, "fn_constructor_args": (task,)}
    rows = loaded.map_batches(RayNetwork, **options).take_all()
    return np.stack([row["feature"] for row in sorted(rows, key=lambda row: row["place"])])  # [N, F]


@contextlib.contextmanager
def ray_cluster(threads: int) -> Iterator[float]:
    """Yields the seconds that Ray took to start; 0 if Ray is not installed. Stops it afterwards."""
    if not find_spec("ray"):
        yield 0.0
        return
    import ray.data

    begun = time.perf_counter()
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    ray.init(address="local", num_cpus=threads, object_store_memory=OBJECT_STORE, **quiet)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield time.perf_counter() - begun
    finally:
        ray.shutdown()


def by_daft(task: Task, paths: Sequence[str]) -> np.ndarray:
    """Returns feature vectors `[N, F]` by Daft.

    A function decodes, and one instance of a class holds the network.
    """
    import daft
    from daft import DataType

    recipe, entry = task.recipe, Pack.open(task.location).features
    side = crop_side(recipe)
    pixels, feature = (DataType.tensor(DataType.float32(), shape) for shape in ((3, side, side), (entry.width,)))

    @daft.func(return_dtype=pixels)
    def decode(path: str) -> Any:
        return load(path, recipe)

    @daft.cls(max_concurrency=1)
    class DaftNetwork:
        def __init__(self) -> None:
            self.network = Network(task)

        @daft.method.batch(return_dtype=feature, batch_size=task.batch)
        def see(self, photos: Any) -> Any:
            return list(self.network(np.stack(photos.to_pylist())))  # each [F]

    frame = daft.from_pydict({"place": list(range(len(paths))), "path": list(paths)})
    frame = frame.with_column("pixels", decode(frame["path"]))
    found = frame.select("place", DaftNetwork().see(frame["pixels"]).alias("feature")).to_pydict()
    order = np.argsort(found["place"])
    return np.stack([found["feature"][place] for place in order])  # [N, F]


FRAMEWORKS: dict[str, tuple[str, Callable[[Task, Sequence[str]], np.ndarray]]] = {
    "data_loader": ("torch", by_data_loader),
    "ray": ("ray", by_ray),
    "ray_in_one_actor": ("ray", partial(by_ray, share=DECODING_SHARE)),
    "daft": ("daft", by_daft),
}
"""By name: the package that it needs, and what runs it."""


def there() -> tuple[dict[str, Callable[[Task, Sequence[str]], np.ndarray]], dict[str, str]]:
    """Returns the frameworks that are installed, and why the others are left out."""
    os.environ.update(ENVIRONMENT)
    found = {name: run for name, (package, run) in FRAMEWORKS.items() if find_spec(package)}
    missing = {
        name: f"the package {package} is not installed; pip install -e '.[benchmarks]' brings it"
        for name, (package, _) in FRAMEWORKS.items()
        if name not in found
    }
    return found, missing
