"""Sentence vectors of texts: which table rows they read, and what comes out in any batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEncoder
from model_handlers.handler import Placement
from model_handlers.nets.skip_thoughts import SkipThoughts
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.pack_writer import PackWriter
from model_handlers.sentences import SentenceHandler

CPU = torch.device("cpu")
A, DOG, STOP, TWO, CATS, CAFE, UNK, EOS, BIG_DOG = range(9)
Place = Callable[..., Placement]
TEXTS = ["a dog .", "two cats", "Dog", "a dog . two cats . a dog .", "caf\u00e9 a"]


def opened(pack: Pack, device: torch.device) -> SkipThoughtsEncoder:
    encoder = pack.sentence_encoder.open(pack, device)
    assert isinstance(encoder, SkipThoughtsEncoder)
    return encoder


def changed(**entry: Any) -> Callable[[PackWriter], None]:
    """Returns an edit of the sentence encoder's entry in the card."""

    def edit(writer: PackWriter) -> None:
        writer.components["sentence_encoder"] |= entry

    return edit


@pytest.fixture
def encoder(tiny_pack: Callable[..., Pack]) -> SkipThoughtsEncoder:
    return opened(tiny_pack(), CPU)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a dog.", [A, DOG, STOP]),
        ("Two Dog bird", [UNK, BIG_DOG, UNK]),  # case is kept
        ("caf\u00e9 a", [UNK, A]),  # not ASCII: unknown to a program that compared bytes with text
        ("caf\udce9 a", [UNK, A]),
        (b"two caf\xc3\xa9", [TWO, UNK]),
        ("a\xa0dog", [UNK]),  # no white space in bytes
        ("", []),
        (" \n", []),
    ],
)
def test_rows_of_texts_read_as_bytes(encoder: SkipThoughtsEncoder, text: str | bytes, rows: list[int]) -> None:
    assert encoder.rows(text) == rows
    assert encoder.rows(text, use_eos=True) == [*rows, EOS]


@pytest.mark.parametrize(
    ("text", "rows"),
    [("caf\u00e9 a", [CAFE, A]), (b"caf\xc3\xa9 a", [UNK, A]), ("a\xa0dog", [A, DOG]), ("caf\udce9", [UNK])],
)
def test_rows_of_texts_read_as_unicode(tiny_pack: Callable[..., Pack], text: str | bytes, rows: list[int]) -> None:
    assert opened(tiny_pack("unicode", changed(texts="unicode")), CPU).rows(text) == rows


def test_words_can_be_looked_up_in_lower_case(tiny_pack: Callable[..., Pack]) -> None:
    encoder = opened(tiny_pack("lower", changed(lower=True)), CPU)
    assert encoder.rows("TWO Dog UNK") == [TWO, DOG, UNK]


def test_vectors_by_hand(tiny_pack: Callable[..., Pack]) -> None:
    """The network gets the rows of both tables, and each half has unit length."""
    pack = tiny_pack()
    encoder = pack.sentence_encoder.open(pack, CPU)
    assert encoder.width == 7
    net = SkipThoughts(3, 3, 2)
    net.load_state_dict(pack.tensors("skip.safetensors"))
    tables = [torch.from_numpy(pack.array(f"{part}.npy")[[[A, DOG, STOP]]]) for part in ("uni", "bi")]  # 2 x [1, 3, 3]
    expected = net(*tables, torch.tensor([3])).detach()  # [1, 7]
    vectors = encoder.encode(["a dog ."])  # [1, 7]
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    np.testing.assert_allclose([np.linalg.norm(vectors[0, :3]), np.linalg.norm(vectors[0, 3:])], 1, rtol=1e-6)
    raw = encoder.encode(["a dog ."], normalise=False)
    np.testing.assert_allclose(raw[0, :3] / np.linalg.norm(raw[0, :3]), vectors[0, :3], atol=1e-6)
    assert not np.allclose(raw, vectors)


def test_any_batch_gives_each_text_what_it_gets_alone(encoder: SkipThoughtsEncoder) -> None:
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])  # [5, 7]
    for batch_size in (128, 2, 1):
        np.testing.assert_allclose(encoder.encode(TEXTS, batch_size=batch_size), alone, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(TEXTS[::-1]), alone[::-1], atol=1e-6)
    assert len(np.unique(alone.round(4), axis=0)) == 5


def test_several_sentences_are_one_sequence(encoder: SkipThoughtsEncoder) -> None:
    assert encoder.rows("a dog. two cats.") == [A, DOG, STOP, TWO, CATS, STOP]
    np.testing.assert_array_equal(encoder.encode(["a dog. two cats."]), encoder.encode(["a dog . two cats ."]))


def test_the_end_is_a_word_where_it_is_asked_for(encoder: SkipThoughtsEncoder) -> None:
    assert not np.allclose(encoder.encode(["a dog"], use_eos=True), encoder.encode(["a dog"]))
    assert np.isfinite(encoder.encode(["", "a"], use_eos=True)).all()


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_text_without_words_is_refused(encoder: SkipThoughtsEncoder, text: str) -> None:
    with pytest.raises(ValueError, match="has no word to encode"):
        encoder.encode(["a dog", text])


@pytest.mark.parametrize(("part", "width"), [("uni", 3), ("bi", 4)])
def test_packs_with_one_part(tiny_pack: Callable[..., Pack], part: str, width: int) -> None:
    def edit(writer: PackWriter) -> None:
        entry = writer.components["sentence_encoder"]
        other = "bi" if part == "uni" else "uni"
        entry[other] = 0
        del entry[f"{other}_table"]
        net = SkipThoughts(3, entry["uni"], entry["bi"])
        writer.add_tensors(entry["weights"], net.state_dict())

    encoder = opened(tiny_pack(part, edit), CPU)
    vectors = encoder.encode(TEXTS)  # [5, width]
    assert vectors.shape == (5, width)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_tables_in_half_precision_are_widened(tiny_pack: Callable[..., Pack]) -> None:
    table = np.linspace(-1, 1, 27).reshape(9, 3)
    narrow = tiny_pack("half", lambda writer: writer.add_array("uni.npy", table.astype(np.float16)))
    assert narrow.sentence_encoder.open(narrow, CPU).encode(TEXTS).dtype == np.float32


def test_tables_and_words_that_do_not_fit_are_refused(tiny_pack: Callable[..., Pack]) -> None:
    for name, shape in (("short", (8, 3)), ("narrow", (9, 2))):
        pack = tiny_pack(name, lambda writer, shape=shape: writer.add_array("bi.npy", np.zeros(shape, np.float32)))
        with pytest.raises(
            PackError, match=rf"a word table has shape \({shape[0]}, {shape[1]}\), but its words need \(9, 3\)"
        ):
            pack.sentence_encoder.open(pack, CPU)
    cut = tiny_pack("cut", lambda writer: writer.add_json("words.json", [f"word{place}" for place in range(9)]))
    with pytest.raises(PackError, match="the word list has no 'UNK'; it may be truncated"):
        cut.sentence_encoder.open(cut, CPU)


def test_of_two_rows_of_a_word_the_later_counts(tiny_pack: Callable[..., Pack]) -> None:
    words = ["a", "dog", ".", "two", "cats", "a", "UNK", "<eos>", "Dog"]
    encoder = opened(tiny_pack("twice", lambda writer: writer.add_json("words.json", words)), CPU)
    assert encoder.rows("a") == [5]


def test_the_handler_encodes_lists_of_texts(tiny_pack: Callable[..., Pack], place: Place) -> None:
    """One good list, one with a blank text, one empty."""
    pack = tiny_pack()
    handler = SentenceHandler(place(pack))
    good, bad, empty = handler.run_inference([TEXTS, ["a", ""], []], handler.load_model())
    np.testing.assert_allclose(good, pack.sentence_encoder.open(pack, CPU).encode(TEXTS), atol=1e-6)
    assert isinstance(bad, ValueError) and "has no word to encode" in str(bad)
    assert isinstance(empty, np.ndarray) and empty.shape == (0, 7)
