"""The algorithm of 2015 in plain torch: it gives the results of the program of 2015, and of the program here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import original
from benchmarks.bench import TINY
from benchmarks.original_words import tokens
from benchmarks.random_packs import DECODER, random_captions, random_pack
from model_handlers.captions import CaptionHandler
from model_handlers.handler import Placement
from model_handlers.nets.search import beam_search
from model_handlers.pack import Pack
from model_handlers.sentences import SentenceHandler
from model_handlers.stories import StoryHandler
from pipelines.originals.importing import import_originals

GOLDEN = Path(__file__).parents[1] / "golden"
STORIES: list[dict[str, Any]] = json.loads((GOLDEN / "story.json").read_text())


def place(pack: Pack) -> Placement:
    return Placement(pack.location, pack.digest, "cpu")


def test_words_are_those_of_2015() -> None:
    golden = json.loads((GOLDEN / "nltk31_tokens.json").read_text())
    assert [tokens(text) for text in golden["text"]] == [text.split() for text in golden["out"]]


@pytest.fixture(scope="module")
def golden_pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    pack = import_originals(GOLDEN / "model", str(tmp_path_factory.mktemp("packs") / "golden"))
    assert pack is not None
    return pack


def test_stories_are_those_of_2015(golden_pack: Pack) -> None:
    features = dict(np.load(GOLDEN / "story_fc7.npz"))
    captions, encoder = original.Captions(golden_pack), original.Sentences(golden_pack)
    decoder = original.Decoder(golden_pack, "romance")
    captions.start()
    files = golden_pack.components
    source, target = golden_pack.array(files["source_style"]), golden_pack.array(files["styles"]["romance"])  # [S], [S]
    cases = [case for case in STORIES if not case["lyric"]]
    assert len(cases) >= 8
    for case in cases:
        found = captions.nearest(torch.from_numpy(features[case["image"]]), case["k"])
        assert [text for text, _ in found] == [text.encode("latin1").decode() for text in case["captions"]]
        context = original.shifted(encoder.encode([text for text, _ in found]), source, target)  # [S]
        words, _ = original.best(decoder.search(context, case["bw"]))
        assert " ".join(decoder.words[word] for word in words[:-1]) == case["passage"]


def test_search_equals_the_programs(random: Pack) -> None:
    teller = StoryHandler(place(random), DECODER, 4).load_model().get()
    decoder, exact = original.Decoder(random, DECODER), original.Decoder(random, DECODER, torch.float64)
    contexts = torch.randn(3, TINY.sizes.sentence, generator=torch.Generator().manual_seed(3))  # [N, S]
    ours = beam_search(teller.net.step, teller.net.initial_state(contexts), 4, 6)
    for context, found in zip(contexts, ours, strict=True):
        theirs = decoder.search(context, 4, 6)
        assert [(list(one.words), pytest.approx(one.cost, rel=1e-5)) for one in found] == theirs
        assert all(len(words) == 6 for words, _ in theirs)  # none ends by itself
        for words, cost in theirs:
            assert exact.cost(context, words) == pytest.approx(cost, rel=1e-5)


def test_sentence_vectors_equal_the_programs(random: Pack) -> None:
    texts = ["w2 w3 w39", "w7", "nobody knows w2 .", "w5 w6 w7", "W2, w3"] * 30
    ours = SentenceHandler(place(random)).load_model().get().encode(texts)  # [N, S]
    np.testing.assert_allclose(original.Sentences(random).encode(texts).numpy(), ours, atol=1e-6)


def test_captions_equal_the_programs(random: Pack) -> None:
    features = torch.randn(2, TINY.sizes.feature, generator=torch.Generator().manual_seed(3))  # [N, F]
    ours = CaptionHandler(place(random), 5).load_model().get().search(features, 5)
    captions = original.Captions(random, ready=True)
    for feature, found in zip(features, ours, strict=True):
        assert captions.nearest(feature, 5) == [(text, pytest.approx(score, abs=1e-6)) for text, score in found]


def test_caption_embeddings_equal_the_programs(random: Pack) -> None:
    texts = ["w2 w3", "w2 unknown w4", "w9 w8 w7 w6", "w3 w2"]
    ours = random.joint_embedding.open(random, torch.device("cpu")).embed(texts)  # [K, J]
    np.testing.assert_allclose(original.Captions(random).embed(texts).numpy(), ours, atol=1e-6)


def test_what_ended_before_all_others_is_no_story() -> None:
    assert original.best([([0], 0.1), ([5, 0], 2.0), ([6, 0], 2.0)]) == ([5, 0], 2.0)
    assert original.best([([5, 0], 2.0), ([0], 0.1)]) == ([0], 0.1)


def test_the_pack_is_made_once(random: Pack, work: Path) -> None:
    before = (work / f"random-{TINY.sizes.name}" / "pack.json").stat().st_mtime_ns
    assert random_pack(work, TINY.sizes).digest == random.digest
    assert (work / f"random-{TINY.sizes.name}" / "pack.json").stat().st_mtime_ns == before


def test_random_captions_and_embeddings(random: Pack) -> None:
    captions = random_captions(TINY.sizes)
    assert {len(text.split()) for text in captions} == {10, 11, 12}
    assert random.lines("captions.txt") == captions and len(captions) == TINY.sizes.captions
    embeddings = random.array("embeddings.npy")  # [K, J]
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-6)
    assert len(np.unique(embeddings, axis=0)) == len(embeddings)
