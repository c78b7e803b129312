"""The joint embedding's training: views of photos, and first word vectors from elsewhere."""

from collections import Counter

import numpy as np
import pytest
import torch

from pipelines.training.joint import JointConfig, JointTask, PhotoSet, Prototypes
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


def test_pseudo_photos_lie_beyond_the_photos_mean_towards_their_class() -> None:
    photos = np.asarray([[9, 10, 10], [11, 10, 10]], np.float32)  # [N, F], their mean is [10, 10, 10]
    captions = Tokens.of([[2], [3], [4]])
    classes = Prototypes(np.asarray([[10, 20, 10], [10, 10, 20]], np.float32), captions, [[0, 1], [2]])
    features, about = classes.draw(400, photos, np.random.default_rng(0), replace=True)  # [n, F]
    first = np.asarray([int(text[0]) != 4 for text in about])  # [n]
    for chosen, place in ((first, 1), (~first, 2)):
        away = features[chosen] - 10  # [n, F]
        assert 7.5 <= away[:, place].min() < 8 and 12 < away[:, place].max() <= 12.5
        assert np.abs(away[:, 0]).min() >= 0.3 and np.abs(away[:, 0]).max() <= 0.9 and not away[:, 3 - place].any()
    assert {int(text[0]) for text in about} == {2, 3, 4}
    assert first.mean() == pytest.approx(np.sqrt(2) / (1 + np.sqrt(2)), abs=0.06)
