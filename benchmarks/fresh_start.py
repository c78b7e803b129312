"""Start time of a fresh process: `python -m benchmarks.fresh_start PACK THREADS` prints it as JSON."""

import time

BEGUN = time.perf_counter()

import json  # noqa: E402  (the clock is read before anything is imported)
import sys  # noqa: E402

import torch  # noqa: E402

from model_handlers.captions import CaptionHandler  # noqa: E402
from model_handlers.features import FeatureHandler  # noqa: E402
from model_handlers.handler import Placement  # noqa: E402
from model_handlers.pack import Pack  # noqa: E402
from model_handlers.sentences import SentenceHandler  # noqa: E402
from model_handlers.stories import StoryHandler  # noqa: E402

IMPORTED = time.perf_counter()


def main(location: str, threads: str) -> None:
    """Prints the seconds of imports, of loading all networks, and until one photo's captions are found."""
    torch.set_num_threads(int(threads))
    pack = Pack.open(location)
    where = Placement(location, pack.digest, "cpu")
    (decoder,) = pack.decoders
    index = CaptionHandler(where, 100).load_model().get()
    others = (FeatureHandler(where), SentenceHandler(where), StoryHandler(where, decoder, 50))
    for net in (index.embedder.net, *(handler.load_model().get().net for handler in others)):
        for weights in net.parameters():
            weights.sum()  # files are mapped, and only read when the numbers are used
    loaded = time.perf_counter()
    index.search(torch.ones(1, pack.joint_embedding.feature_width), 100)  # [1, F]
    found = time.perf_counter()
    told = {"imports": IMPORTED - BEGUN, "loading": loaded - IMPORTED, "first captions": found - loaded}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
