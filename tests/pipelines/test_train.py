"""The training command: what it refuses, and the sentence encoders of both recipes on a prepared corpus."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipelines.prepare_texts import main as prepare_texts
from pipelines.train import main
from pipelines.training.engine.loop import LoopConfig
from pipelines.training.engine.training_settings import read_settings, section
from pipelines.training.recipes.decoder import DecoderConfig
from pipelines.training.recipes.networks import KINDS
from pipelines.training.recipes.story_material import StoriesConfig
from pipelines.training.recipes.text_vectors import load_words

CONFIG = Path(__file__).parents[2] / "configs" / "training" / "pocket.yaml"
LOOP = {"steps": 4, "warmup": 2, "evaluate_every": 2, "checkpoint_every": 2}
ENCODER = {
    "network": {"dim_word": 8, "bi": 6, "dim": 16, "tokens": 120, "negatives": 20, "common": 4, "follow": 0.3},
    "shares": {"books": 1.0, "captions": 1.0},
    "training": LOOP,
}
ENCODER_2015 = {"network": {"recipe": "2015", "dim_word": 8, "uni": 16, "batch_size": 8}, "training": LOOP}

Prepare = Callable[..., Path]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Returns a function that prepares four books and captions of twelve photos, and returns the corpus' folder."""
    draw, words = np.random.default_rng(0), ["sea", "garden", "house", "dog", "boat", "king", "night", "river"]
    (tmp_path / "books").mkdir()
    for book in "abcd":
        lines = [
            " ".join("The {} saw the {} and the {} of a {}.".format(*some) for some in draw.choice(words, (6, 4)))
            for _ in range(12)
        ]
        (tmp_path / "books" / f"{book}.txt").write_text("\n\n".join(lines) + "\n")
    rows = [f"{number // 2}.jpg\ttrain\ta {draw.choice(words)} by a {draw.choice(words)}" for number in range(24)]
    (tmp_path / "some.tsv").write_text("\n".join(["image\tsplit\tcaption", *rows]) + "\n")

    def run(*flags: str, name: str = "corpus") -> Path:
        places = [f"--books={tmp_path}/books/*", f"--captions={tmp_path}/some.tsv", f"--output={tmp_path}/{name}"]
        assert prepare_texts([*places, "--held-out=1", "--shard-words=500", *flags]) == 0
        return tmp_path / name

    return run


def train(folder: Path, network: str, config: dict[str, object], *flags: str) -> int:
    """Returns the exit code of the real command line, whose output is `folder/trained`."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    places = ["--config", str(folder / "config.yaml"), "--output", str(folder / "trained")]
    return main([network, *places, *flags])


@pytest.mark.parametrize("config", [str(CONFIG), "nowhere.yaml"])
def test_a_missing_file_is_named(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--config", config, "--data", str(tmp_path / "nothing"), "--output", str(tmp_path / "out")]
    assert main(["joint_embedding", *flags]) == 2
    missing = "nowhere.yaml" if config == "nowhere.yaml" else f"{tmp_path}/nothing"
    assert f"{missing}: does not exist" in capsys.readouterr().err


def test_a_sentence_encoder_learns_a_prepared_corpus(prepare: Prepare, tmp_path: Path) -> None:
    corpus = prepare()
    assert train(tmp_path, "skip_thoughts", ENCODER, f"--corpus={corpus}") == 0
    longer = ENCODER | {"training": LOOP | {"steps": 6}}
    assert train(tmp_path, "skip_thoughts", longer, f"--corpus={corpus}") == 0
    log = [json.loads(line) for line in (tmp_path / "trained" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4, 6] and "dev_books_nll" in log[-1]
    assert set().union(*log) >= {"nll_books", "nll_captions", "follow"}
    assert load_words(tmp_path / "trained").words == json.loads((corpus / "vocabulary.json").read_text())
    assert not (tmp_path / "trained" / "texts.npz").exists() and not (tmp_path / "prepared").exists()


def test_a_training_keeps_the_words_that_it_began_with(
    prepare: Prepare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, "skip_thoughts", ENCODER, f"--corpus={prepare()}") == 0
    other = prepare("--vocabulary=12", "--unknown=0.9", name="other")
    assert train(tmp_path, "skip_thoughts", ENCODER, f"--corpus={other}") == 2
    assert f"trained: started with other words than those of {other}; name a new output" in capsys.readouterr().err


def test_the_encoder_of_2015_learns_sentences_in_a_row(prepare: Prepare, tmp_path: Path) -> None:
    corpus = prepare("--unit=sentence", "--least=1")
    assert train(tmp_path, "skip_thoughts", ENCODER_2015, f"--corpus={corpus}") == 0
    assert json.loads((tmp_path / "trained" / "best.json").read_text())["dev_books_nll"] > 0


@pytest.mark.parametrize(
    ("network", "config", "message"),
    [
        ("skip_thoughts", ENCODER | {"shares": {"novels": 1}}, "no texts of novels; {corpus} has the kinds books, c"),
        ("skip_thoughts", ENCODER_2015, "{corpus}: dev_books: no three sentences of fewer than 30 words in a row"),
        ("decoder", {"network": {"recipe": "2015"}, "training": LOOP}, "the decoder of 2015 reads no --corpus"),
    ],
)
def test_a_corpus_that_does_not_do(
    prepare: Prepare,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    network: str,
    config: dict[str, object],
    message: str,
) -> None:
    corpus = prepare("--held-out=0") if config is ENCODER_2015 else prepare()
    assert train(tmp_path, network, config, f"--corpus={corpus}", f"--data={tmp_path}") == 2
    assert message.format(corpus=corpus) in capsys.readouterr().err


def test_the_configuration_of_a_decoder_of_ones_own_is_right() -> None:
    settings = read_settings(CONFIG.with_name("own_decoder.yaml"))["decoder"]
    kinds = {"network": DecoderConfig, "stories": StoriesConfig, "training": LoopConfig}
    network, *_ = (section(settings, name, kind) for name, kind in kinds.items())
    assert network.pack == "packs/mine-style" and set(settings) == {*kinds, "shares"}
    assert set(settings["shares"]) <= set(KINDS)


def test_a_decoder_wants_a_pack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config: dict[str, object] = {"network": {"pack": f"{tmp_path}/none"}, "training": LOOP}
    assert train(tmp_path, "decoder", config, f"--data={tmp_path}") == 2
    assert f"{tmp_path}/none: no model pack there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("network", "flags", "message"),
    [
        ("joint_embedding", ["--data=.", "--corpus=x"], "--corpus: joint_embedding reads none; skip_thoughts and"),
        ("decoder", ["--corpus=x"], "--data is needed; only skip_thoughts with a --corpus does without"),
        ("skip_thoughts", [], "--data is needed"),
    ],
)
def test_flags_that_do_not_go_together(
    network: str, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([network, "--config=a.yaml", "--output=out", *flags]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_a_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path, "skip_thoughts", ENCODER, f"--corpus={tmp_path}/none") == 2
    assert "none: has no manifest.json; make a corpus with python -m pipelines.prepare_texts" in capsys.readouterr().err
