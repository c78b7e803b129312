"""Own story decoders: a trained one is added to a pack and writes its stories; and errors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from model_handlers.nets.story_decoder import StoryDecoder
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines.add_decoder import main
from pipelines.pack_tools.pack_verify import verify

WORDS = ["the", "dog", "ran", "home", "."]

Add = Callable[..., tuple[int, str, str]]


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Returns a training's folder with a decoder of five words for vectors 48 wide."""
    return leave_training(tmp_path / "trained", 48)


def leave_training(folder: Path, width: int) -> Path:
    """Returns a folder with what a training of a decoder leaves."""
    folder.mkdir()
    torch.manual_seed(0)
    save_file(StoryDecoder(width, 8, 12, len(WORDS) + 2, deep_output=True).state_dict(), folder / "best.safetensors")
    (folder / "words.json").write_text(json.dumps(WORDS))
    (folder / "best.json").write_text(json.dumps({"step": 6, "time": 1.5, "tokens_per_s": 9.0, "score": -3.5}))
    return folder


@pytest.fixture
def add(story_pack: Pack, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Add:
    """Returns a function that adds the decoder as `mine`; it returns the exit code, stdout and stderr."""

    def run(*argv: str) -> tuple[int, str, str]:
        places = [f"--pack={story_pack.location}", f"--output={tmp_path}/new", f"--trained={trained}"]
        code = main([*places, "--name=mine", *argv])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_new_pack_has_the_decoder_as_its_default(add: Add, story_pack: Pack, tmp_path: Path) -> None:
    code, printed, errors = add()
    assert code == 0, errors
    pack = Pack.open(f"{tmp_path}/new")
    assert f"story decoder mine of 5 words, the default (digest {pack.digest[:12]})" in printed
    assert pack.card["defaults"] == story_pack.card["defaults"] | {"decoder": "mine"}
    assert set(pack.components["decoders"]) == {"mine", *story_pack.components["decoders"]}
    assert pack.card["trained_decoders"] == {"mine": {"step": 6, "score": -3.5}}
    problems, loaded = verify(pack.location)
    assert problems == [] and "decoder mine" in loaded


def test_the_new_decoder_tells_stories(
    add: Add, run_job: Add, write_features: Callable[..., str], output: Any, tmp_path: Path
) -> None:
    add()
    tell = [f"--features={write_features([('a', np.ones(4096))])}", f"--pack={tmp_path}/new", "--beam-width=3"]
    options = ["--style=romance", "--captions-per-photo=3", "--max-words=20", f"--output={output.location}"]
    code, _, errors = run_job(*tell, *options)
    assert code == 0, errors
    (row,) = output.rows("stories")
    assert row["decoder"] == "mine" and set(row["passage"].split()) <= {*WORDS, "UNK"}


def test_figures_of_the_old_decoder_are_left_out(add: Add, story_pack: Pack, tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path / "measured"), story_pack)
    writer.card["quality"] = {"decoder": {"nll": 3.0}, "sentences": {"rank": 2.0}, "stories": {"words": 40}}
    assert add(f"--pack={writer.finish().location}")[0] == 0
    assert Pack.open(f"{tmp_path}/new").card["quality"] == {"sentences": {"rank": 2.0}}


def test_a_decoder_of_the_same_name_is_replaced(add: Add, story_pack: Pack, tmp_path: Path) -> None:
    assert add("--name=romance")[0] == 0
    pack = Pack.open(f"{tmp_path}/new")
    assert set(pack.components["decoders"]) == set(story_pack.components["decoders"])
    assert pack.components["decoders"]["romance"]["n_words"] == 7 and verify(pack.location)[0] == []


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (
            ["--name=a/b", "--trained=none"],
            ["--name 'a/b': may only have letters", "--trained none: has no best.safetensors and no"],
        ),
        (["--trained={folder}/half"], ["half: has no words.json; name the output of pipelines.train decoder"]),
        (["--trained={folder}/wide"], ["--trained {folder}/wide: its decoder wants vectors 50 wide", "are 48"]),
        (["--trained={folder}/encoder"], ["encoder: is not the training of a story decoder; name the output of"]),
        (["--output={folder}/half"], ["{folder}/half: exists already"]),
        (["--output=gs://a/b"], ["gs://a/b: packs are written to local folders"]),
        (["--pack={folder}/half"], ["{folder}/half: no model pack there"]),
        (["--device=cpu"], ["--device=cpu: no such option"]),
    ],
)
def test_what_is_wrong_makes_no_pack(add: Add, tmp_path: Path, argv: list[str], parts: list[str]) -> None:
    leave_training(tmp_path / "wide", 50)
    (leave_training(tmp_path / "half", 48) / "words.json").unlink()
    save_file({"table.weight": torch.zeros(2, 2)}, leave_training(tmp_path / "encoder", 48) / "best.safetensors")
    before = sorted(tmp_path.iterdir())
    code, printed, errors = add(*(word.format(folder=tmp_path) for word in argv))
    assert code == 2 and printed == "" and "No pack was made" in errors
    assert all(part.format(folder=tmp_path) in errors for part in parts), errors
    assert sorted(tmp_path.iterdir()) == before
