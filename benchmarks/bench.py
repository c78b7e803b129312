"""Settings that all stages share: amounts, packs, photos and threads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from benchmarks.limits import MEMORY_BYTES, SHAPES, memory_rate, multiply_rate
from benchmarks.random_packs import Sizes, random_pack
from model_handlers.handler import Placement
from model_handlers.pack import Pack

SUFFIXES = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Scale:
    """How much the stages do; the published figures use the defaults.

    Attributes:
        sizes: sizes of the random pack.
        searched: photos of the program's beam search.
        original: photos that the original searches, or finds captions for.
        told: photos that the original takes from file to story.
        width: hypotheses for each photo.
        steps: words after which a search that cannot end is stopped, on both sides.
        encoded: unique captions to encode.
        batch: photos in each search of the caption index.
        nearest: captions for each photo.
        embedded: captions from which the original's start is extrapolated.
        seen: photos of VGG-19's shorter and longer run.
        seen_pocket: photos of the shorter and longer run of the pocket pack's network.
        run: photos of the main job's shorter and longer run.
        large: minimum pixels of a large photo.
        shapes: shapes of the products that measure the machine's rate.
        memory: bytes read to measure the memory's rate.
    """

    name: str = "original"
    sizes: Sizes = field(default_factory=Sizes)
    searched: int = 32
    original: int = 2
    told: int = 20
    width: int = 50
    steps: int = 60
    encoded: int = 20_000
    batch: int = 64
    nearest: int = 100
    embedded: int = 2_000
    seen: tuple[int, int] = (32, 96)
    seen_pocket: tuple[int, int] = (64, 576)
    run: tuple[int, int] = (20, 120)
    large: int = 8_000_000
    shapes: Sequence[tuple[int, int, int]] = SHAPES
    memory: int = MEMORY_BYTES


TINY = Scale(
    name="tiny",
    sizes=Sizes(40, 6, 10, 8, 4, 7, 5, 60, (1,) * 16, 4, 9),
    searched=3,
    told=1,
    width=3,
    steps=5,
    encoded=20,
    batch=4,
    nearest=4,
    embedded=10,
    seen=(2, 4),
    seen_pocket=(2, 4),
    run=(1, 3),
    large=1,
    shapes=((64, 64, 64),),
    memory=1 << 20,
)
SCALES = {scale.name: scale for scale in (Scale(), TINY)}


class LeftOut(Exception):
    """A stage cannot run here; the message says why."""


@dataclass
class Bench:
    """Input of a stage.

    Attributes:
        scale: amounts of work.
        rounds: number of rounds in which the sides take turns.
        threads: threads of torch, and processes or threads that decode photos.
        work: folder of random packs and of the runs' outputs.
        pocket: folder of the pocket pack.
        photos: JPEG files; may be empty.
    """

    scale: Scale
    rounds: int
    threads: int
    work: Path
    pocket: Path
    photos: list[Path]

    @cached_property
    def random(self) -> Pack:
        """The pack of random weights."""
        return random_pack(self.work, self.scale.sizes)

    @cached_property
    def pocket_pack(self) -> Pack:
        """The pocket pack."""
        return Pack.open(str(self.pocket))

    def place(self, pack: Pack) -> Placement:
        """Returns the placement of a pack's networks."""
        return Placement(pack.location, pack.digest, "cpu")

    def rate(self) -> float:
        """Returns float32 operations a second, measured now."""
        return multiply_rate(self.scale.shapes)

    def memory_rate(self) -> float:
        """Returns bytes a second, measured now."""
        return memory_rate(self.scale.memory)

    def draw(self, *shape: int, seed: int = 1) -> torch.Tensor:
        """Returns random numbers from a seed."""
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    def different(self, count: int) -> list[Path]:
        """Returns `count` photos, or all if there are fewer.

        Raises:
            LeftOut: there is none.
        """
        if not self.photos:
            raise LeftOut("no photo was found; name a folder of JPEG files with --photos")
        return self.photos[:count]

    def repeated(self, count: int) -> list[Path]:
        """Returns `count` photos, repeated if there are fewer.

        Raises:
            LeftOut: there is none.
        """
        photos = self.different(count)
        return [photos[place % len(photos)] for place in range(count)]


def find_photos(folder: Path) -> list[Path]:
    """Returns the JPEG files of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
