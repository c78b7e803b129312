"""The joint embedding's training: views of photos, and first word vectors from elsewhere."""

from collections import Counter

import numpy as np
import pytest
import torch

from pipelines.corpora.texts import Tokens, Vocabulary, padded
from pipelines.training.engine.arithmetic import Arithmetic, computing
from pipelines.training.recipes import joint
from pipelines.training.recipes.joint import JointConfig, JointTask, PhotoSet, Prototypes

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


def test_pseudo_photos_are_photos_of_the_scene_with_the_class_put_in() -> None:
    features = np.asarray([[9, 10, 10], [11, 10, 10]] * 10, np.float32)  # [N, F], their mean is [10, 10, 10]
    scenes = Tokens.of([[5], [6]] * 10)  # where the first number is less, the caption is 5
    seen = PhotoSet(features, scenes, [[row] for row in range(20)])
    captions = Tokens.of([[2, 5], [3, 6], [4]])
    classes = Prototypes(
        np.asarray([[10, 20, 10], [10, 10, 20]], np.float32), captions, [[0, 1], [2]], np.asarray([3.0, 1])
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint, "FEW", 0.5)
        shown, about = classes.draw(400, seen, np.random.default_rng(0), replace=True)  # [n, F]
    kinds = np.asarray([int(text[0]) for text in about])  # [n]
    away = shown - 10  # [n, F]
    for chosen, place in ((kinds < 4, 1), (kinds == 4, 2)):
        assert 3.5 <= away[chosen, place].min() < 4 and 12 < away[chosen, place].max() <= 12.5
        assert np.abs(away[:, 0]).min() >= 0.4 and np.abs(away[:, 0]).max() <= 1 and not away[chosen, 3 - place].any()
    assert (away[kinds == 2, 0] < 0).all() and (away[kinds == 3, 0] > 0).all()  # the scene that the caption tells of
    assert 0.3 < (away[kinds == 4, 0] > 0).mean() < 0.7  # any
    assert (kinds == 4).mean() == pytest.approx(0.25, abs=0.06)


def test_scenes_are_found_by_words_that_few_photos_have() -> None:
    texts = Tokens.of([[2, 3]] * 3 + [[2, 4]] * 30)
    seen = PhotoSet(np.zeros((33, 2), np.float32), texts, [[row] for row in range(33)])
    assert {word: places.tolist() for word, places in seen.photos_of.items()} == {3: [0, 1, 2]}
    draw = np.random.default_rng(0)
    assert {seen.draw_like(np.asarray([2, 3, 9]), draw) for _ in range(60)} == {0, 1, 2}
    assert max(seen.draw_like(np.asarray([2, 4]), draw) for _ in range(60)) > 20


@pytest.mark.parametrize("count", [1, 7, 40], ids=lambda count: f"{count} captions")
@pytest.mark.parametrize(("low", "near"), [(False, 1e-5), (True, 0.03)], ids=["float32", "bfloat16"])
def test_captions_learn_by_the_embeddings_of_the_network(count: int, low: bool, near: float) -> None:
    task = JointTask(JointConfig(dim_word=5, dim=16, dropout=0.0), Vocabulary(list("abcdefgh")), photos(0), photos(0))
    draw = np.random.default_rng(count)
    ids, lengths = padded([draw.integers(2, 10, draw.integers(1, 6 if row else 30)) for row in range(count)])
    words, ends = torch.as_tensor(ids), torch.as_tensor(lengths)  # [N, T], [N]
    with computing(Arithmetic(torch.device("cpu"), low)):
        learned = task._embed(words, ends)  # [N, J]
    torch.testing.assert_close(learned, task.model.embed_sentences(words, ends), atol=near, rtol=0)
