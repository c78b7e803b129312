"""Nearest captions, exactly ranked in any batch; the caption index made at its first use; ready sentence vectors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from model_handlers import captions as module
from model_handlers.captions import (
    CaptionHandler,
    CaptionIndex,
    EmbeddingHandler,
    ReadyVectors,
    caption_texts,
)
from model_handlers.families.word_joint_embedding import WordJointEmbedder
from model_handlers.handler import Placement
from model_handlers.nets.joint_embedding import JointEmbedding
from model_handlers.pack import Pack, cache_folder
from model_handlers.pack_card import PackError
from model_handlers.pack_writer import PackWriter
from model_handlers.precision import computing
from model_handlers.words import PackVocabulary

CPU = torch.device("cpu")
NOT_BLANK = ["a dog .", "two cats", "a dog .", "A dog .", "caf\u00e9"]
Place = Callable[..., Placement]


def opened(pack: Pack, device: torch.device) -> WordJointEmbedder:
    embedder = pack.joint_embedding.open(pack, device)
    assert isinstance(embedder, WordJointEmbedder)
    return embedder


class Projection(WordJointEmbedder):
    """A caption embedder without a pack: its network projects features of width 6 into 4 dimensions."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        net = JointEmbedding(6, 4, 4, 3, "bow").requires_grad_(False)
        super().__init__(net, PackVocabulary([], 3), CPU)


def index_of(embeddings: np.ndarray) -> CaptionIndex:
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)  # [K, 4]
    texts = [f"caption {place}" for place in range(len(unit))]
    return with_screen(texts, torch.from_numpy(unit.astype(np.float32)), Projection())


def with_screen(texts: list[str], embeddings: torch.Tensor, embedder: WordJointEmbedder) -> CaptionIndex:
    return CaptionIndex(texts, embeddings, embedder, module.screen_of(embeddings, CPU))


def brute_force(index: CaptionIndex, features: torch.Tensor, count: int) -> list[list[tuple[str, float]]]:
    """Returns the nearest captions by float64 arithmetic over the whole index."""
    linear = index.embedder.net.image_projection
    unit = features.double().numpy()
    unit = unit / np.sqrt((unit**2).sum(1, keepdims=True))  # [N, 6]
    photos = unit @ linear.weight.double().numpy().T + linear.bias.double().numpy()  # [N, 4]
    photos = photos / np.sqrt((photos**2).sum(1, keepdims=True))  # [N, 4]
    scores = photos @ index.embeddings.double().numpy().T  # [N, K]
    ranked = np.argsort(-scores, axis=1, kind="stable")[:, :count]  # [N, k]
    return [
        [(index.captions[place], row_scores[place]) for place in row]
        for row, row_scores in zip(ranked, scores, strict=True)
    ]


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("products", [1 << 26, 1800, 252, 1])  # bytes, of 9 photos: all, 50, 7 and 1 caption at once
def test_the_ranking_is_that_of_float64_over_the_whole_index(monkeypatch: pytest.MonkeyPatch, products: int) -> None:
    monkeypatch.setattr(module, "PRODUCTS", products)
    index, features = index_of(drawn(500, 4)), torch.from_numpy(drawn(9, 6, seed=1)).float() * 50  # [9, 6]
    for found, expected in zip(index.search(features, 30), brute_force(index, features, 30), strict=True):
        assert [text for text, _ in found] == [text for text, _ in expected]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-12)


def test_neighbours_that_float32_cannot_tell_apart_are_ranked_exactly() -> None:
    close = np.array([1.0, 0, 0, 0]) + 2e-8 * drawn(12, 4)  # [12, 4]
    index = index_of(np.concatenate([close, drawn(100, 4)]))
    target = torch.linalg.pinv(index.embedder.net.image_projection.weight.double())  # [6, 4]
    feature = (target @ torch.tensor([50.0, 0, 0, 0]).double()).float()[None]  # [1, 6]
    for count in (1, 5, 12):
        (found,), (expected,) = index.search(feature, count), brute_force(index, feature, count)
        assert [text for text, _ in found] == [text for text, _ in expected]


def test_equal_similarities_keep_the_order_of_the_index() -> None:
    index = index_of(np.tile(drawn(3, 4), (5, 1)))
    found = index.search(torch.from_numpy(drawn(4, 6)).float(), 12)
    for matches in found:
        places = [int(text.split()[1]) for text, _ in matches]
        groups = [places[start : start + 5] for start in (0, 5)]
        assert all(group == sorted(group) and len({place % 3 for place in group}) == 1 for group in groups)
        assert places[10:] == sorted(places[10:])[:2] and places[10] < 3


@pytest.mark.parametrize("count", [1, 30, 499])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_screen_in_half_precision_changes_nothing(monkeypatch: pytest.MonkeyPatch, count: int, kind: Any) -> None:
    """Many captions lie within what its products are off, so that more of them are ranked."""
    monkeypatch.setitem(module.SPARE, kind, 16)
    close = np.array([1.0, 0, 0, 0]) + 2e-3 * drawn(300, 4)  # [300, 4]
    index, features = index_of(np.concatenate([close, drawn(200, 4)])), torch.from_numpy(drawn(9, 6, seed=1)).float()
    found = index.search(features, count)
    index.screen = index.screen.to(kind)  # [500, 4]
    assert index.search(features, count) == found


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_a_screens_products_are_no_more_off_than_is_said(kind: torch.dtype) -> None:
    units = torch.from_numpy(np.concatenate([drawn(4000, 64), drawn(4000, 64) ** 5]))  # [K, J]
    units /= units.norm(dim=1, keepdim=True)  # [K, J]
    photos = units[::7]  # [N, J], each a caption's own: products of 1 are off most
    products = module.products_of(photos.to(kind), units.to(kind)).double()  # [N, K]
    off = (products - photos @ units.T).abs().max().item()
    assert module.DOUBT[kind] / 1000 < off < module.DOUBT[kind]


def test_a_large_index_is_screened_in_what_the_processor_is_fast_with(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = torch.ones(6, 4)  # [K, J]
    assert module.screen_of(embeddings, CPU) is embeddings
    monkeypatch.setattr(module, "LARGE", 24)
    for fast, kind in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda fast=fast: fast)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert module.screen_of(embeddings, CPU).dtype == kind


def test_more_equal_captions_than_the_screening_keeps() -> None:
    """Captions that differ in unknown words alone, or for `bow` in their order alone, have equal embeddings."""
    index, features = index_of(np.tile(drawn(1, 4), (300, 1))), torch.from_numpy(drawn(3, 6)).float()  # [3, 6]
    for matches in [*index.search(features, 5), *index.search(features[1:2], 5)]:
        assert [text for text, _ in matches] == [f"caption {place}" for place in range(5)]


def test_an_index_smaller_than_asked_gives_all() -> None:
    index, features = index_of(drawn(3, 4)), torch.from_numpy(drawn(2, 6)).float()  # [2, 6]
    found = index.search(features, 100)
    assert [len(matches) for matches in found] == [3, 3]
    assert [[text for text, _ in row] for row in found] == [
        [text for text, _ in row] for row in brute_force(index, features, 3)
    ]


def test_any_batch_in_any_order_gives_each_photo_what_it_gets_alone() -> None:
    index, features = index_of(drawn(400, 4)), torch.from_numpy(drawn(8, 6)).float()  # [8, 6]
    alone = [index.search(feature[None], 20)[0] for feature in features]
    for order in (list(range(8)), [7, 0, 3, 3, 5]):
        for place, matches in zip(order, index.search(features[order], 20), strict=True):
            assert [text for text, _ in matches] == [text for text, _ in alone[place]]
            assert [score for _, score in matches] == pytest.approx([score for _, score in alone[place]], rel=1e-12)


def test_blank_captions_are_left_out(tiny_pack: Callable[..., Pack]) -> None:
    assert caption_texts(tiny_pack()) == NOT_BLANK


@pytest.mark.parametrize("encoder", ["gru", "lstm", "bow"])
def test_captions_are_embedded_the_same_in_any_batch(tiny_pack: Any, encoder: str) -> None:
    pack = tiny_pack(encoder, lambda writer: tiny_pack.add_joint_embedding(writer, encoder))
    embedder = pack.joint_embedding.open(pack, CPU)
    texts = ["a dog . two cats", "ritz", "", "cats", "a a a a a a a", "dog a"]
    together = embedder.embed(texts)  # [6, 4]
    alone = np.concatenate([embedder.embed([text]) for text in texts])  # [6, 4]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(embedder.embed(texts, batch_size=2), alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), np.ones(6), rtol=1e-6)
    assert embedder.embed([]).shape == (0, 4)


def test_the_card_says_how_captions_are_read(tiny_pack: Any) -> None:
    plain = opened(tiny_pack("plain"), CPU)
    assert not np.allclose(*plain.embed(["A dog.", "a dog ."]))

    def edit(writer: PackWriter) -> None:
        tiny_pack.add_joint_embedding(writer, lower=True, tokenise=True)

    read = opened(tiny_pack("read", edit), CPU)
    np.testing.assert_allclose(*read.embed(["A dog.", "a dog ."]))
    assert plain.vocabulary.encode("ritz") == [1, 0]  # its id is not below n_words


def test_the_handler_gives_each_photo_its_captions(tiny_pack: Callable[..., Pack], place: Place) -> None:
    pack = tiny_pack()
    handler = CaptionHandler(place(pack), 4)
    features = [array.astype(np.float32) for array in drawn(3, 5)]
    found = handler.run_inference(features, handler.load_model())
    embedder = pack.joint_embedding.open(pack, CPU)
    embeddings = torch.from_numpy(embedder.embed(NOT_BLANK))  # [5, 4]
    expected = brute_force(with_screen(NOT_BLANK, embeddings, embedder), torch.from_numpy(np.stack(features)), 4)
    for matches, best in zip(found, expected, strict=True):
        assert [text for text, _ in matches] == [text for text, _ in best]
        assert [score for _, score in matches] == pytest.approx([score for _, score in best], abs=1e-6)


def test_a_wrong_feature_vector_is_that_photos_error(tiny_pack: Callable[..., Pack], place: Place) -> None:
    good = drawn(5).astype(np.float32)
    spoilt = good.copy()
    spoilt[2] = np.nan
    batch = [good, np.zeros(5, np.float32), good, spoilt, np.ones(4, np.float32), good]
    handler = CaptionHandler(place(tiny_pack()), 2)
    results = handler.run_inference(batch, handler.load_model())
    errors = [str(result) if isinstance(result, ValueError) else None for result in results]
    assert errors == [
        None,
        "the feature vector is all zeros and has no direction",
        None,
        "the feature vector has values that are not finite numbers",
        "the feature vector has shape (4,), the pack needs (5,)",
        None,
    ]
    assert results[0] == results[2] == results[5]


def test_an_empty_caption_bank_is_refused(tiny_pack: Callable[..., Pack], place: Place) -> None:
    pack = tiny_pack("empty", lambda writer: writer.add_lines("captions.txt", ["", "  "]))
    handler = CaptionHandler(place(pack), 2)
    with pytest.raises(PackError, match="the caption bank is empty"):
        handler.run_inference([np.ones(5, np.float32)], handler.load_model())


def test_the_index_is_made_at_first_use_and_kept(
    tiny_pack: Callable[..., Pack], monkeypatch: pytest.MonkeyPatch
) -> None:
    pack, other = tiny_pack("one"), tiny_pack("two")
    embedder = pack.joint_embedding.open(pack, CPU)
    first = module.caption_embeddings(pack, embedder, NOT_BLANK)  # [5, 4]
    np.testing.assert_array_equal(first, embedder.embed(NOT_BLANK))
    (file,) = (cache_folder() / "indexes").iterdir()

    def refuse(*arguments: Any) -> np.ndarray:
        raise AssertionError("embedded twice")

    with monkeypatch.context() as patch:
        patch.setattr(embedder, "embed", refuse)
        np.testing.assert_array_equal(module.caption_embeddings(pack, embedder, NOT_BLANK), first)
        with pytest.raises(AssertionError, match="embedded twice"):
            module.caption_embeddings(other, embedder, NOT_BLANK)
    file.write_bytes(file.read_bytes()[:-4])  # a damaged index is made again
    np.testing.assert_array_equal(module.caption_embeddings(pack, embedder, NOT_BLANK), first)
    np.testing.assert_array_equal(np.load(file), first)


def test_the_index_is_one_for_all_precisions(tiny_pack: Callable[..., Pack]) -> None:
    pack = tiny_pack()
    embedder = pack.joint_embedding.open(pack, CPU)
    with computing("bfloat16", CPU):
        low = embedder.embed(NOT_BLANK)  # [5, 4]
        index = module.caption_embeddings(pack, embedder, NOT_BLANK)  # [5, 4]
    np.testing.assert_array_equal(index, embedder.embed(NOT_BLANK))
    assert not np.array_equal(index, low)


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Any, tiny_pack: Callable[..., Pack]) -> None:
    pack = tiny_pack()
    (cache_folder() / "indexes").write_text("no folder")
    embedder = pack.joint_embedding.open(pack, CPU)
    np.testing.assert_array_equal(module.caption_embeddings(pack, embedder, NOT_BLANK), embedder.embed(NOT_BLANK))


def with_index(embeddings: np.ndarray, vectors: np.ndarray) -> Callable[[PackWriter], None]:
    def edit(writer: PackWriter) -> None:
        files = {"embeddings": embeddings, "sentence_vectors": vectors}
        files = {name: writer.add_array(f"{name}.npy", array.astype(np.float32)) for name, array in files.items()}
        writer.components["captions"] |= files

    return edit


def test_a_packs_own_index_is_used(tiny_pack: Callable[..., Pack]) -> None:
    pack = tiny_pack("indexed", with_index(np.eye(5, 4), np.zeros((5, 7))))
    embeddings = module.caption_embeddings(pack, pack.joint_embedding.open(pack, CPU), NOT_BLANK)  # [5, 4]
    np.testing.assert_array_equal(embeddings, np.eye(5, 4))
    assert not (cache_folder() / "indexes").exists()


def test_indexes_of_other_captions_are_refused(tiny_pack: Callable[..., Pack], place: Place) -> None:
    pack = tiny_pack("cut", with_index(np.eye(4, 4), np.zeros((6, 7))))
    with pytest.raises(PackError, match="5 captions but 4 embeddings; index again"):
        module.caption_embeddings(pack, pack.joint_embedding.open(pack, CPU), NOT_BLANK)
    with pytest.raises(PackError, match="5 captions but 6 sentence vectors; index again"):
        ReadyVectors(place(pack)).look_up(["a dog ."])


def test_ready_sentence_vectors_are_looked_up_by_caption(tiny_pack: Callable[..., Pack], place: Place) -> None:
    vectors = np.arange(35).reshape(5, 7)
    vectors[2] = vectors[0]  # the same caption twice
    ready = ReadyVectors(place(tiny_pack("indexed", with_index(np.eye(5, 4), vectors))))
    found = ready.look_up(["caf\u00e9", "a dog .", "A dog .", "caf\u00e9"])  # [4, 7]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, vectors[[4, 0, 3, 4]])
    with pytest.raises(KeyError, match="a bird"):
        ready.look_up(["a bird"])


def test_lists_of_captions_are_embedded_for_an_index(tiny_pack: Callable[..., Pack], place: Place) -> None:
    pack = tiny_pack()
    handler = EmbeddingHandler(place(pack))
    first, second = handler.run_inference([["a dog .", "two cats"], ["dog"]], handler.load_model())
    embedder = pack.joint_embedding.open(pack, CPU)
    np.testing.assert_allclose(first, embedder.embed(["a dog .", "two cats"]), atol=1e-6)
    np.testing.assert_allclose(second, embedder.embed(["dog"]), atol=1e-6)
