"""Whole runs over models of other seeds, beside the program of 2015 written anew in NumPy from its specification."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_handlers.nets.tokeniser import tokenise
from pipelines.nightly.main_job import main
from pipelines.originals.importing import import_originals
from pipelines.tables.read import newest_rows

PHOTOS = 6


def gru(arrays: Any, unit: str, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """One step, SPEC section 5."""
    gates = 1 / (1 + np.exp(-(h @ arrays[f"{unit}_U"] + x @ arrays[f"{unit}_W"] + arrays[f"{unit}_b"])))
    reset, update = gates[:, : h.shape[1]], gates[:, h.shape[1] :]
    fresh = np.tanh(reset * (h @ arrays[f"{unit}_Ux"]) + x @ arrays[f"{unit}_Wx"] + arrays[f"{unit}_bx"])
    return update * h + (1 - update) * fresh


def last(arrays: Any, unit: str, vectors: list[np.ndarray]) -> np.ndarray:
    state = np.zeros((1, arrays[f"{unit}_Ux"].shape[0]), np.float32)
    for vector in vectors:
        state = gru(arrays, unit, vector.reshape(1, -1), state)
    return state[0]


def unit_length(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


class Original:
    """One photo at a time, full sorts, nothing batched: SPEC sections 4 to 10."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = ("coco_embedding", "uni_skip", "bi_skip")
        self.joint, self.uni, self.bi = (np.load(folder / f"{name}.npz") for name in names)
        self.ids = self.read("coco_embedding.npz.dictionary.pkl")
        lines = (folder / "coco_train_caps.txt").read_bytes().split(b"\n")
        self.captions = [line.strip() for line in lines if line.strip()]
        words = (folder / "dictionary.txt").read_bytes().split(b"\n")[:-1]
        keys = [word.decode().strip() for word in words]
        self.tables = [
            dict(zip(keys, np.load(folder / name, allow_pickle=True, encoding="latin1"), strict=True))
            for name in ("utable.npy", "btable.npy")
        ]
        self.words = {number: word for word, number in self.read("romance_dictionary.pkl").items()}

    def read(self, name: str) -> OrderedDict[str, int]:
        with (self.folder / name).open("rb") as file:
            return pickle.load(file, encoding="latin1")

    def embed_caption(self, caption: bytes) -> np.ndarray:
        table = self.joint["Wemb"]
        ids = [self.ids.get(word.decode("latin1"), 1) for word in caption.split()]
        return unit_length(last(self.joint, "encoder", [table[n if n < len(table) else 1] for n in [*ids, 0]]))

    def sentence_vector(self, caption: bytes) -> np.ndarray:
        tokens = [token if token.isascii() else "UNK" for token in tokenise(caption)]
        uni, bi = ([table.get(token, table["UNK"]) for token in tokens] for table in self.tables)
        both = [last(self.bi, "encoder", bi), last(self.bi, "encoder_r", bi[::-1])]
        return np.concatenate([unit_length(last(self.uni, "encoder", uni)), unit_length(np.concatenate(both))])

    def story(self, feature: np.ndarray, count: int, width: int) -> tuple[list[bytes], str | None]:
        photo = unit_length(unit_length(feature) @ self.joint["ff_image_W"] + self.joint["ff_image_b"])
        scores = photo @ np.stack([self.embed_caption(caption) for caption in self.captions]).T
        captions = [self.captions[place] for place in np.argsort(scores)[::-1][:count]]
        mean = np.stack([self.sentence_vector(caption) for caption in captions]).mean(0)
        source, target = (np.load(self.folder / f"{name}_style.npy").ravel() for name in ("caption", "romance"))
        return captions, self.decode(mean - source + target, width)

    def decode(self, context: np.ndarray, width: int) -> str | None:
        p = np.load(self.folder / "romance.npz")
        states = np.tanh(context[None] @ p["ff_state_W"] + p["ff_state_b"])
        live: list[list[int]] = [[]]
        costs, finished = np.zeros(1, np.float32), []
        for _ in range(1000):
            inputs = [p["Wemb"][words[-1]] if words else np.zeros_like(p["Wemb"][0]) for words in live]
            states = gru(p, "decoder", np.stack(inputs), states)
            logits = np.tanh(states @ p["ff_hid_W"] + p["ff_hid_b"]) @ p["ff_logit_W"] + p["ff_logit_b"]
            odds = np.exp(logits - logits.max(1, keepdims=True))
            candidates = costs[:, None] - np.log(odds / odds.sum(1, keepdims=True))
            candidates[:, 1] = 1e20
            order = candidates.ravel().argsort()[: width - len(finished)]
            kept = [(*divmod(int(place), candidates.shape[1]), candidates.ravel()[place]) for place in order]
            finished += [([*live[parent], 0], cost) for parent, word, cost in kept if word == 0]
            going = [(parent, word, cost) for parent, word, cost in kept if word != 0]
            live, before = [[*live[parent], word] for parent, word, _ in going], states
            if not live or len(finished) >= width:
                break
            states = np.stack([before[parent] for parent, _, _ in going])
            costs = np.array([cost for _, _, cost in going], np.float32)
        finished += list(zip(live, costs, strict=False)) if len(finished) < width else []
        finished = finished[1:] if finished and finished[0][0] == [0] else finished
        names = {0: "<eos>", 1: "UNK"} | self.words
        best = min(finished, key=lambda pair: pair[1], default=None)
        return best and " ".join(names[word] for word in best[0][:-1])


@pytest.mark.parametrize(("seed", "count", "width"), [(1, 2, 5), (2, 3, 20), (3, 1, 1), (4, 3, 8)])
def test_stories_equal_the_program_written_from_its_specification(
    originals: Any, tmp_path: Path, seed: int, count: int, width: int
) -> None:
    originals.draw = np.random.RandomState(seed)
    originals.everything()
    words = ["a", "A", "dog", "zebra"]  # one of them unknown: no two captions tie
    bank = sorted({" ".join(originals.draw.choice(words, size=originals.draw.randint(2, 7))) for _ in range(40)})
    originals.write("coco_train_caps.txt", "".join(f"{caption}\n" for caption in bank).encode())
    pack = import_originals(originals.folder, str(tmp_path / "pack"))
    assert pack is not None
    features = np.maximum(originals.numbers(PHOTOS, pack.component("joint_embedding")["dim_image"]), 0)  # [6, F]
    table = pa.table({"uri": [f"photo {n}" for n in range(PHOTOS)], "feature": features.tolist()})
    pq.write_table(table, tmp_path / "features.parquet")
    output = str(tmp_path / "stories")
    flags = ["--features", str(tmp_path / "features.parquet"), "--pack", pack.location, "--output", output]
    assert main([*flags, "--captions-per-photo", str(count), "--beam-width", str(width)]) == 0
    rows = {row["uri"]: row for row in newest_rows(output)}
    original = Original(originals.folder)
    for number, feature in enumerate(features):
        captions, passage = original.story(feature, count, width)
        row = rows.get(f"photo {number}")
        assert (row and row["passage"]) == passage
        if row:
            assert [match["caption"].encode() for match in row["captions"]] == captions
