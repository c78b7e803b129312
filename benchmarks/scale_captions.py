"""One point of benchmarks.scale, in a separate process: `python -m benchmarks.scale_captions PACK`.

A caption index is opened and searched as in the main job. The output, as JSON, has the seconds of opening it with the
first batch, and of each further batch.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from model_handlers.captions import CaptionHandler
from model_handlers.families.protocols import CaptionsEntry
from model_handlers.families.word_joint_embedding import WordJointEmbeddingEntry
from model_handlers.handler import Placement
from model_handlers.nets.joint_embedding import JointEmbedding
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter

FEATURE, JOINT = 4096, 1024
BATCH, CAPTIONS, ROUNDS = 64, 100, 7  # photos at once, captions of each, batches that are timed
BLOCK = 10_000  # vectors drawn at once


def write_index(folder: Path, captions: int) -> Pack:
    """Returns a pack of captions whose embeddings are random unit vectors.

    It holds only what searching needs.
    """
    writer = PackWriter(str(folder))
    net = JointEmbedding(FEATURE, JOINT, JOINT, 2, "bow")
    entry = WordJointEmbeddingEntry(
        encoder="bow",
        dim_image=FEATURE,
        dim_word=JOINT,
        dim=JOINT,
        n_words=2,
        weights=writer.add_tensors("joint_embedding.safetensors", net.state_dict()),
        vocabulary=writer.add_json("joint_embedding_words.json", []),
    )
    writer.put("joint_embedding", entry)
    texts = writer.add_lines("captions.txt", [f"caption {number} ." for number in range(captions)])
    embeddings = writer.reserve_array("captions.npy", (captions, JOINT), "float32")  # [K, J]
    draw = np.random.default_rng(captions)
    for start in range(0, captions, BLOCK):
        block = draw.standard_normal((min(BLOCK, captions - start), JOINT), np.float32)  # [block, J]
        embeddings[start : start + BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    embeddings.flush()
    writer.put("captions", CaptionsEntry(texts=texts, embeddings="captions.npy"))
    return writer.finish()


def main(location: str) -> None:
    """Prints the time of searching."""
    begun = time.perf_counter()
    pack = Pack.open(location)
    handler = CaptionHandler(Placement(location, pack.digest, "cpu"), CAPTIONS, BATCH)
    model = handler.load_model()
    draw, seconds = np.random.default_rng(0), []
    for _ in range(ROUNDS + 1):
        batch = list(draw.standard_normal((BATCH, FEATURE), np.float32))
        results = handler.run_inference(batch, model)
        assert all(not isinstance(found, Exception) for found in results), results[0]
        seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
    print(json.dumps({"open_seconds": seconds[0], "batch_seconds": seconds[1:]}))


if __name__ == "__main__":
    main(sys.argv[1])
