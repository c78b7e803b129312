"""What decoding in another process costs: `python benchmarks/decoders.py FOLDER [PHOTOS]`.

Each photo is decoded both ways by turns, five times, and the shortest times count: a busy machine makes others longer.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from transforms.decoder_process import answer  # noqa: E402  (the repository's root must be on the path first)
from transforms.decoders import Decoders, decoder_settings  # noqa: E402

ROUNDS = 5
PACK = json.loads((ROOT / "packs" / "pocket" / "pack.json").read_text())
RECIPES = {"original": {"name": "original"}, "pocket": PACK["components"]["features"]["preprocessing"]}


def seconds(call: Callable[..., Any], *arguments: Any) -> float:
    """Returns how long a call takes."""
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def main(folder: str, count: str = "100") -> None:
    """Prints for each recipe the pixels a second both ways, and their ratio."""
    photos = [path.read_bytes() for path in sorted(Path(folder).glob("*.jpg"))[: int(count)]]
    for name, recipe in RECIPES.items():
        decoders = Decoders(decoder_settings(recipe, "strict", 100_000_000, 64_000_000))
        start = seconds(decoders.decode, photos[0])
        pixels, here, there = 0, 0.0, 0.0
        for data in photos:
            head, _ = answer(data, recipe, "strict", 100_000_000)
            pixels += head["width"] * head["height"]
            times = [
                (seconds(answer, data, recipe, "strict", 100_000_000), seconds(decoders.decode, data))
                for _ in range(ROUNDS)
            ]
            here, there = here + min(time[0] for time in times), there + min(time[1] for time in times)
        decoders.close()
        rates = f"{pixels / here / 1e6:.1f} Mpixel/s in this process, {pixels / there / 1e6:.1f} in another"
        print(f"{name}: {len(photos)} photos, {rates}: {here / there:.3f} of it; the process starts in {start:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
