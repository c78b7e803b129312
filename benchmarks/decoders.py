"""Cost of decoding here, in another process, and with `fast`: `python benchmarks/decoders.py FOLDER [PHOTOS]`.

Each photo is decoded in each way in turn. The processor time of both processes is measured, because a busy machine
makes other times longer; the start of a process is reported separately. At the end: how close the pocket pack's joint
embeddings of photos with `fast` are to those with its own preprocessing.
"""

import json
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from transforms.photo_decoder_process import answer  # noqa: E402  (the repository's root must be on the path first)
from transforms.photo_decoders import Decoders, decoder_settings  # noqa: E402

LIMITS = (100_000_000, 64_000_000)  # pixels, bytes
ROUNDS = 3
LARGE = 8_000_000  # pixels
POCKET = ROOT / "packs" / "pocket"
PACK = json.loads((POCKET / "pack.json").read_text())
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


def compare(name: str, photos: list[bytes]) -> None:
    """Prints the pixels a processor second in this process, in another one and with `fast`, and their ratios."""
    recipe = RECIPES[name]
    settings = decoder_settings(recipe, "strict", *LIMITS)
    start = start_cost(settings, photos[0])
    before, decoders = children(), Decoders(settings)
    decoders.decode(photos[0])
    pixels, there = 0, -start
    times = np.zeros((len(photos), 2))  # [N, 2]: by the pack's own preprocessing, by `fast`
    large = np.zeros(len(photos), bool)  # [N]
    for place, data in list(enumerate(photos)) * ROUNDS:
        begin = time.process_time()
        head, _ = answer(data, recipe, "strict", LIMITS[0])
        between = time.process_time()
        answer(data, recipe, "strict", LIMITS[0], "fast")
        after = time.process_time()
        decoders.decode(data)
        there += time.process_time() - after
        times[place] += between - begin, after - between
        pixels += head["width"] * head["height"]
        large[place] = head["width"] * head["height"] >= LARGE
    decoders.close()
    there += children() - before
    here = times[:, 0].sum()
    rates = f"{pixels / here / 1e6:.1f} Mpixel/s in this process, {pixels / there / 1e6:.1f} in another"
    print(f"{name}: {len(photos)} photos, {rates}: {here / there:.3f} of it; a process's start takes {start:.2f} s")
    for which, these in (("all", times), (f"{large.sum()} of {LARGE / 1e6:g} Mpixel and more", times[large])):
        if len(these):
            total, median = these[:, 0].sum() / these[:, 1].sum(), statistics.median(these[:, 0] / these[:, 1])
            print(f"{name}: fast, {which}: {total:.2f} times full decoding, a photo's median {median:.2f}")


def embed(photos: list[bytes], preprocessing: str) -> np.ndarray:
    """Returns the pocket pack's joint embeddings `[N, J]` of photos."""
    import torch

    from model_handlers.features import FeatureHandler
    from model_handlers.handler import Placement
    from model_handlers.pack import Pack

    pack = Pack.open(str(POCKET))
    handler = FeatureHandler(Placement(pack.location, pack.digest, "cpu"))
    model = handler.load_model()
    pixels = [answer(data, RECIPES["pocket"], "strict", LIMITS[0], preprocessing)[1] for data in photos]
    features = [feature for one in pixels for feature in handler.run_inference([one], model)]
    embedder = pack.joint_embedding.open(pack, torch.device("cpu"))
    return embedder.embed_photos(torch.from_numpy(np.stack(features))).numpy()  # [N, J]


def main(folder: str, count: str = "100") -> None:
    """Prints the cost of decoding the photos in a folder and its subfolders."""
    photos = [path.read_bytes() for path in sorted(Path(folder).rglob("*.jpg"))[: int(count)]]
    for name in RECIPES:
        compare(name, photos)
    cosines = sorted((embed(photos, "pack") * embed(photos, "fast")).sum(axis=1))
    print(f"pocket: fast, cosine of joint embeddings: least {cosines[0]:.4f}, median {statistics.median(cosines):.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
