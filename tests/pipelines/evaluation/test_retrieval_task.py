"""Recalls counted by hand, ties against the pack, and the command on a tiny pack."""

from typing import Any

import numpy as np
import pytest

from model_handlers.pack import Pack
from pipelines.evaluation import retrieval_task as retrieval
from pipelines.evaluation.retrieval_task import TASK, rank, recalls

PHOTOS = np.eye(3)  # [3, 3]
# Similarities: rows are captions, columns photos; captions 0 and 1 are photo 0's, 2 and 3 photo 1's, 4 photo 2's.
CAPTIONS = np.array(
    [
        [0.2, 0.9, 0.0],  # its photo is second
        [0.5, 0.6, 0.7],  # its photo is third
        [0.6, 0.8, 0.1],  # its photo is first
        [0.0, 0.1, 0.0],  # its photo is first
        [0.1, 0.3, 0.2],  # its photo is second
    ]
)
OWNERS = np.array([0, 0, 1, 1, 2])


@pytest.mark.parametrize("block", [1, 2, 3, 256])
def test_ranks_counted_by_hand(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(retrieval, "BLOCK", block)
    found = rank(PHOTOS, CAPTIONS, OWNERS)
    # Best own and better wrong: photo 0 has 0.5 and 0.6, photo 1 has 0.8 and 0.9, photo 2 has 0.2 and 0.7.
    assert found.photos.tolist() == [1, 1, 1]
    assert found.captions.tolist() == [1, 2, 0, 0, 1]
    assert recalls(found.captions) == {"R@1": 40.0, "R@5": 100.0, "R@10": 100.0, "median_rank": 2.0}


def test_a_photo_counts_by_its_best_caption_and_its_others_are_not_wrong() -> None:
    captions = np.array([[0.1, 0.0], [0.9, 0.0], [0.8, 0.0], [0.0, 0.5]])  # [4, 2]
    assert rank(np.eye(2), captions, np.array([0, 0, 0, 1])).photos.tolist() == [0, 0]


def test_recalls_and_median_as_kiros_counts_them() -> None:
    assert recalls(np.array([0, 3, 4, 9, 10, 100])) == {
        "R@1": pytest.approx(100 / 6),
        "R@5": 50.0,
        "R@10": pytest.approx(400 / 6),
        "median_rank": 7.0,  # floor((4 + 9) / 2) + 1
    }


def test_an_embedding_that_tells_nothing_apart_finds_nothing() -> None:
    found = rank(np.ones((20, 1)), np.ones((40, 1)), np.repeat(np.arange(20), 2))
    assert set(found.photos) == {38} and set(found.captions) == {19}
    assert recalls(found.photos)["R@10"] == recalls(found.captions)["R@10"] == 0


def test_what_only_rounding_parts_is_a_tie() -> None:
    photos, captions = np.eye(2), np.array([[0.5, 0.5 - 1e-8], [0.2, 0.4]])
    assert rank(photos, captions, np.array([0, 1])).captions.tolist() == [1, 0]


def test_published_figures_have_their_places() -> None:
    assert TASK.published["Kiros 2014, released code, Flickr8k test"] == {
        "image_to_text.R@1": 22.3,
        "image_to_text.R@5": 48.7,
        "image_to_text.R@10": 59.8,
        "text_to_image.R@1": 14.9,
        "text_to_image.R@5": 38.3,
        "text_to_image.R@10": 51.6,
    }


def test_the_command_measures_one_split(photo_pack: Pack, photo_data: Any, evaluate: Any) -> None:
    flags = [*photo_data(train=2, dev=4).flags, f"--pack={photo_pack.location}", "--device=cpu"]
    found = evaluate("retrieval", *flags, "--batch-size=3")
    assert (found["photos"], found["captions"]) == (4, 8)
    for way in ("image_to_text", "text_to_image"):
        assert list(found[way]) == ["R@1", "R@5", "R@10", "median_rank"]
        assert 0 <= found[way]["R@1"] <= found[way]["R@5"] <= found[way]["R@10"] <= 100
    assert found["text_to_image"]["R@5"] == 100  # of four photos
    assert evaluate("retrieval", *flags, "--split=train")["photos"] == 2


def test_every_problem_is_listed(story_pack: Pack, photo_data: Any, capsys: Any) -> None:
    from pipelines.evaluate import main

    data = photo_data(dev=2)
    flags = [f"--photos={data.photos}", f"--captions={data.captions}", "--split=test"]
    assert main(["retrieval", *flags, f"--pack={story_pack.location}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "has no features" in printed.err and "no photo is of split 'test'" in printed.err
