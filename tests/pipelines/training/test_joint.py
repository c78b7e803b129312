"""The joint embedding's training: views of photos, and first word vectors from elsewhere."""

from collections import Counter

import numpy as np
import torch

from pipelines.training.joint import JointConfig, JointTask, PhotoSet
from pipelines.training.texts import Tokens, Vocabulary

CAPTIONS, ROWS = Tokens.of([[2], [3], [2, 3]]), [[0], [1], [2]]


def photos(views: int) -> PhotoSet:
    """Returns three photos whose features say which photo and which view they are of."""
    tables = [np.asarray([[photo, view] for photo in (1, 2, 3)], np.float32) for view in range(views + 1)]
    return PhotoSet(tables[0], CAPTIONS, ROWS, tables[1:])


def test_every_photo_is_shown_in_every_view() -> None:
    draw = np.random.default_rng(0)
    places = np.asarray([2, 0] * 300)
    found = photos(2).draw(places, draw)
    assert found[:, 0].tolist() == [3, 1] * 300, "the photos that were asked for"
    counts = Counter((photo, view) for photo, view in found.tolist())
    assert len(counts) == 6 and min(counts.values()) > 70
    assert photos(0).draw(places, draw)[:, 1].max() == 0


def test_batches_are_drawn_from_the_views_and_the_score_from_whole_photos() -> None:
    task = JointTask(JointConfig(dim_word=2, dim=4, batch_size=3), Vocabulary(["a", "b"]), photos(1), photos(0))
    views = {view for seed in range(9) for view in task._batch(np.random.default_rng(seed))[0][:, 1].tolist()}
    assert views == {0, 1}
    with torch.inference_mode():
        assert task.evaluate()["image_to_text_R@10"] == 100


def test_word_vectors_from_elsewhere_are_where_training_starts() -> None:
    vectors = np.asarray([[1, 2], [3, 4]], np.float32)  # [V - 2, W]
    config = JointConfig(dim_word=2, dim=4)
    table = JointTask(config, Vocabulary(["a", "b"]), photos(0), photos(0), None, vectors).model.word_vectors.weight
    assert table[2:].tolist() == vectors.tolist() and table[:2].abs().max() <= 0.1
