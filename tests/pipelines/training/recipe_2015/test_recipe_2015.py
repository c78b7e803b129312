"""The 2015 recipes against the numbers that the original programs put out: losses, gradients, steps of their Adam."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_handlers.nets.gru import gru_state
from model_handlers.nets.joint_embedding import JointEmbedding
from model_handlers.nets.story_decoder import StoryDecoder
from pipelines.corpora.texts import Tokens, Vocabulary
from pipelines.training.engine.loop import LoopConfig, Loss, Task, best_weights, train
from pipelines.training.engine.optimisers import Adam2015
from pipelines.training.recipe_2015.decoder_2015 import decoder_loss
from pipelines.training.recipe_2015.joint_2015 import joint_loss
from pipelines.training.recipe_2015.practice_2015 import EqualLengthBatches, begin_as_in_2015, summed_nll
from pipelines.training.recipe_2015.skip_thoughts_2015 import OriginalThoughtsConfig, OriginalThoughtsTask, Sentences

GOLDEN = Path(__file__).parents[3] / "golden"
TOLERANCE = 1e-5
LAYERS = {"image_projection": "ff_image", "state": "ff_state", "hidden": "ff_hid", "logits": "ff_logit"}
CASES = {"train_decoder_romance": "romance", "train_decoder_shallow": "shallow", "train_vse": "coco_embedding"}


def ours(arrays: Mapping[str, np.ndarray], prefix: str = "") -> dict[str, Tensor]:
    """Returns the original's arrays whose names begin with `prefix`, under our names and in our arrangement."""
    tensors = {name.removeprefix(prefix): torch.from_numpy(arrays[name]) for name in arrays if name.startswith(prefix)}
    state = {"word_vectors.weight": tensors["Wemb"]}
    for layer, theirs in LAYERS.items():
        if f"{theirs}_W" in tensors:
            state[f"{layer}.weight"] = tensors[f"{theirs}_W"].T
        if f"{theirs}_b" in tensors:
            state[f"{layer}.bias"] = tensors[f"{theirs}_b"]
    for unit, theirs, layer in (("encoder", "encoder", "_l0"), ("cell", "decoder", "")):
        if f"{theirs}_W" in tensors:
            state |= {f"{unit}.{name}": value for name, value in gru_state(tensors, theirs, layer).items()}
    return state


class OneBatch(Task):
    """The original's network on the one batch of its golden file."""

    def __init__(self, case: str) -> None:
        with np.load(GOLDEN / f"{case}.npz") as golden, np.load(GOLDEN / "model" / f"{CASES[case]}.npz") as model:
            self.golden, weights = dict(golden), ours(dict(model))
        self.joint = case == "train_vse"
        n_words, dim_word = weights["word_vectors.weight"].shape
        if self.joint:
            dim, dim_image = weights["image_projection.weight"].shape
            self.model: nn.Module = JointEmbedding(dim_image, dim_word, dim, n_words)
        else:
            dim, dim_context = weights["state.weight"].shape
            self.model = StoryDecoder(dim_context, dim_word, dim, n_words, "hidden.weight" in weights)
        begin_as_in_2015(self.model)
        self.model.load_state_dict(weights)

    def cost(self, decay: float = 0.0) -> Tensor:
        ids = torch.from_numpy(self.golden["x"].T.copy())  # [N, T]
        lengths = torch.from_numpy(self.golden["mask"].sum(axis=0)).long()  # [N]
        if isinstance(self.model, JointEmbedding):
            return joint_loss(self.model, torch.from_numpy(self.golden["im"]), ids, lengths, 0.2, decay)
        assert isinstance(self.model, StoryDecoder)
        return decoder_loss(self.model, torch.from_numpy(self.golden["ctx"]), ids, lengths, decay)

    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        value = self.cost()
        assert np.isclose(float(value.detach()), self.golden["costs"][step], rtol=TOLERANCE), f"cost of step {step}"
        return Loss(value, 1)

    def evaluate(self) -> dict[str, float]:
        return {"score": 0.0}


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_are_the_originals(case: str) -> None:
    task = OneBatch(case)
    value = task.cost()
    value.backward()
    assert np.isclose(float(value.detach()), task.golden["cost"], rtol=TOLERANCE)
    wanted = ours(task.golden, "grad_")
    stored = {name for name, _ in task.model.named_parameters()} - (
        {"image_projection.weight"} if task.joint else set()
    )
    assert stored == set(wanted), "each gradient but the largest is stored"
    for name, weight in task.model.named_parameters():
        if "bias_hh" in name:
            assert weight.grad is None, "the original has no recurrent bias"
        elif name in wanted:
            assert weight.grad is not None
            np.testing.assert_allclose(weight.grad, wanted[name], atol=TOLERANCE, rtol=TOLERANCE, err_msg=name)
    gradients = [weight.grad for weight in task.model.parameters() if weight.grad is not None]
    assert np.isclose(float(nn.utils.get_total_norm(gradients)), task.golden["grad_norm"], rtol=TOLERANCE)


@pytest.mark.parametrize(("case", "steps"), [(case, steps) for case in CASES for steps in (1, 3)])
def test_steps_of_the_loop_are_the_originals(case: str, steps: int, tmp_path: Path) -> None:
    task = OneBatch(case)
    wanted = ours(task.golden, f"after{steps}_") if f"after{steps}_Wemb" in task.golden else {}
    clip = 2.0 if task.joint else 5.0
    config = LoopConfig(steps, optimiser="adam2015", learning_rate=0.0002, clip=clip, precision="float32")
    train(task, config, tmp_path)
    found = best_weights(tmp_path)
    assert steps == 1 or wanted
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], atol=TOLERANCE, rtol=TOLERANCE, err_msg=name)


def test_decay_adds_the_squares_of_all_weights() -> None:
    task = OneBatch("train_decoder_shallow")
    squares = sum(float(weight.detach().square().sum()) for weight in task.model.parameters())
    assert np.isclose(float(task.cost(decay=0.5).detach()), task.golden["cost"] + 0.5 * squares, rtol=TOLERANCE)


def test_early_steps_are_larger_than_adams() -> None:
    ratios = []
    for count in (1, 10):
        lengths = []
        for kind in (Adam2015, torch.optim.Adam):
            weight = nn.Parameter(torch.zeros(1))
            optimiser = kind([weight], lr=0.0002)
            for _ in range(count):
                before = weight.detach().clone()
                weight.grad = torch.ones(1)
                optimiser.step()
            lengths.append(float(before - weight.detach()))
        ratios.append(lengths[0] / lengths[1])
    assert np.allclose(ratios, [3.51, 6.50], atol=0.05)


def test_the_summed_loss_by_hand() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [1.0, 1.0, 1.0]]]))  # [1, 3, 3]
    value = summed_nll(logits, torch.tensor([[1, 2, 0]]), torch.tensor([2]))
    assert np.isclose(float(value), -np.log(0.25) - np.log(0.7), atol=1e-6)
    impossible = torch.tensor([[[0.0, 200.0]]])  # [1, 1, 2]
    assert np.isclose(float(summed_nll(impossible, torch.tensor([[0]]), torch.tensor([1]))), -np.log(1e-8), atol=1e-4)


def test_first_weights() -> None:
    net = nn.ModuleDict({"unit": nn.GRU(4, 4), "wide": nn.Linear(3, 7), "square": nn.Linear(6, 6)})
    begin_as_in_2015(net)
    unit, wide, square = net["unit"], net["wide"], net["square"]
    for matrix in (*unit.weight_hh_l0.chunk(3), *unit.weight_ih_l0.chunk(3), square.weight):
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(len(matrix)), atol=1e-5, rtol=0)
    assert 0.05 < float(wide.weight.detach().abs().max()) <= 0.1
    assert not any(bias.any() for bias in (unit.bias_ih_l0, unit.bias_hh_l0, wide.bias, square.bias))
    assert unit.bias_ih_l0.requires_grad and not unit.bias_hh_l0.requires_grad


def test_batches_hold_one_length_and_an_epoch_every_text_once() -> None:
    lengths = np.asarray([2, 3, 2, 2, 5, 3, 0, 2, 2, 4, 3])
    batches = EqualLengthBatches(lengths, 2, maxlen=5, seed=1)
    epochs = [[batches.of_step(epoch * batches.count + turn) for turn in range(batches.count)] for epoch in range(2)]
    for epoch in epochs:
        assert all(len(batch) <= 2 and len(set(lengths[batch])) == 1 for batch in epoch)
        assert sorted(np.concatenate(epoch)) == [0, 1, 2, 3, 5, 7, 8, 9, 10], "not of 0 words, nor of 5"
        assert len({int(lengths[batch[0]]) for batch in epoch[:3]}) == 3, "lengths take turns"
    assert [list(batch) for batch in epochs[0]] != [list(batch) for batch in epochs[1]]
    again = EqualLengthBatches(lengths, 2, maxlen=5, seed=1)
    assert np.array_equal(again.of_step(batches.count), epochs[1][0])
    with pytest.raises(ValueError, match="no text has between 1 and 1 words"):
        EqualLengthBatches(lengths, 2, maxlen=2, seed=1)


def test_sentences_whose_neighbours_are_of_the_book_and_short() -> None:
    vocabulary = Vocabulary(["a", "b", "."])
    books = [["A a . B .", "a ."], ["b . a a a a . b .", "a . b . a . b ."]]
    sentences = Sentences.of_books(books, vocabulary, maxlen=5)
    assert [text.tolist() for text in sentences.texts][:3] == [[2, 2, 4], [3, 4], [2, 4]]
    assert sentences.places.tolist() == [1, 6, 7, 8], "not beside another book, nor beside four words and a stop"


@pytest.mark.parametrize(("uni", "bi"), [(6, 0), (0, 3)])
def test_the_loss_of_neighbours_word_by_word(uni: int, bi: int) -> None:
    torch.manual_seed(0)
    sentences = Sentences(Tokens.of([[2, 3], [4], [3, 3, 2]]), np.asarray([1]))
    config = OriginalThoughtsConfig(dim_word=5, uni=uni, bi=bi, maxlen=9)
    task = OriginalThoughtsTask(config, 6, sentences, sentences)
    model = task.model
    with torch.no_grad():
        vector = model.encode(torch.tensor([[4, 0]]), torch.tensor([2]))  # [1, S]
        wanted = 0.0
        for unit, text in ((model.next, [3, 3, 2, 0]), (model.previous, [2, 3, 0])):
            state, word = vector[None], torch.zeros(1, 1, 5)  # [1, 1, S], [1, 1, W]
            for place in text:
                output, state = unit(word, state)
                wanted -= float(torch.log_softmax(model.logits(output[0, 0]), dim=0)[place])
                word = model.table(torch.tensor([[place]]))  # [1, 1, W]
    loss = task.loss(0, np.random.default_rng(0))
    assert loss.tokens == 7
    assert np.isclose(float(loss.value.detach()), wanted, rtol=1e-5)
    with torch.inference_mode():
        figures = task.evaluate()
    assert np.isclose(figures["dev_books_nll"], wanted / 7, rtol=1e-5)
