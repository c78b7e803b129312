"""The imported networks against the original programs' stored outputs, whole arrays at a time (golden/README)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEncoder
from model_handlers.families.word_joint_embedding import WordJointEmbedder
from model_handlers.nets.search import beam_search, best_hypothesis, greedy_search
from model_handlers.nets.story_decoder import StoryDecoder
from model_handlers.pack import Pack
from model_handlers.words import PackVocabulary

GOLDEN = Path(__file__).parents[2] / "golden"
CPU = torch.device("cpu")
DECODERS = ("romance", "shallow", "noeos", "eager")
WITHIN = {"rtol": 0.0, "atol": 1e-5}

vse = np.load(GOLDEN / "vse.npz")
skip = np.load(GOLDEN / "skip.npz")
decoder = np.load(GOLDEN / "decoder.npz")


def load(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


def from_bytes(text: str) -> str:
    """Returns a byte string that the golden files hold as latin-1 as packs hold it."""
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def decoder_of(pack: Pack, name: str) -> StoryDecoder:
    return pack.decoder(name).load(pack, CPU)


@pytest.fixture(scope="module")
def embedder(golden_pack: Pack) -> WordJointEmbedder:
    return golden_pack.joint_embedding.open(golden_pack, CPU)


@pytest.fixture(scope="module")
def encoder(golden_pack: Pack) -> SkipThoughtsEncoder:
    return golden_pack.sentence_encoder.open(golden_pack, CPU)


@torch.inference_mode()
def test_photos_are_embedded_as_by_the_original(embedder: WordJointEmbedder) -> None:
    embeddings = embedder.net.embed_images(torch.from_numpy(vse["fc7"]))  # [8, 16]
    np.testing.assert_allclose(embeddings, vse["image_embedding"], **WITHIN)


def test_captions_are_embedded_as_by_the_original(golden_pack: Pack, embedder: WordJointEmbedder) -> None:
    captions = golden_pack.lines(golden_pack.component("captions")["texts"])
    assert captions == [from_bytes(text) for text in load("vse.json")["captions"]]
    np.testing.assert_allclose(embedder.embed(captions), vse["caption_embedding"], **WITHIN)
    np.testing.assert_allclose(embedder.embed(captions, batch_size=3), vse["batch3_embedding"], **WITHIN)


def test_odd_captions_are_embedded_as_by_the_original(embedder: WordJointEmbedder) -> None:
    captions = [from_bytes(text) for text in load("vse.json")["special"]]
    np.testing.assert_allclose(embedder.embed(captions), vse["special_embedding"], **WITHIN)


@pytest.mark.parametrize(
    ("stored", "choices"),
    [
        ("default", {}),
        ("no_norm", {"normalise": False}),
        ("use_eos", {"use_eos": True}),
        ("batch3", {"batch_size": 3}),
    ],
)
def test_sentence_vectors_equal_the_original(
    encoder: SkipThoughtsEncoder, stored: str, choices: dict[str, Any]
) -> None:
    golden = load("skip.json")
    texts = [
        text.encode("latin-1") if is_bytes else text
        for text, is_bytes in zip(golden["sentences"], golden["is_bytes"], strict=True)
    ]
    encoder._as_bytes = False  # the golden sentences say themselves which of them are byte strings
    try:
        np.testing.assert_allclose(encoder.encode(texts, **choices), skip[stored], **WITHIN)
    finally:
        encoder._as_bytes = True


def test_a_style_vector_is_the_mean_of_the_passages_vectors(encoder: SkipThoughtsEncoder) -> None:
    golden = np.load(GOLDEN / "style.npz")
    vectors = encoder.encode(load("style.json"))  # [5, 48]
    np.testing.assert_allclose(vectors, golden["vectors"], **WITHIN)
    np.testing.assert_allclose(vectors.mean(0), golden["mean"], **WITHIN)


@pytest.mark.parametrize("name", DECODERS)
@torch.inference_mode()
def test_decoder_steps_equal_the_original(golden_pack: Pack, name: str) -> None:
    net = decoder_of(golden_pack, name)
    states = net.initial_state(torch.from_numpy(decoder["ctx"]))  # [8, 20]
    np.testing.assert_allclose(states, decoder[f"{name}_init"], **WITHIN)
    word, state = torch.tensor([-1]), states[:1]  # [1], [1, 20]
    for place in range(6):
        logits, state = net.step(word, state)  # [1, 60], [1, 20]
        probabilities = logits.softmax(dim=1)  # [1, 60]
        np.testing.assert_allclose(probabilities, decoder[f"{name}_p{place}"], **WITHIN)
        np.testing.assert_allclose(state, decoder[f"{name}_s{place}"], **WITHIN)
        word = probabilities.argmax(dim=1)  # [1]
        assert word.item() == decoder[f"{name}_argmax"][place]
    logits, state = net.step(torch.tensor([5, 0, 59]), states[:3])  # [3, 60], [3, 20]
    np.testing.assert_allclose(logits.softmax(dim=1), decoder[f"{name}_batch_p"], **WITHIN)
    np.testing.assert_allclose(state, decoder[f"{name}_batch_s"], **WITHIN)


@pytest.mark.parametrize("name", DECODERS)
@torch.inference_mode()
def test_beam_search_equals_the_original(golden_pack: Pack, name: str) -> None:
    """Photos of equal settings are searched together, so a batch is tested as well."""
    golden = load("decode.json")
    cases = [case for case in golden["cases"] if case["decoder"] == name and "stochastic" not in case]
    assert len([case for case in golden["cases"] if "stochastic" not in case]) == 198
    entry = golden_pack.component("decoders")[name]
    vocabulary = PackVocabulary(golden_pack.json(entry["vocabulary"]), entry["n_words"])
    net = decoder_of(golden_pack, name)
    for width, unknown in sorted({(case["beam_width"], case["use_unk"]) for case in cases}):
        same = [case for case in cases if (case["beam_width"], case["use_unk"]) == (width, unknown)]
        contexts = torch.from_numpy(decoder["ctx"][[case["ctx"] for case in same]])  # [N, 48]
        if width < 1:
            with pytest.raises(ValueError, match="at least 1"):
                beam_search(net.step, net.initial_state(contexts), width, allow_unknown=unknown)
            continue
        searches = beam_search(net.step, net.initial_state(contexts), width, allow_unknown=unknown)
        for case, hypotheses in zip(same, searches, strict=True):
            assert [list(found.words) for found in hypotheses] == case["samples"]
            np.testing.assert_allclose([found.cost for found in hypotheses], case["scores"], rtol=1e-5, atol=1e-3)
            best = best_hypothesis(hypotheses)
            if "error" in case:
                assert "empty sequence" in case["error"] and best is None
            else:
                assert best is not None and vocabulary.decode(best.words[:-1]) == case["text"]


@pytest.mark.parametrize("name", DECODERS)
@torch.inference_mode()
def test_greedy_search_equals_the_originals_beam_of_one(golden_pack: Pack, name: str) -> None:
    """The original's own `argmax` is no measure: it records the likeliest word but goes on from a drawn one."""
    net = decoder_of(golden_pack, name)
    cases = [case for case in load("decode.json")["cases"] if case["decoder"] == name and case.get("beam_width") == 1]
    assert cases
    for case in cases:
        contexts = torch.from_numpy(decoder["ctx"][case["ctx"]][None])  # [1, 48]
        (found,) = greedy_search(net.step, net.initial_state(contexts), allow_unknown=case["use_unk"])
        assert list(found.words) == case["samples"][0]


def test_decoder_words_are_the_originals(golden_pack: Pack) -> None:
    golden = load("decode.json")
    pairs = golden_pack.json(golden_pack.component("decoders")["romance"]["vocabulary"])
    assert dict(pairs) == golden["dictionary"]
