"""CIDEr and BLEU against sums done by hand, and the command on a tiny pack."""

import math
from typing import Any

import numpy as np
import pytest

from model_handlers.captions import CaptionHandler
from model_handlers.handler import Placement
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines.evaluation.captions_task import first_captions
from pipelines.evaluation.scores import bleu, cider, plain


def test_words_are_lower_case_without_marks() -> None:
    assert plain('A man , "smiling" , can\'t find his T-shirt ... on 5th St .') == (
        "a man smiling ca n't find his t-shirt on 5th st"
    )
    assert plain(" . , !") == ""


def test_bleu_by_hand() -> None:
    found = bleu(["A dog runs fast."], [["a dog runs on grass", "the dog is fast ."]])
    # All 4 words are there, 2 of 3 pairs (a dog, dog runs), 1 of 2 threes, no four; both have 4 words.
    assert found["BLEU-1"] == pytest.approx(1, abs=1e-6)
    assert found["BLEU-2"] == pytest.approx(math.sqrt(2 / 3), abs=1e-6)
    assert found["BLEU-3"] == pytest.approx((2 / 3 * 1 / 2) ** (1 / 3), abs=1e-6)
    assert found["BLEU-4"] < 1e-3
    shorter = bleu(["a dog"], [["a dog runs on grass"]])
    assert shorter["BLEU-1"] == pytest.approx(math.exp(1 - 5 / 2), abs=1e-6)


def test_cider_is_ten_for_the_same_words_and_nothing_for_others() -> None:
    references = [["a dog runs on grass"], ["two men ride tall horses"], ["the red bus stops here"]]
    assert cider(["A dog runs on grass .", "two men ride tall horses", "the red bus stops here"], references) == (
        pytest.approx(10, abs=1e-6)
    )
    assert cider(["one", "two", "three"], references) < 1
    worse = cider(["a dog runs on grass", "two men ride tall horses", "nothing at all"], references)
    assert worse == pytest.approx(20 / 3, abs=1e-6)


def test_first_captions_in_any_batch_size(photo_pack: Pack) -> None:
    handler = CaptionHandler(Placement(photo_pack.location, photo_pack.digest, "cpu"), 3)
    features = [np.random.RandomState(seed).rand(4096).astype("f4") for seed in range(5)]
    expected = [matches[0][0] for matches in handler.run_inference(features, handler.load_model())]
    assert first_captions(features, handler, 2) == expected
    with pytest.raises(RuntimeError, match="no caption for a photo: the feature vector is all zeros"):
        first_captions([np.zeros(4096, "f4")], handler, 2)


def test_the_command_scores_the_first_caption(photo_pack: Pack, photo_data: Any, evaluate: Any, tmp_path: Any) -> None:
    """All photos get the bank's one caption, which is one of the captions that people gave two photos of five."""
    writer = PackWriter(str(tmp_path / "one"), photo_pack)
    writer.add_lines("captions.txt", ["Two men ride horses ."])
    writer.components["captions"] = {"texts": "captions.txt"}
    flags = [*photo_data(dev=5).flags, f"--pack={writer.finish().location}", "--device=cpu"]
    found = evaluate("captions", *flags)
    scores = ["CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"]
    assert list(found) == [*scores, "captions", "retrieved", "photos"]
    assert found["captions"] == "retrieved" and found["retrieved"] == {name: found[name] for name in scores}
    assert found["photos"] == 5 and 0.2 < found["BLEU-1"] < 0.6
    # Photos 0 and 1 have the very caption: half of each one's similarity to its two captions is at least 5.
    assert 2 <= found["CIDEr"] < 3
