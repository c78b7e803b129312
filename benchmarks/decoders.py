"""What decoding in another process costs: `python benchmarks/decoders.py FOLDER [PHOTOS]`.

Each photo is decoded both ways by turns. What counts is the time of the processor, of both processes, because a busy
machine makes other times longer; a process's start is told apart.
"""

import json
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from transforms.decoder_process import answer  # noqa: E402  (the repository's root must be on the path first)
from transforms.decoders import Decoders, decoder_settings  # noqa: E402

LIMITS = (100_000_000, 64_000_000)  # pixels, bytes
ROUNDS = 3
PACK = json.loads((ROOT / "packs" / "pocket" / "pack.json").read_text())
RECIPES = {"original": {"name": "original"}, "pocket": PACK["components"]["features"]["preprocessing"]}


def children() -> float:
    """Returns the processor seconds of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start_cost(settings: str, photo: bytes) -> float:
    """Returns the processor seconds of a process that decodes one photo."""
    before, decoders = children(), Decoders(settings)
    decoders.decode(photo)
    decoders.close()
    return children() - before


def main(folder: str, count: str = "100") -> None:
    """Prints for each recipe the pixels a processor second both ways, and their ratio."""
    photos = [path.read_bytes() for path in sorted(Path(folder).glob("*.jpg"))[: int(count)]]
    for name, recipe in RECIPES.items():
        settings = decoder_settings(recipe, "strict", *LIMITS)
        start = start_cost(settings, photos[0])
        before, decoders = children(), Decoders(settings)
        decoders.decode(photos[0])
        pixels, here, there = 0, 0.0, -start
        for data in photos * ROUNDS:
            begin = time.process_time()
            head, _ = answer(data, recipe, "strict", LIMITS[0])
            between = time.process_time()
            decoders.decode(data)
            there += time.process_time() - between
            here += between - begin
            pixels += head["width"] * head["height"]
        decoders.close()
        there += children() - before
        rates = f"{pixels / here / 1e6:.1f} Mpixel/s in this process, {pixels / there / 1e6:.1f} in another"
        print(f"{name}: {len(photos)} photos, {rates}: {here / there:.3f} of it; a process's start takes {start:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
